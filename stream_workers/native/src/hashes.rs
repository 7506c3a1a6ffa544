//! `post_digest` and `AuthorHasher` of `brandpulse.schema.identity`.

use std::ops::Range;

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};

pub const DIGEST: usize = 12;

pub struct Hashes {
    posts: Params,
    authors: Params,
}

/// The hash inputs of one call's rows. Hashed together: the processor hashes four inputs in the time of one.
#[derive(Default)]
pub struct HashInputs {
    rows: Vec<usize>,
    /// For each row the source, a zero byte and the id; then the same with the author.
    bytes: Vec<u8>,
    posts: Vec<Range<usize>>,
    authors: Vec<Range<usize>>,
}

pub enum Author<'a> {
    Known(&'a str),
    /// Unknown: a hash of the post replaces the author's.
    PerPost,
}

impl HashInputs {
    pub fn add(&mut self, row: usize, source: &str, id: &str, author: &Author<'_>) {
        self.rows.push(row);
        let post = self.append(&[source, "\0", id]);
        self.posts.push(post);
        let author = match author {
            Author::Known(author_id) => self.append(&[source, "\0", author_id]),
            Author::PerPost => self.append(&[source, "\0\0", id]),
        };
        self.authors.push(author);
    }

    fn append(&mut self, parts: &[&str]) -> Range<usize> {
        let start = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        start..self.bytes.len()
    }
}

impl Hashes {
    /// None if BLAKE2b does not accept the key's length.
    pub fn new(author_key: &[u8]) -> Option<Self> {
        if author_key.is_empty() || author_key.len() > blake2b_simd::KEYBYTES {
            return None;
        }
        let mut posts = Params::new();
        posts.hash_length(DIGEST);
        let mut authors = Params::new();
        authors.hash_length(8).key(author_key);
        Some(Self { posts, authors })
    }

    /// Each row with its post's digest and its author's hash.
    pub fn of(&self, inputs: &HashInputs) -> impl Iterator<Item = (usize, [u8; DIGEST], i64)> {
        let posts = digests(&self.posts, &inputs.bytes, &inputs.posts);
        let authors = digests(&self.authors, &inputs.bytes, &inputs.authors).into_iter().map(i64::from_be_bytes);
        inputs.rows.iter().zip(posts).zip(authors).map(|((row, digest), author)| (*row, digest, author))
    }
}

fn digests<const N: usize>(params: &Params, bytes: &[u8], ranges: &[Range<usize>]) -> Vec<[u8; N]> {
    let mut jobs: Vec<_> = ranges.iter().map(|range| HashManyJob::new(params, &bytes[range.clone()])).collect();
    hash_many(&mut jobs);
    jobs.iter()
        .map(|job| {
            let mut digest = [0; N];
            digest.copy_from_slice(job.to_hash().as_bytes());
            digest
        })
        .collect()
}
