//! `brandpulse.text.brand_matcher.fold`, letter by letter, and what it asks about the letters of a folded text.

use std::ops::Range;
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::swar::{ONES, TOPS, zero_bytes};
use crate::html_entities::reference;

/// `str.isalnum`, `_is_word` and `_is_unspaced` of a character.
pub const ALNUM: u8 = 1;
pub const WORD: u8 = 2;
pub const UNSPACED: u8 = 4;

/// The characters beyond ASCII that Python is asked about; the others leave their text to it.
const ASKED: [Range<u32>; 4] = [0x80..0xD800, 0xF900..0x1_0000, 0x1_D400..0x1_D800, 0x1_F000..0x1_FB00];
const END: usize = 0x1_FB00;

/// In place of a folded form's number.
const LEFT: u32 = 0;
const ITSELF: u32 = 1;
const FORMS: u32 = 2;

/// What each character is folded to, and what kind it is.
///
/// A text is folded letter by letter, which is right where NFKC joins no letter with its neighbour: it joins marks and
/// the parts of Hangul. A letter that is one, or becomes one, leaves its text to Python.
pub struct Letters {
    ascii: [u8; 128],
    folds: Vec<u32>,
    /// White space is a plain space in them.
    forms: Vec<String>,
    kinds: Vec<u8>,
}

static LETTERS: PyOnceLock<Arc<Letters>> = PyOnceLock::new();

impl Letters {
    /// As the reference has them; it is asked once a process.
    pub fn of(py: Python<'_>) -> PyResult<Arc<Self>> {
        LETTERS.get_or_try_init(py, || Self::asked(py).map(Arc::new)).cloned()
    }

    fn asked(py: Python<'_>) -> PyResult<Self> {
        let points: Vec<char> = ASKED.into_iter().flatten().filter_map(char::from_u32).collect();
        let mut letters = Self { ascii: [0; 128], folds: vec![LEFT; END], forms: Vec::new(), kinds: vec![0; END] };
        let mut spaces = vec![false; END];
        let mut certain = vec![false; END];
        let questions = Questions::new(py)?;
        for letter in ('\0'..'\u{80}').chain(points.iter().copied()) {
            let its = questions.ask(letter)?;
            letters.kinds[letter as usize] = its.kind;
            spaces[letter as usize] = its.space;
            certain[letter as usize] = !its.joins;
        }
        let is = |of: &[bool], letter: char| of.get(letter as usize).copied().unwrap_or(false);
        let spaced = |letter: char| if is(&spaces, letter) { ' ' } else { letter };
        for letter in '\0'..'\u{80}' {
            letters.ascii[letter as usize] = spaced(letter.to_ascii_lowercase()) as u8;
        }
        // All at once, which saves the calls: a line break is joined with nothing, either.
        let lines: String = points.iter().flat_map(|letter| [*letter, '\n']).collect();
        let folded: String =
            py.import("brandpulse.text.brand_matcher")?.call_method1("fold_characters", (&lines,))?.extract()?;
        let composed: String = py.import("unicodedata")?.call_method1("normalize", ("NFKC", &lines))?.extract()?;
        if [&folded, &composed].iter().any(|text| text.matches('\n').count() != points.len()) {
            return Err(PyRuntimeError::new_err("a character is folded into a line break"));
        }
        for (letter, (form, composed)) in points.into_iter().zip(folded.split('\n').zip(composed.split('\n'))) {
            // Empty is what Python takes out before NFKC looks.
            if form.is_empty() || form.chars().chain(composed.chars()).all(|part| is(&certain, part)) {
                letters.put(letter, form.chars().map(spaced).collect());
            }
        }
        Ok(letters)
    }

    fn put(&mut self, letter: char, form: String) {
        let itself = form.chars().eq([letter]);
        self.folds[letter as usize] = if itself { ITSELF } else { FORMS + self.forms.len() as u32 };
        if !itself {
            self.forms.push(form);
        }
    }

    /// *text* as `fold` has it, into *folded*: after one space, and before eleven.
    pub fn fold(&self, text: &str, folded: &mut Vec<u8>) -> Option<()> {
        folded.clear();
        folded.push(b' ');
        let mut rest = text;
        while !rest.is_empty() {
            let plain = plain_bytes(rest.as_bytes());
            self.push_ascii(&rest.as_bytes()[..plain], folded);
            rest = &rest[plain..];
            let Some(letter) = rest.chars().next() else { break };
            let (letter, length) = if letter == '&' { reference(rest)? } else { (letter, letter.len_utf8()) };
            match u8::try_from(letter) {
                Ok(byte @ 0..0x80) => self.push_ascii(&[byte], folded),
                _ => self.push(letter, folded)?,
            }
            rest = &rest[length..];
        }
        if folded.last() == Some(&b' ') {
            folded.pop();
        }
        folded.extend_from_slice(b"           ");
        Some(())
    }

    /// Each run of white space as one space; eight letters at a time where there is none.
    fn push_ascii(&self, bytes: &[u8], folded: &mut Vec<u8>) {
        let (eights, rest) = bytes.as_chunks::<8>();
        for eight in eights {
            match lower(*eight, folded.last().copied().unwrap_or(b' ')) {
                Some(lower) => folded.extend_from_slice(&lower),
                None => self.push_each(eight, folded),
            }
        }
        self.push_each(rest, folded);
    }

