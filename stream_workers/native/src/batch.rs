//! A batch of records -> columns.

use rustc_hash::FxHashMap;

use crate::hashes::{Author, DIGEST, Hashes, Named};
use crate::folding::Letters;
use crate::post::{Post, Room};
use crate::unknown_authors::UnknownAuthors;
use crate::matcher::{Found, Words};

/// Columns of native-endian numbers, a row a record; `words` are numbers of `sets`.
pub struct Rows {
    pub status: Vec<u8>,
    pub event_ms: Vec<u8>,
    pub authors: Vec<u8>,
    pub digests: Vec<u8>,
    pub words: Vec<u8>,
    pub sets: Vec<Vec<u32>>,
    pub sources: Vec<u8>,
    pub names: Vec<String>,
}

/// Of a row: left to Python; read; read, and its author is unknown.
const READ: u8 = 1;
const UNKNOWN_AUTHOR: u8 = 2;

pub fn read_rows(records: &[Option<&[u8]>], letters: &Letters, words: &Words, hashes: &Hashes, unknown: &UnknownAuthors) -> Rows {
    let number = records.len();
    let mut reading = Reading::new(letters, words, unknown);
    let mut rows = Rows {
        status: vec![0; number],
        event_ms: vec![0; 8 * number],
        authors: vec![0; 8 * number],
        digests: vec![0; DIGEST * number],
        words: vec![0; 4 * number],
        sets: Vec::new(),
        sources: vec![0; 4 * number],
        names: Vec::new(),
    };
    for (row, record) in records.iter().enumerate() {
        if let Some(read) = record.and_then(|value| reading.read(row, value)) {
            rows.status[row] = if read.unknown_author { UNKNOWN_AUTHOR } else { READ };
            put(&mut rows.event_ms, row, read.event_ms.to_ne_bytes());
            put(&mut rows.words, row, read.set.to_ne_bytes());
            put(&mut rows.sources, row, read.source.to_ne_bytes());
        }
    }
    for (row, digest, author) in hashes.of(&reading.named) {
        put(&mut rows.digests, row, digest);
        put(&mut rows.authors, row, author.to_ne_bytes());
    }
    rows.sets = reading.sets.all;
    rows.names = reading.sources.all;
    rows
}

fn put<const N: usize>(column: &mut [u8], row: usize, value: [u8; N]) {
    column[N * row..N * (row + 1)].copy_from_slice(&value);
}

/// What the rows of one call share, so that a row allocates next to nothing.
struct Reading<'a> {
    letters: &'a Letters,
    words: &'a Words,
    unknown: &'a UnknownAuthors,
    sets: Sets,
    sources: Sources,
    named: Named,
    room: Room,
    found: Found,
}

impl<'a> Reading<'a> {
    fn new(letters: &'a Letters, words: &'a Words, unknown: &'a UnknownAuthors) -> Self {
        let (named, room, found) = Default::default();
        Self { letters, words, unknown, sets: Sets::new(), sources: Sources::new(), named, room, found }
    }

    fn read(&mut self, row: usize, value: &[u8]) -> Option<Row> {
        let post = Post::read(value, &mut self.room)?;
        self.letters.fold(post.text, &mut self.found.folded)?;
        let standing = self.words.standing(&mut self.found, self.letters)?;
        let unknown_author = !standing.is_empty() && self.unknown.holds(post.author_id);
        if !standing.is_empty() {
            // A person that nobody knows has a vote with each post.
            let author = if unknown_author { Author::OfPost } else { Author::Known(post.author_id) };
            self.named.add(row, post.source, post.id, &author);
        }
        let (set, source) = (self.sets.number(standing), self.sources.number(post.source));
        Some(Row { event_ms: post.event_ms, set, source, unknown_author })
    }
}

/// What is read of one record.
struct Row {
    event_ms: i64,
    set: u32,
    source: u32,
    unknown_author: bool,
}

/// The distinct sources of one call; the first is the empty one.
struct Sources {
    all: Vec<String>,
    numbers: FxHashMap<String, u32>,
    last: u32,
}

impl Sources {
    fn new() -> Self {
        Self { all: vec![String::new()], numbers: FxHashMap::default(), last: 0 }
    }

    fn number(&mut self, source: &str) -> u32 {
        // Most posts come from the source of the one before.
        if self.all[self.last as usize] == source {
            return self.last;
        }
        self.last = match self.numbers.get(source) {
            Some(&number) => number,
            None => {
                let number = self.all.len() as u32;
                self.all.push(source.to_owned());
                self.numbers.insert(source.to_owned(), number);
                number
            }
        };
        self.last
    }
}

/// The distinct sets of one call; the first is the empty one.
struct Sets {
    all: Vec<Vec<u32>>,
    numbers: FxHashMap<Vec<u32>, u32>,
}

impl Sets {
    fn new() -> Self {
        Self { all: vec![Vec::new()], numbers: FxHashMap::default() }
    }

    fn number(&mut self, set: &[u32]) -> u32 {
        if set.is_empty() {
            return 0;
        }
        if let Some(&number) = self.numbers.get(set) {
            return number;
        }
        let number = self.all.len() as u32;
        self.all.push(set.to_vec());
        self.numbers.insert(set.to_vec(), number);
        number
    }
}
