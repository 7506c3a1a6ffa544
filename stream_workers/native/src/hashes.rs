//! `post_digest` and `AuthorHasher`, of `stream_workers.decoding.post_decoder`.

use std::ops::Range;

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};

pub const DIGEST: usize = 12;

pub struct Hashes {
    posts: Params,
    authors: Params,
}

/// What is to be hashed of the rows of one call: together, for the processor hashes four inputs in the time of one.
#[derive(Default)]
pub struct Named {
    rows: Vec<usize>,
    /// Of each row the source, a zero byte and the id; then the same with the author.
    names: Vec<u8>,
    posts: Vec<Range<usize>>,
    authors: Vec<Range<usize>>,
}

pub enum Author<'a> {
    Known(&'a str),
    /// Unknown: it is the post's own.
    OfPost,
}

impl Named {
    pub fn add(&mut self, row: usize, source: &str, id: &str, author: &Author<'_>) {
        self.rows.push(row);
        let post = self.name(&[source, "\0", id]);
        self.posts.push(post);
        let author = match author {
            Author::Known(author_id) => self.name(&[source, "\0", author_id]),
            Author::OfPost => self.name(&[source, "\0\0", id]),
        };
        self.authors.push(author);
    }

    fn name(&mut self, parts: &[&str]) -> Range<usize> {
        let start = self.names.len();
        for part in parts {
            self.names.extend_from_slice(part.as_bytes());
        }
        start..self.names.len()
    }
}

impl Hashes {
    /// None for a key of a length that BLAKE2b does not take.
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

    /// Each row with its post's digest and its author's number.
    pub fn of(&self, named: &Named) -> impl Iterator<Item = (usize, [u8; DIGEST], i64)> {
        let posts = digests(&self.posts, &named.names, &named.posts);
        let authors = digests(&self.authors, &named.names, &named.authors).into_iter().map(i64::from_be_bytes);
        named.rows.iter().zip(posts).zip(authors).map(|((row, digest), author)| (*row, digest, author))
    }
}

fn digests<const N: usize>(params: &Params, names: &[u8], places: &[Range<usize>]) -> Vec<[u8; N]> {
    let mut jobs: Vec<_> = places.iter().map(|place| HashManyJob::new(params, &names[place.clone()])).collect();
    hash_many(&mut jobs);
    jobs.iter()
        .map(|job| {
            let mut digest = [0; N];
            digest.copy_from_slice(job.to_hash().as_bytes());
            digest
        })
        .collect()
}
