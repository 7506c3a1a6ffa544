//! `brandpulse.text.html_entities.unescape` for the references that are common in posts; others are left to Python.

/// The character of the reference at the start of *rest*, and its length in bytes.
///
/// `html.unescape` also accepts names without a semicolon and uses the longest prefix that is a name: those are left to
/// Python. A name has two or more ASCII letters and digits and starts with a letter.
pub fn reference(rest: &str) -> Option<(char, usize)> {
    let bytes = rest.as_bytes();
    if bytes.get(1) == Some(&b'#') {
        return numbered(&rest[2..]);
    }
    let named = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    // "this & that", "AT&T", "Q&A".
    if !named(1) || (!named(2) && bytes.get(2) != Some(&b';')) {
        return Some(('&', 1));
    }
    [("amp;", '&'), ("lt;", '<'), ("gt;", '>'), ("quot;", '"'), ("apos;", '\''), ("nbsp;", '\u{a0}')]
        .iter()
        .find(|(name, _)| rest[1..].starts_with(name))
        .map(|(name, character)| (*character, 1 + name.len()))
}

/// A number of two or three digits for printable ASCII. *rest* follows `&#`.
fn numbered(rest: &str) -> Option<(char, usize)> {
    if !rest.starts_with(|character: char| character.is_ascii_hexdigit() || matches!(character, 'x' | 'X')) {
        return Some(('&', 1));
    }
    let (digits, _) = rest.as_bytes().split_at_checked(rest.bytes().take(4).position(|byte| byte == b';')?)?;
    let text = std::str::from_utf8(digits).ok()?;
    let number = match text.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => u8::from_str_radix(hexadecimal, 16),
        None => text.parse(),
    };
    let character = number.ok().filter(|number| (0x20..0x7f).contains(number) && !text.contains('+'))?;
    Some((char::from(character), 2 + digits.len() + 1))
}
