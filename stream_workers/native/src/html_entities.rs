//! `brandpulse.text.html_entities.unescape`, for what posts are full of; other references are left to Python.

/// What an `&` at the start of *rest* stands for, and how many bytes it takes with it.
///
/// `html.unescape` also knows names without their semicolon, and takes the longest beginning that is a name: those are
/// Python's. All names are two or more ASCII letters and digits, the first a letter.
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
        .map(|(name, letter)| (*letter, 1 + name.len()))
}

/// Two or three digits of printable ASCII, *rest* being what follows `&#`.
fn numbered(rest: &str) -> Option<(char, usize)> {
    if !rest.starts_with(|letter: char| letter.is_ascii_hexdigit() || matches!(letter, 'x' | 'X')) {
        return Some(('&', 1));
    }
    let (digits, _) = rest.as_bytes().split_at_checked(rest.bytes().take(4).position(|byte| byte == b';')?)?;
    let text = std::str::from_utf8(digits).ok()?;
    let number = match text.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => u8::from_str_radix(hexadecimal, 16),
        None => text.parse(),
    };
    let letter = number.ok().filter(|number| (0x20..0x7f).contains(number) && !text.contains('+'))?;
    Some((char::from(letter), 2 + digits.len() + 1))
}
