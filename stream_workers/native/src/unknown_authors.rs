//! `brandpulse.schema.unknown_authors.is_unknown`, by the words, the trimmed characters and the prefix that Python gives.

use rustc_hash::FxHashSet;

pub struct UnknownAuthors {
    words: FxHashSet<String>,
    longest: usize,
    trimmed: Vec<char>,
    prefix: String,
}

impl UnknownAuthors {
    pub fn new(words: Vec<String>, trimmed: &str, prefix: String) -> Self {
        // A letter of one byte in lower case has up to three otherwise.
        let longest = 4 * words.iter().map(String::len).max().unwrap_or(0);
        Self { words: words.into_iter().collect(), longest, trimmed: trimmed.chars().collect(), prefix }
    }

    pub fn holds(&self, author_id: &str) -> bool {
        let mut word = self.trim(author_id);
        if let Some(head) = word.get(..self.prefix.len())
            && head.eq_ignore_ascii_case(&self.prefix)
        {
            word = self.trim(&word[self.prefix.len()..]);
        }
        word.len() <= self.longest && (self.words.contains(word) || self.words.contains(&word.to_lowercase()))
    }

    fn trim<'a>(&self, word: &'a str) -> &'a str {
        let inside = |letter: char| letter.is_ascii_alphanumeric();
        // Nearly every author begins and ends with a letter or a digit.
        if word.starts_with(inside) && word.ends_with(inside) {
            return word;
        }
        word.trim_matches(|letter| self.trimmed.contains(&letter))
    }
}
