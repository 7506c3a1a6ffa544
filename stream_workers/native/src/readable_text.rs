//! Which texts `brandpulse.text.readable_text` may give a form that the rest of this crate does not: left to Python.

use memchr::memchr2_iter;

use crate::html_entities::reference;

/// Whether *text* may hold a tag, or a reference that is complete only after another is resolved. May be true too often.
///
/// The other changes of that form are made here too: simple references, invisible and control characters, NFC.
pub fn may_be_html(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut end = 0;
    for at in memchr2_iter(b'<', b'&', bytes) {
        if at < end {
            continue;
        }
        let resolved = if bytes[at] == b'&' { reference(&text[at..]) } else { Some(('<', 1)) };
        let Some((character, length)) = resolved else { return true };
        end = at + length;
        let next = bytes.get(end).copied().unwrap_or(b' ');
        let may = match character {
            '<' => next.is_ascii_alphabetic() || next == b'/' || may_vanish(next),
            '&' if length > 1 => is_part(next) || may_vanish(next),
            // "AT&T" stays; "&a&#109;p;" is a reference.
            '&' => bytes[end..].iter().find(|byte| !is_part(**byte)).is_some_and(|byte| may_vanish(*byte)),
            _ => false,
        };
        if may {
            return true;
        }
    }
    false
}

/// Whether *byte* may be part of a reference.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'#'
}

/// Whether *byte* starts another reference, or a character that may be invisible.
fn may_vanish(byte: u8) -> bool {
    byte == b'&' || !byte.is_ascii()
}
