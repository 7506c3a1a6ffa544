//! One record -> the post in it, with the names and limits of `brandpulse.schema.posts.Post`.

use crate::json::{Quoted, Tokens};
use crate::timestamp::event_ms;

/// As in `stream_workers.decoding.post_decoder`.
const MAX_RECORD_BYTES: usize = 262_144;
const MAX_TEXT: usize = 20_000;
const MAX_ID: usize = 256;
const MAX_SOURCE: usize = 64;
const MAX_LANG: usize = 16;
const MAX_URL: usize = 2_048;

pub struct Post<'a> {
    pub id: &'a str,
    pub text: &'a str,
    pub author_id: &'a str,
    pub source: &'a str,
    pub event_ms: i64,
}

/// Where the strings lie that had escapes in them.
#[derive(Default)]
pub struct Room {
    id: String,
    text: String,
    author_id: String,
    source: String,
}

#[derive(Default)]
struct Fields<'a> {
    version: bool,
    id: Option<Quoted<'a>>,
    text: Option<Quoted<'a>>,
    author_id: Option<Quoted<'a>>,
    source: Option<Quoted<'a>>,
    created_at: Option<Quoted<'a>>,
    lang: bool,
    url: bool,
}

impl<'a> Post<'a> {
    pub fn read(value: &'a [u8], room: &'a mut Room) -> Option<Self> {
        if value.len() > MAX_RECORD_BYTES {
            return None;
        }
        let fields = Fields::read(std::str::from_utf8(value).ok()?)?;
        let created_at = fields.created_at?;
        if !fields.version || created_at.escaped {
            return None;
        }
        Some(Self {
            id: within(fields.id?.plain(&mut room.id)?, MAX_ID)?,
            text: within(fields.text?.plain(&mut room.text)?, MAX_TEXT)?,
            author_id: within(fields.author_id?.plain(&mut room.author_id)?, MAX_ID)?,
            source: within(fields.source?.plain(&mut room.source)?, MAX_SOURCE)?,
            event_ms: event_ms(created_at.raw.as_bytes())?,
        })
    }
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Option<Self> {
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
            fields.take(name.raw, &mut tokens)?;
            tokens.skip_space();
            if tokens.eat(b'}') {
                break;
            }
            tokens.expect(b',')?;
        }
        tokens.skip_space();
        tokens.at_end().then_some(fields)
    }

    fn take(&mut self, name: &str, tokens: &mut Tokens<'a>) -> Option<()> {
        match name {
            "id" => once(&mut self.id, tokens.string()?),
            "text" => once(&mut self.text, tokens.string()?),
            "author_id" => once(&mut self.author_id, tokens.string()?),
            "source" => once(&mut self.source, tokens.string()?),
            "created_at" => once(&mut self.created_at, tokens.string()?),
            // What follows the 1 shows whether it was the whole number.
            "schema_version" => tokens.expect(b'1').filter(|()| !std::mem::replace(&mut self.version, true)),
            "lang" => optional(tokens, MAX_LANG).filter(|()| !std::mem::replace(&mut self.lang, true)),
            "url" => optional(tokens, MAX_URL).filter(|()| !std::mem::replace(&mut self.url, true)),
            _ => tokens.skip_value(),
        }
    }
}

fn once<'a>(field: &mut Option<Quoted<'a>>, value: Quoted<'a>) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

/// Null or a string; a length in bytes, escapes and all, is at least the one in characters.
fn optional(tokens: &mut Tokens<'_>, longest: usize) -> Option<()> {
    if tokens.eat(b'n') {
        return tokens.word("ull");
    }
    (tokens.string()?.raw.len() <= longest).then_some(())
}

/// *text*, if it has between one character and *longest*.
fn within(text: &str, longest: usize) -> Option<&str> {
    let fits = text.len() <= longest || (text.len() <= 4 * longest && text.chars().count() <= longest);
    (fits && !text.is_empty()).then_some(text)
}
