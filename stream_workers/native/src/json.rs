//! Reads JSON token by token. Anything unusual is None: the row is left to Python.

use crate::swar::{ONES, bytes_below, zero_bytes};

/// Deeper values are left to Python.
const DEEPEST: u32 = 32;

pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

/// The checked content of a JSON string, with its escapes.
#[derive(Clone, Copy)]
pub struct RawString<'a> {
    pub raw: &'a str,
    pub escaped: bool,
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    pub fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Skip *byte* if it comes next; whether it did.
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    pub fn word(&mut self, word: &str) -> Option<()> {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        found.then_some(())
    }

    pub fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub fn string(&mut self) -> Option<RawString<'a>> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_bytes(&self.text.as_bytes()[self.at..]);
            match self.next()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return None,
            }
        }
        Some(RawString { raw: self.text.get(start..self.at - 1)?, escaped })
    }

    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.hex()? {
                0xD800..=0xDBFF => {
                    self.word("\\u")?;
                    matches!(self.hex()?, 0xDC00..=0xDFFF).then_some(())
                }
                0xDC00..=0xDFFF => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    fn hex(&mut self) -> Option<u32> {
        let number = hex(self.text.as_bytes().get(self.at..self.at + 4)?);
        self.at += 4;
        number
    }

    /// Skip one value of any type.
    pub fn skip_value(&mut self) -> Option<()> {
        self.skip_nested(0)
    }

    fn skip_nested(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'[' if depth < DEEPEST => self.skip_members(b']', depth, false),
            b'{' if depth < DEEPEST => self.skip_members(b'}', depth, true),
            _ => self.skip_number(),
        }
    }

    fn skip_members(&mut self, close: u8, depth: u32, named: bool) -> Option<()> {
        self.at += 1;
        self.skip_space();
        if self.eat(close) {
            return Some(());
        }
        loop {
            self.skip_space();
            if named {
                self.string()?;
                self.skip_space();
                self.expect(b':')?;
                self.skip_space();
            }
            self.skip_nested(depth + 1)?;
            self.skip_space();
            if self.eat(close) {
                return Some(());
            }
            self.expect(b',')?;
        }
    }

    fn skip_number(&mut self) -> Option<()> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        // Some readers reject a large exponent.
        (!matches!(self.peek(), Some(b'e' | b'E'))).then_some(())
    }

    /// 1 to 18 digits: some readers reject longer numbers.
    fn digits(&mut self) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        let number = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += number;
        (1..=18).contains(&number).then_some(())
    }
}

impl<'a> RawString<'a> {
    /// The string without escapes; *buffer* holds it if it had any.
    pub fn unescaped(self, buffer: &'a mut String) -> Option<&'a str> {
        if !self.escaped {
            return Some(self.raw);
        }
        buffer.clear();
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            buffer.push_str(&rest[..at]);
            let (character, length) = unescape(&rest.as_bytes()[at..])?;
            buffer.push(character);
            rest = &rest[at + length..];
        }
        buffer.push_str(rest);
        Some(buffer)
    }
}

/// The character of the escape at the start of *rest*, and the escape's length.
fn unescape(rest: &[u8]) -> Option<(char, usize)> {
    let character = match rest.get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = hex(rest.get(2..6)?)?;
            if !(0xD800..0xE000).contains(&first) {
                return Some((char::from_u32(first)?, 6));
            }
            let second = hex(rest.get(8..12)?)?.checked_sub(0xDC00)?;
            let point = 0x10000 + (first.checked_sub(0xD800)? << 10) + second;
            return Some((char::from_u32(point)?, 12));
        }
        other => char::from(*other),
    };
    Some((character, 2))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}

/// The number of bytes before the first quote, backslash or control character. Tests eight bytes at a time.
fn plain_bytes(bytes: &[u8]) -> usize {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let special = |chunk: &[u8; 8]| {
        let bytes = u64::from_le_bytes(*chunk);
        let [quotes, slashes] = [b'"', b'\\'].map(|byte| zero_bytes(bytes ^ (ONES * u64::from(byte))));
        quotes | slashes | bytes_below(bytes, 0x20)
    };
    match chunks.iter().map(special).enumerate().find(|(_, special)| *special != 0) {
        Some((at, special)) => 8 * at + special.trailing_zeros() as usize / 8,
        None => 8 * chunks.len() + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count(),
    }
}
