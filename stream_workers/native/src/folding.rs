//! `match_form` of `normalize_text`, character by character, and the character classes of the matcher.

use std::ops::Range;
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::html_entities::reference;
use crate::readable_text::may_be_html;
use crate::swar::{ONES, TOPS, zero_bytes};

/// Classes of a character: `str.isalnum`, `is_word`, `is_unspaced` and `is_lookalike_script`.
pub const ALNUM: u8 = 1;
pub const WORD: u8 = 2;
pub const UNSPACED: u8 = 4;
const LOOKALIKE: u8 = 8;

/// The characters beyond ASCII whose forms and classes come from Python. A text with any other is left to Python.
const ASKED: [Range<u32>; 4] = [0x80..0xD800, 0xF900..0x1_0000, 0x1_D400..0x1_D800, 0x1_F000..0x1_FB00];
const END: usize = 0x1_FB00;

/// Accents.
const JOINED_BY_NFKC: Range<char> = '\u{300}'..'\u{370}';

/// Values of `Characters::form_of`: left to Python, unchanged, or the number of a form plus `FORMS`.
const LEFT: u32 = 0;
const ITSELF: u32 = 1;
const FORMS: u32 = 2;

/// The normalized form and the classes of each character.
///
/// A text is normalized character by character, which is correct unless NFKC joins neighbours: it joins marks and the
/// parts of Hangul. A text with a character that is one of these, or becomes one, is left to Python. So is a word that
/// mixes Latin letters with letters of another script that look like them.
pub struct Characters {
    ascii: [u8; 128],
    form_of: Vec<u32>,
    /// White space in them is a plain space.
    forms: Vec<String>,
    classes: Vec<u8>,
}

static CHARACTERS: PyOnceLock<Arc<Characters>> = PyOnceLock::new();

impl Characters {
    /// Built from the Python reference, once per process.
    pub fn of(py: Python<'_>) -> PyResult<Arc<Self>> {
        CHARACTERS.get_or_try_init(py, || Self::from_python(py).map(Arc::new)).cloned()
    }

    fn from_python(py: Python<'_>) -> PyResult<Self> {
        let points: Vec<char> = ASKED.into_iter().flatten().filter_map(char::from_u32).collect();
        let mut characters =
            Self { ascii: [0; 128], form_of: vec![LEFT; END], forms: Vec::new(), classes: vec![0; END] };
        let mut spaces = vec![false; END];
        let mut separate = vec![false; END];
        let reference = Reference::new(py)?;
        for character in ('\0'..'\u{80}').chain(points.iter().copied()) {
            let traits = reference.traits(character)?;
            characters.classes[character as usize] = traits.classes;
            spaces[character as usize] = traits.space;
            separate[character as usize] = !traits.joins;
        }
        let is = |of: &[bool], character: char| of.get(character as usize).copied().unwrap_or(false);
        let spaced = |character: char| if is(&spaces, character) { ' ' } else { character };
        for character in '\0'..'\u{80}' {
            // `readable_text` writes a space for these control characters; the others are white space, or stay.
            let control = matches!(character, '\0'..='\u{8}' | '\u{e}'..='\u{1b}');
            characters.ascii[character as usize] =
                if control { b' ' } else { spaced(character.to_ascii_lowercase()) as u8 };
        }
        // One call for all of them: NFKC joins nothing with a line break.
        let lines: String = points.iter().flat_map(|character| [*character, '\n']).collect();
        let normalized: String = reference.match_form(&lines)?;
        let composed: String = py.import("unicodedata")?.call_method1("normalize", ("NFKC", &lines))?.extract()?;
        if [&normalized, &composed].iter().any(|text| text.matches('\n').count() != points.len()) {
            return Err(PyRuntimeError::new_err("a character is normalized to a line break"));
        }
        for (character, (form, composed)) in points.into_iter().zip(normalized.split('\n').zip(composed.split('\n'))) {
            // Python removes most characters with an empty form before NFKC, or NFKC joins them to nothing.
            let removed = form.is_empty() && !JOINED_BY_NFKC.contains(&character);
            if removed || form.chars().chain(composed.chars()).all(|part| is(&separate, part)) {
                characters.put(character, form.chars().map(spaced).collect());
            }
        }
        Ok(characters)
    }