    fn push_each(&self, bytes: &[u8], folded: &mut Vec<u8>) {
        let mut last = folded.last().copied().unwrap_or(b' ');
        for byte in bytes {
            let letter = self.ascii[usize::from(byte & 0x7f)];
            if letter != b' ' || last != b' ' {
                folded.push(letter);
            }
            last = letter;
        }
    }

    fn push(&self, letter: char, folded: &mut Vec<u8>) -> Option<()> {
        match self.folds.get(letter as usize).copied().unwrap_or(LEFT) {
            LEFT => return None,
            ITSELF => folded.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            number => {
                for part in self.forms[(number - FORMS) as usize].chars() {
                    if part != ' ' || folded.last() != Some(&b' ') {
                        folded.extend_from_slice(part.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
            }
        }
        Some(())
    }

    /// Whether *byte* is a letter, digit or underscore of ASCII.
    pub fn is_ascii_word(&self, byte: u8) -> bool {
        byte.is_ascii() && self.kinds[usize::from(byte)] & WORD != 0
    }

    /// Of the character before *at* in *folded*.
    pub fn kind_before(&self, folded: &[u8], at: usize) -> u8 {
        (0..at).rev().find(|place| is_first(folded[*place])).map_or(0, |first| self.kind_at(folded, first))
    }

    /// Of the character that begins at *at* in *folded*.
    pub fn kind_at(&self, folded: &[u8], at: usize) -> u8 {
        match folded.get(at) {
            None => 0,
            Some(byte) if *byte < 0x80 => self.kinds[usize::from(*byte)],
            Some(_) => self.kinds.get(decoded(&folded[at..]) as usize).copied().unwrap_or(0),
        }
    }
}

/// Whether a character begins with *byte*.
pub fn is_first(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

fn decoded(bytes: &[u8]) -> char {
    let length = 1 + bytes[1..].iter().take_while(|byte| !is_first(**byte)).count();
    std::str::from_utf8(&bytes[..length]).ok().and_then(|text| text.chars().next()).unwrap_or('\0')
}

/// How many bytes lie before the first `&` or character beyond ASCII; eight at a time.
fn plain_bytes(bytes: &[u8]) -> usize {
    let (eights, rest) = bytes.as_chunks::<8>();
    let special = |eight: &[u8; 8]| {
        let letters = u64::from_le_bytes(*eight);
        (letters | zero_bytes(letters ^ (ONES * u64::from(b'&')))) & TOPS
    };
    match eights.iter().map(special).enumerate().find(|(_, special)| *special != 0) {
        Some((at, special)) => 8 * at + special.trailing_zeros() as usize / 8,
        None => 8 * eights.len() + rest.iter().take_while(|byte| byte.is_ascii() && **byte != b'&').count(),
    }
}

/// Eight ASCII letters in lower case; None if a space follows a space in them, or there may be other white space.
fn lower(eight: [u8; 8], last: u8) -> Option<[u8; 8]> {
    let letters = u64::from_le_bytes(eight);
    // No byte reaches 0x80, so no sum carries into the next.
    let controls = !(letters + ONES * 0x60) & TOPS;
    let spaces = !((letters ^ (ONES * 0x20)) + ONES * 0x7F) & TOPS;
    let doubled = spaces & (spaces << 8 | if last == b' ' { 0x80 } else { 0 });
    if controls | doubled != 0 {
        return None;
    }
    let capitals = (letters + ONES * (0x80 - b'A' as u64)) & !(letters + ONES * (0x7F - b'Z' as u64)) & TOPS;
    Some((letters | capitals >> 2).to_le_bytes())
}

/// The questions that Python is asked about a letter.
struct Questions<'py> {
    py: Python<'py>,
    is_word: Bound<'py, PyAny>,
    is_unspaced: Bound<'py, PyAny>,
    category: Bound<'py, PyAny>,
}

struct Traits {
    kind: u8,
    space: bool,
    /// Whether NFKC may make one character of this one and its neighbour.
    joins: bool,
}

impl<'py> Questions<'py> {
    fn new(py: Python<'py>) -> PyResult<Self> {
        let reference = py.import("brandpulse.text.brand_matcher")?;
        Ok(Self {
            py,
            is_word: reference.getattr("_is_word")?,
            is_unspaced: reference.getattr("_is_unspaced")?,
            category: py.import("unicodedata")?.getattr("category")?,
        })
    }

    fn ask(&self, letter: char) -> PyResult<Traits> {
        let text = PyString::new(self.py, letter.encode_utf8(&mut [0; 4]));
        let kinds = [
            (ALNUM, text.call_method0(intern!(self.py, "isalnum"))?.is_truthy()?),
            (WORD, self.is_word.call1((&text,))?.is_truthy()?),
            (UNSPACED, self.is_unspaced.call1((&text,))?.is_truthy()?),
        ];
        let category = self.category.call1((&text,))?.cast_into::<PyString>()?;
        Ok(Traits {
            kind: kinds.iter().filter(|(_, is)| *is).map(|(kind, _)| kind).sum(),
            space: text.call_method0(intern!(self.py, "isspace"))?.is_truthy()?,
            joins: category.to_cow()?.starts_with('M') || ('\u{1100}'..'\u{1200}').contains(&letter),
        })
    }
}
