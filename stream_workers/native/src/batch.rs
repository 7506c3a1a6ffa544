//! Decodes a batch of records into columns.

use rustc_hash::FxHashMap;

use crate::folding::Characters;
use crate::hashes::{Author, DIGEST, HashInputs, Hashes};
use crate::matcher::{Matcher, Scratch};
use crate::post::{Buffers, Limits, Post};
use crate::unknown_authors::UnknownAuthors;

/// Columns of native-endian numbers, one row per record.
///
/// `set_numbers` index `sets`, `sources` index `source_names`.
pub struct Columns {
    pub status: Vec<u8>,
    pub event_ms: Vec<u8>,
    pub authors: Vec<u8>,
    pub digests: Vec<u8>,
    pub set_numbers: Vec<u8>,
    pub sets: Vec<Vec<u32>>,
    pub sources: Vec<u8>,
    pub source_names: Vec<String>,
}

/// Status of a row: 0 is left to Python, `READ` is decoded, `UNKNOWN_AUTHOR` is decoded and its author is unknown.
const READ: u8 = 1;
const UNKNOWN_AUTHOR: u8 = 2;

pub fn decode_batch(
    records: &[Option<&[u8]>],
    characters: &Characters,
    matcher: &Matcher,
    hashes: &Hashes,
    unknown: &UnknownAuthors,
    limits: &Limits,
) -> Columns {
    let number = records.len();
    let mut reader = BatchReader::new(characters, matcher, unknown, limits);
    let mut columns = Columns {
        status: vec![0; number],
        event_ms: vec![0; 8 * number],
        authors: vec![0; 8 * number],
        digests: vec![0; DIGEST * number],
        set_numbers: vec![0; 4 * number],
        sets: Vec::new(),
        sources: vec![0; 4 * number],
        source_names: Vec::new(),
    };
    for (row, record) in records.iter().enumerate() {
        if let Some(read) = record.and_then(|value| reader.read(row, value)) {
            columns.status[row] = if read.unknown_author { UNKNOWN_AUTHOR } else { READ };
            put(&mut columns.event_ms, row, read.event_ms.to_ne_bytes());
            put(&mut columns.set_numbers, row, read.set.to_ne_bytes());
            put(&mut columns.sources, row, read.source.to_ne_bytes());
        }
    }
    for (row, digest, author) in hashes.of(&reader.hash_inputs) {
        put(&mut columns.digests, row, digest);
        put(&mut columns.authors, row, author.to_ne_bytes());
    }
    columns.sets = reader.sets.all;
    columns.source_names = reader.sources.all;
    columns
}

fn put<const N: usize>(column: &mut [u8], row: usize, value: [u8; N]) {
    column[N * row..N * (row + 1)].copy_from_slice(&value);
}

/// State shared by the rows of one call, so that a row allocates almost nothing.
struct BatchReader<'a> {
    characters: &'a Characters,
    matcher: &'a Matcher,
    unknown: &'a UnknownAuthors,
    limits: &'a Limits,
    sets: SetTable,
    sources: SourceTable,
    hash_inputs: HashInputs,
    buffers: Buffers,
    scratch: Scratch,
}

impl<'a> BatchReader<'a> {
    fn new(characters: &'a Characters, matcher: &'a Matcher, unknown: &'a UnknownAuthors, limits: &'a Limits) -> Self {
        let (sets, sources) = (SetTable::new(), SourceTable::new());
        let (hash_inputs, buffers, scratch) = Default::default();
        Self { characters, matcher, unknown, limits, sets, sources, hash_inputs, buffers, scratch }
    }

    fn read(&mut self, row: usize, value: &[u8]) -> Option<Row> {
        let post = Post::read(value, &mut self.buffers, self.limits)?;
        self.characters.normalize(post.text, &mut self.scratch.normalized)?;
        self.scratch.ascii = post.text.is_ascii();
        let patterns = self.matcher.find_patterns(&mut self.scratch, self.characters)?;
        let unknown_author = !patterns.is_empty() && self.unknown.contains(post.author_id);
        if !patterns.is_empty() {
            // An unknown author counts as a new person with each post.
            let author = if unknown_author { Author::PerPost } else { Author::Known(post.author_id) };
            self.hash_inputs.add(row, post.source, post.id, &author);
        }
        let (set, source) = (self.sets.number(patterns), self.sources.number(post.source));
        Some(Row { event_ms: post.event_ms, set, source, unknown_author })
    }
}

/// The columns of one record.
struct Row {
    event_ms: i64,
    set: u32,
    source: u32,
    unknown_author: bool,
}

/// The distinct sources of one call. The first is empty.
struct SourceTable {
    all: Vec<String>,
    numbers: FxHashMap<String, u32>,
    last: u32,
}

impl SourceTable {
    fn new() -> Self {
        Self { all: vec![String::new()], numbers: FxHashMap::default(), last: 0 }
    }

    fn number(&mut self, source: &str) -> u32 {
        // Most posts have the source of the previous one.
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

/// The distinct sets of patterns of one call. The first is empty.
struct SetTable {
    all: Vec<Vec<u32>>,
    numbers: FxHashMap<Vec<u32>, u32>,
}

impl SetTable {
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
