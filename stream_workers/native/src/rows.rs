//! A batch of records -> columns.

use rustc_hash::FxHashMap;

use crate::hashes::{DIGEST, Hashes, Named};
use crate::letters::Letters;
use crate::post::{Post, Room};
use crate::words::{Found, Words};

/// Columns of native-endian numbers, a row a record; `words` are numbers of `sets`.
pub struct Rows {
    pub status: Vec<u8>,
    pub event_ms: Vec<u8>,
    pub authors: Vec<u8>,
    pub digests: Vec<u8>,
    pub words: Vec<u8>,
    pub sets: Vec<Vec<u32>>,
}

pub fn read_rows(records: &[Option<&[u8]>], letters: &Letters, words: &Words, hashes: &Hashes) -> Rows {
    let number = records.len();
    let mut reading = Reading::new(letters, words);
    let mut rows = Rows {
        status: vec![0; number],
        event_ms: vec![0; 8 * number],
        authors: vec![0; 8 * number],
        digests: vec![0; DIGEST * number],
        words: vec![0; 4 * number],
        sets: Vec::new(),
    };
    for (row, record) in records.iter().enumerate() {
        if let Some((event_ms, set)) = record.and_then(|value| reading.read(row, value)) {
            rows.status[row] = 1;
            put(&mut rows.event_ms, row, event_ms.to_ne_bytes());
            put(&mut rows.words, row, set.to_ne_bytes());
        }
    }
    for (row, digest, author) in hashes.of(&reading.named) {
        put(&mut rows.digests, row, digest);
        put(&mut rows.authors, row, author.to_ne_bytes());
    }
    rows.sets = reading.sets.all;
    rows
}

fn put<const N: usize>(column: &mut [u8], row: usize, value: [u8; N]) {
    column[N * row..N * (row + 1)].copy_from_slice(&value);
}

/// What the rows of one call share, so that a row allocates next to nothing.
struct Reading<'a> {
    letters: &'a Letters,
    words: &'a Words,
    sets: Sets,
    named: Named,
    room: Room,
    found: Found,
}

impl<'a> Reading<'a> {
    fn new(letters: &'a Letters, words: &'a Words) -> Self {
        let (named, room, found) = Default::default();
        Self { letters, words, sets: Sets::new(), named, room, found }
    }

    /// The post's moment and the number of its set.
    fn read(&mut self, row: usize, value: &[u8]) -> Option<(i64, u32)> {
        let post = Post::read(value, &mut self.room)?;
        self.letters.fold(post.text, &mut self.found.folded)?;
        let standing = self.words.standing(&mut self.found, self.letters)?;
        if !standing.is_empty() {
            self.named.add(row, post.source, post.id, post.author_id);
        }
        Some((post.event_ms, self.sets.number(standing)))
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
