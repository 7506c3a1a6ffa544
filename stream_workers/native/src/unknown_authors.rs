//! `brandpulse.schema.unknown_authors.is_unknown`, with the names, trimmed characters and prefix passed from Python.

use rustc_hash::FxHashSet;

pub struct UnknownAuthors {
    names: FxHashSet<String>,
    longest: usize,
    trimmed: Vec<char>,
    prefix: String,
}

impl UnknownAuthors {
    pub fn new(names: Vec<String>, trimmed: &str, prefix: String) -> Self {
        // A character that is one byte in lower case may be three bytes in upper case.
        let longest = 4 * names.iter().map(String::len).max().unwrap_or(0);
        Self { names: names.into_iter().collect(), longest, trimmed: trimmed.chars().collect(), prefix }
    }

    pub fn contains(&self, author_id: &str) -> bool {
        let mut name = self.trim(author_id);
        if let Some(head) = name.get(..self.prefix.len())
            && head.eq_ignore_ascii_case(&self.prefix)
        {
            name = self.trim(&name[self.prefix.len()..]);
        }
        name.len() <= self.longest && (self.names.contains(name) || self.names.contains(&name.to_lowercase()))
    }

    fn trim<'a>(&self, name: &'a str) -> &'a str {
        let inside = |character: char| character.is_ascii_alphanumeric();
        // Almost every author starts and ends with an ASCII letter or digit.
        if name.starts_with(inside) && name.ends_with(inside) {
            return name;
        }
        name.trim_matches(|character| self.trimmed.contains(&character))
    }
}
