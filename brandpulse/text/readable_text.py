"""The normal form of a post's text: what a person sees on the platform. Matcher and model read this form.

The worker makes it once, when it decodes a record, whichever program wrote the record. The record keeps the original.
"""

import re
import unicodedata

from brandpulse.text.html_entities import unescape
from brandpulse.text.html_text import html_text

FORM_VERSION = 1
"""Written with each scored post. A change that gives any text another form increases it."""

INVISIBLE = (
    "\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff\ufff9\ufffa\ufffb"
)
"""Soft hyphen, zero-width space and no-break space, marks of direction, invisible operators, annotation marks."""

_INVISIBLE = re.compile(f"[{INVISIBLE}]")
# Between letters of Persian or Indic scripts and between emoji, joiners change what people see.
_JOINERS = re.compile("(?<![\u0590-\U0010ffff])[\u200c\u200d]|[\u200c\u200d](?![\u0590-\U0010ffff])")
_JOINER_RUN = re.compile("([\u200c\u200d])[\u200c\u200d]+")
# The flags of England, Scotland and Wales end with tags. Elsewhere, tags are text that people cannot see.
_TAGS = re.compile("(\U0001f3f4[\U000e0020-\U000e007f]+)|[\U000e0000-\U000e007f]+")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1b]")
_HTML_TAG = re.compile(
    r"</?(?:a|b|i|u|p|br|hr|em|strong|span|div|ul|ol|li|blockquote|pre|code|img|h[1-6]|font|script|style|table|tr|td)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_MOST_ROUNDS = 8


def readable_text(text: str) -> str:
    """*text* without HTML and without invisible characters, in Unicode NFC. Deterministic.

    HTML is read if *text* has common tags, else only its character references: `I <3 you & me` stays as it is. A text
    escaped several times is read until nothing changes. Control characters become spaces. Case, links, user names,
    emoji and line breaks stay.
    """
    text = _visible(text)
    for _ in range(_MOST_ROUNDS):
        if "<" not in text and "&" not in text:
            break
        plain = _visible(without_html(text))
        if plain == text:
            break
        text = plain
    return text


def without_html(text: str) -> str:
    """*text* without HTML: tags if it has common ones, and character references."""
    if "<" in text and _HTML_TAG.search(text):
        return html_text(text)
    return _REFERENCE.sub(lambda found: unescape(found[0]), text) if "&" in text else text


def _visible(text: str) -> str:
    # Cheaper tests first: most posts are printable ASCII.
    if not text.isprintable():
        text = _CONTROLS.sub(" ", text)
        if not text.isascii():
            text = _TAGS.sub(r"\1", _INVISIBLE.sub("", text))
            # In NFC first, which turns the Kelvin sign into the letter K, so that a joiner beside it joins nothing.
            text = _JOINERS.sub("", _JOINER_RUN.sub(r"\1", unicodedata.normalize("NFC", text)))
    return text if text.isascii() else unicodedata.normalize("NFC", text)
