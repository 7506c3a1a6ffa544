//! Reads the post in one record, with the names of `brandpulse.schema.posts.Post`.

use pyo3::prelude::*;

use crate::json::{RawString, Tokens};
use crate::timestamp::event_ms;

/// `stream_workers.decoding.batch_decoder.LengthLimits`.
#[derive(FromPyObject)]
pub struct Limits {
    pub record_bytes: usize,
    pub text_chars: usize,
    pub id_chars: usize,
    pub source_chars: usize,
    pub lang_chars: usize,
    pub url_chars: usize,
    pub chunk_chars: usize,
}

pub struct Post<'a> {
    pub id: &'a str,
    pub text: &'a str,
    pub author_id: &'a str,
    pub source: &'a str,
    pub event_ms: i64,
}

/// Holds the strings that had escapes.
#[derive(Default)]
pub struct Buffers {
    id: String,
    text: String,
    author_id: String,
    source: String,
}

#[derive(Default)]
struct Fields<'a> {
    version: bool,
    id: Option<RawString<'a>>,
    text: Option<RawString<'a>>,
    author_id: Option<RawString<'a>>,
    source: Option<RawString<'a>>,
    created_at: Option<RawString<'a>>,
    lang: bool,
    url: bool,
}

impl<'a> Post<'a> {
    pub fn read(value: &'a [u8], buffers: &'a mut Buffers, limits: &Limits) -> Option<Self> {
        if value.len() > limits.record_bytes {
            return None;
        }
        let fields = Fields::read(std::str::from_utf8(value).ok()?, limits)?;
        let created_at = fields.created_at?;
        if !fields.version || created_at.escaped {
            return None;
        }
        Some(Self {
            id: within(fields.id?.unescaped(&mut buffers.id)?, limits.id_chars)?,
            text: within(fields.text?.unescaped(&mut buffers.text)?, limits.text_chars)?,
            author_id: within(fields.author_id?.unescaped(&mut buffers.author_id)?, limits.id_chars)?,
            source: within(fields.source?.unescaped(&mut buffers.source)?, limits.source_chars)?,
            event_ms: event_ms(created_at.raw.as_bytes())?,
        })
    }
}

impl<'a> Fields<'a> {
    fn read(text: &'a str, limits: &Limits) -> Option<Self> {
        let mut tokens = Tokens::new(text);
        let mut fields = Self::default();
        tokens.skip_space();
        tokens.expect(b'{')?;
        loop {
            tokens.skip_space();
            let name = tokens.string()?;
            if name.escaped {
                return None;
            }
            tokens.skip_space();
            tokens.expect(b':')?;
            tokens.skip_space();
            fields.set(name.raw, &mut tokens, limits)?;
            tokens.skip_space();
            if tokens.eat(b'}') {
                break;
            }
            tokens.expect(b',')?;
        }
        tokens.skip_space();
        tokens.at_end().then_some(fields)
    }

    fn set(&mut self, name: &str, tokens: &mut Tokens<'a>, limits: &Limits) -> Option<()> {
        match name {
            "id" => once(&mut self.id, tokens.string()?),
            "text" => once(&mut self.text, tokens.string()?),
            "author_id" => once(&mut self.author_id, tokens.string()?),
            "source" => once(&mut self.source, tokens.string()?),
            "created_at" => once(&mut self.created_at, tokens.string()?),
            // The next token shows whether 1 was the whole number.
            "schema_version" => tokens.expect(b'1').filter(|()| !std::mem::replace(&mut self.version, true)),
            "lang" => optional(tokens, limits.lang_chars).filter(|()| !std::mem::replace(&mut self.lang, true)),
            "url" => optional(tokens, limits.url_chars).filter(|()| !std::mem::replace(&mut self.url, true)),
            _ => tokens.skip_value(),
        }
    }
}

fn once<'a>(field: &mut Option<RawString<'a>>, value: RawString<'a>) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

/// Null or a string. Its length in bytes, escapes included, is at least its length in characters.
fn optional(tokens: &mut Tokens<'_>, longest: usize) -> Option<()> {
    if tokens.eat(b'n') {
        return tokens.word("ull");
    }
    (tokens.string()?.raw.len() <= longest).then_some(())
}

/// *text*, if it has 1 to *longest* characters.
fn within(text: &str, longest: usize) -> Option<&str> {
    let fits = text.len() <= longest || (text.len() <= 4 * longest && text.chars().count() <= longest);
    (fits && !text.is_empty()).then_some(text)
}