    fn put(&mut self, character: char, form: String) {
        let itself = form.chars().eq([character]);
        self.form_of[character as usize] = if itself { ITSELF } else { FORMS + self.forms.len() as u32 };
        if !itself {
            self.forms.push(form);
        }
    }

    /// Write the `match_form` of *text* to *normalized*, after one space and before eleven.
    pub fn normalize(&self, text: &str, normalized: &mut Vec<u8>) -> Option<()> {
        if may_be_html(text) {
            return None;
        }
        normalized.clear();
        normalized.push(b' ');
        let mut rest = text;
        while !rest.is_empty() {
            let plain = plain_bytes(rest.as_bytes());
            self.push_ascii(&rest.as_bytes()[..plain], normalized);
            rest = &rest[plain..];
            let Some(character) = rest.chars().next() else { break };
            let (character, length) =
                if character == '&' { reference(rest)? } else { (character, character.len_utf8()) };
            match u8::try_from(character) {
                Ok(byte @ 0..0x80) => self.push_ascii(&[byte], normalized),
                _ => self.push(character, normalized)?,
            }
            rest = &rest[length..];
        }
        if normalized.last() == Some(&b' ') {
            normalized.pop();
        }
        let mixes = self.mixes_scripts(normalized);
        normalized.extend_from_slice(b"           ");
        (!mixes).then_some(())
    }

    /// Whether a Latin letter touches a letter of another script that may look like one.
    fn mixes_scripts(&self, normalized: &[u8]) -> bool {
        // The scripts with lookalikes start with these bytes: most texts return here.
        let others = |byte: &u8| (0xCD..=0xD4).contains(byte);
        normalized.iter().enumerate().filter(|(_, byte)| others(byte)).any(|(at, _)| {
            let latin = |at: usize| normalized.get(at).is_some_and(u8::is_ascii_lowercase);
            self.class_at(normalized, at) & LOOKALIKE != 0 && (latin(at - 1) || latin(at + 2))
        })
    }

