"""The form of a post's text that the model sees, the same in training and in serving."""

import html
import re

MAX_CHARACTERS = 2_000
"""Longer posts are cut off before any other work, so that one huge post cannot delay its batch."""

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
MARKER = "\ue000"
"""Marks a mention of a target (`model.inputs.target_marking`): one token of the weights' tokeniser, never in a post."""
_ELONGATION = re.compile(r"([^\d\s])\1{3,}")
_FOUR = re.compile(r"(.)\1\1\1", re.DOTALL)
"""Any four of one character: this search costs a sixth of the one above, and finds nothing in most posts."""
_NO_WEIGHT = re.compile("[\u200b-\u200f\u2060\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
"""Zero-width marks, variation selectors and skin tones, which give one emoji 60 forms."""
EMOJI = re.compile("[\u2190-\u21ff\u2300-\u27bf\u2900-\u297f\u2b00-\u2bff\U0001f000-\U0001faff]")
_LINK = re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE)
_HANDLE = re.compile(r"(?<!\w)@\w+")


def normalize(
    text: str, *, max_characters: int = MAX_CHARACTERS, keep_handles: bool = False, keep_markers: bool = False
) -> str:
    """*text* with entities unescaped, handles as `@user`, links as `http`, runs of one character shortened to three.

    Control characters, markers and lone surrogates (which the tokeniser cannot encode) become spaces; all whitespace
    becomes single spaces. Case and hashtags stay; emoji stay apart, without skin tone. The result has at most
    *max_characters* characters, and normalising it again changes nothing. Only `model.inputs.target_marking` sets
    *keep_handles* and *keep_markers*: it normalises before it searches its targets, and again after it has marked them.
    """
    text = _shorten_runs(text[:max_characters])
    # Until nothing changes: `&amp;lt;3` occurs in posts that were escaped twice. Each round makes the text shorter.
    while "&" in text and (plain := _shorten_runs(_ENTITY.sub(_character, text))) != text:
        text = plain
    # Each expression runs only if a cheaper test shows that it may match: a third of the time over all posts.
    unmarked = text.replace(MARKER, " ")
    if not unmarked.isprintable():
        text = _UNPRINTABLE.sub(" ", text)
    if not unmarked.isascii():
        # The tokeniser does not know a word with an emoji attached.
        text = EMOJI.sub(r" \g<0> ", _NO_WEIGHT.sub("", text))
    if "://" in text or "www." in text.lower():
        text = _LINK.sub("http", text)
    if not keep_markers:
        text = text.replace(MARKER, " ")
    if not keep_handles and "@" in text:
        text = _HANDLE.sub("@user", text)
    return single_spaces(text)[:max_characters].rstrip()


def _shorten_runs(text: str) -> str:
    return _ELONGATION.sub(r"\1\1\1", text) if _FOUR.search(text) else text


def single_spaces(text: str) -> str:
    """*text* with each run of white space as one space, and none at its ends."""
    # Of white space only the plain space is printable. The marker is neither printable nor white space.
    if "  " not in text and text[:1] != " " != text[-1:] and text.replace(MARKER, ".").isprintable():
        return text
    return " ".join(text.split())


def _character(entity: re.Match[str]) -> str:
    return html.unescape(entity.group())
