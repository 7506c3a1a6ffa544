"""The one form of a post's text that the model sees, in training and in serving alike."""

import html
import re

MAX_CHARACTERS = 2_000
"""Longer posts are cut here before any other work, so one huge post cannot hold up its batch."""

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_ELONGATION = re.compile(r"([^\d\s])\1{3,}")
_LINK = re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE)
_HANDLE = re.compile(r"(?<!\w)@\w+")


def normalise(text: str, *, max_characters: int = MAX_CHARACTERS) -> str:
    """*text* with entities unescaped, handles as `@user`, links as `http`, runs of one character cut to three.

    Control characters and lone surrogates (which the tokeniser cannot encode) become spaces; all whitespace
    becomes single spaces. Case, hashtags and emoji stay. The result has at most *max_characters* characters,
    and normalising it again changes nothing.
    """
    text = _shorten_runs(text[:max_characters])
    # Until nothing changes: `&amp;lt;3` is met in posts that were escaped twice. Each round is shorter than the last.
    while "&" in text and (plain := _shorten_runs(_ENTITY.sub(_character, text))) != text:
        text = plain
    text = _UNPRINTABLE.sub(" ", text)
    text = _LINK.sub("http", text)
    text = _HANDLE.sub("@user", text)
    return " ".join(text.split())[:max_characters].rstrip()


def _shorten_runs(text: str) -> str:
    return _ELONGATION.sub(r"\1\1\1", text)


def _character(entity: re.Match[str]) -> str:
    return html.unescape(entity.group())