    /// Append lower case, and one space for each run of white space. Eight characters at a time where there is none.
    fn push_ascii(&self, bytes: &[u8], normalized: &mut Vec<u8>) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            match lower(*chunk, normalized.last().copied().unwrap_or(b' ')) {
                Some(lower) => normalized.extend_from_slice(&lower),
                None => self.push_each(chunk, normalized),
            }
        }
        self.push_each(rest, normalized);
    }

    fn push_each(&self, bytes: &[u8], normalized: &mut Vec<u8>) {
        let mut last = normalized.last().copied().unwrap_or(b' ');
        for byte in bytes {
            let character = self.ascii[usize::from(byte & 0x7f)];
            if character != b' ' || last != b' ' {
                normalized.push(character);
            }
            last = character;
        }
    }

    fn push(&self, character: char, normalized: &mut Vec<u8>) -> Option<()> {
        match self.form_of.get(character as usize).copied().unwrap_or(LEFT) {
            LEFT => return None,
            ITSELF => normalized.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            number => {
                for part in self.forms[(number - FORMS) as usize].chars() {
                    if part != ' ' || normalized.last() != Some(&b' ') {
                        normalized.extend_from_slice(part.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
            }
        }
        Some(())
    }

    /// Whether *byte* is an ASCII letter, digit or underscore.
    pub fn is_ascii_word(&self, byte: u8) -> bool {
        byte.is_ascii() && self.classes[usize::from(byte)] & WORD != 0
    }

    /// Classes of the character before *at* in *normalized*.
    pub fn class_before(&self, normalized: &[u8], at: usize) -> u8 {
        (0..at)
            .rev()
            .find(|position| is_first(normalized[*position]))
            .map_or(0, |first| self.class_at(normalized, first))
    }

    /// Classes of the character that starts at *at* in *normalized*.
    pub fn class_at(&self, normalized: &[u8], at: usize) -> u8 {
        match normalized.get(at) {
            None => 0,
            Some(byte) if *byte < 0x80 => self.classes[usize::from(*byte)],
            Some(_) => self.classes.get(first_character(&normalized[at..]) as usize).copied().unwrap_or(0),
        }
    }
}

/// Whether *byte* is the first byte of a character.
pub fn is_first(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

fn first_character(bytes: &[u8]) -> char {
    let length = 1 + bytes[1..].iter().take_while(|byte| !is_first(**byte)).count();
    std::str::from_utf8(&bytes[..length]).ok().and_then(|text| text.chars().next()).unwrap_or('\0')
}

/// The number of bytes before the first `&` or non-ASCII character. Tests eight bytes at a time.
fn plain_bytes(bytes: &[u8]) -> usize {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let special = |chunk: &[u8; 8]| {
        let characters = u64::from_le_bytes(*chunk);
        (characters | zero_bytes(characters ^ (ONES * u64::from(b'&')))) & TOPS
    };
    match chunks.iter().map(special).enumerate().find(|(_, special)| *special != 0) {
        Some((at, special)) => 8 * at + special.trailing_zeros() as usize / 8,
        None => 8 * chunks.len() + rest.iter().take_while(|byte| byte.is_ascii() && **byte != b'&').count(),
    }
}

/// Eight ASCII characters in lower case; None if a space follows a space, or if there may be other white space.
fn lower(chunk: [u8; 8], last: u8) -> Option<[u8; 8]> {
    let characters = u64::from_le_bytes(chunk);
    // No byte reaches 0x80, so no sum carries into the next.
    let controls = !(characters + ONES * 0x60) & TOPS;
    let spaces = !((characters ^ (ONES * 0x20)) + ONES * 0x7F) & TOPS;
    let doubled = spaces & (spaces << 8 | if last == b' ' { 0x80 } else { 0 });
    if controls | doubled != 0 {
        return None;
    }
    let capitals = (characters + ONES * (0x80 - b'A' as u64)) & !(characters + ONES * (0x7F - b'Z' as u64)) & TOPS;
    Some((characters | capitals >> 2).to_le_bytes())
}

/// The Python functions that define the classes of a character.
struct Reference<'py> {
    py: Python<'py>,
    is_word: Bound<'py, PyAny>,
    is_unspaced: Bound<'py, PyAny>,
    is_lookalike_script: Bound<'py, PyAny>,
    match_characters: Bound<'py, PyAny>,
    normalize_characters: Bound<'py, PyAny>,
    category: Bound<'py, PyAny>,
}

struct Traits {
    classes: u8,
    space: bool,
    /// Whether NFKC may join this character with its neighbour.
    joins: bool,
}

impl<'py> Reference<'py> {
    fn new(py: Python<'py>) -> PyResult<Self> {
        let characters = py.import("brandpulse.text.characters")?;
        let match_form = py.import("brandpulse.text.match_form")?;
        Ok(Self {
            py,
            is_word: characters.getattr("is_word")?,
            is_unspaced: characters.getattr("is_unspaced")?,
            is_lookalike_script: match_form.getattr("is_lookalike_script")?,
            match_characters: match_form.getattr("match_characters")?,
            normalize_characters: characters.getattr("normalize_characters")?,
            category: py.import("unicodedata")?.getattr("category")?,
        })
    }

    /// The form of each line of *lines*.
    fn match_form(&self, lines: &str) -> PyResult<String> {
        self.match_characters.call1((self.normalize_characters.call1((lines,))?,))?.extract()
    }

    fn traits(&self, character: char) -> PyResult<Traits> {
        let text = PyString::new(self.py, character.encode_utf8(&mut [0; 4]));
        let classes = [
            (ALNUM, text.call_method0(intern!(self.py, "isalnum"))?.is_truthy()?),
            (WORD, self.is_word.call1((&text,))?.is_truthy()?),
            (UNSPACED, self.is_unspaced.call1((&text,))?.is_truthy()?),
            (LOOKALIKE, self.is_lookalike_script.call1((&text,))?.is_truthy()?),
        ];
        let category = self.category.call1((&text,))?.cast_into::<PyString>()?;
        Ok(Traits {
            classes: classes.iter().filter(|(_, holds)| *holds).map(|(class, _)| class).sum(),
            space: text.call_method0(intern!(self.py, "isspace"))?.is_truthy()?,
            joins: category.to_cow()?.starts_with('M') || ('\u{1100}'..'\u{1200}').contains(&character),
        })
    }
}
