"""Groups posts with the same text: copies differ in user mentions, links, case, white space, punctuation, emoji,
numbers at the end, repost prefixes or HTML, and in a tenth of their letters or words (`near_copies`).
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from brandpulse.state.stored_posts import HourPost
from brandpulse.text.near_copies import CACHED_TEXTS, CopyIndex

COMPARED_LETTERS = 500
"""Length of a normal form: stored texts are cut off, and 500 letters distinguish long ones."""
LEAST_CUT_LETTERS = 40
"""A shorter beginning of a text does not count as a cut-off copy of it."""

_BLOCK_TAG = re.compile(r"</?(?:p|br|div|li|ul|ol|blockquote|h\d)\b[^<>]{0,500}>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]{0,500}>", re.IGNORECASE)
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_LINK = re.compile(
    r"(?:https?://|www\.)\S+|\b(?:pic\.(?:twitter|x)\.com|t\.co|bit\.ly|youtu\.be|buff\.ly|ow\.ly|tinyurl\.com)/\S+"
)
_MENTION = re.compile(r"[\w.+-]*@\w[\w.-]*(?:@[\w-]+(?:\.[\w-]+)+)?|(?<![\w/])/?u/[\w-]+")
_REPOST = re.compile(r"^\W*(?:(?:rt|mt|qt|retweet|repost)\b\W*)+")
_VIA = re.compile(r"\W*\b(?:via|by|from|h/t|cc)\s*\Z")
_WORD = re.compile(r"[^\W_]+")
_SEPARATED_MENTION = " \x00 "


def normal_form(text: str) -> str:
    """The part that copies of *text* share: its letters and digits, case-folded.

    A text without any (only emoji, only a link) becomes its case-folded self with a prefix.
    """
    return "".join(normal_words(text))[:COMPARED_LETTERS]


@lru_cache(maxsize=CACHED_TEXTS)
def normal_words(text: str) -> tuple[str, ...]:
    """`normal_form` in words; a text without letters is one word."""
    plain = html.unescape(html.unescape(text)) if "&" in text else text
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", plain)).casefold()
    if "<" in plain:
        plain = _TAG.sub("", _BLOCK_TAG.sub(" ", plain))
    content = _MENTION.sub(_SEPARATED_MENTION, _LINK.sub(" ", plain))
    content = _without_credit(_REPOST.sub("", content.replace("\x00", " \x00 ").strip()))
    words = _WORD.findall(content)
    while words and words[-1].isdigit():
        words.pop()
    if words:
        return tuple(words[:COMPARED_LETTERS])
    return ("\x01" + ("".join(content.split()) or " ".join(plain.split()))[:COMPARED_LETTERS],)


def _without_credit(content: str) -> str:
    """*content* without a credit to its author at the end."""
    if not content.rstrip().endswith("\x00"):
        return content.replace("\x00", " ")
    bare = content.rstrip()
    while bare.endswith("\x00"):
        bare = bare[:-1].rstrip()
    return _VIA.sub("", bare).replace("\x00", " ")


@dataclass(frozen=True, slots=True)
class CopyGroup:
    """Posts of one text."""

    posts: Sequence[HourPost]
    """In the order of display: the most certainly negative first, or the newest."""

    @property
    def authors(self) -> frozenset[str]:
        return frozenset(post.author for post in self.posts)


def copy_groups(posts: Iterable[HourPost], *, surest: bool = True) -> list[CopyGroup]:
    """*posts* by text: texts of most accounts first; of texts of fewer than three accounts, the most negative first.

    With *surest* False, the newest first.
    """
    order = _surest_first if surest else _newest_first
    groups = [CopyGroup(sorted(found, key=order)) for found in posts_by_text(posts)]
    return sorted(groups, key=lambda group: (_many(group), *order(group.posts[0])))


def posts_by_text(posts: Iterable[HourPost]) -> list[list[HourPost]]:
    """*posts* by text, each text's oldest post first. The result does not depend on the order of *posts*."""
    index = CopyIndex()
    by_text: dict[int, list[HourPost]] = {}
    groups: dict[str, int] = {}
    cut: dict[tuple[str, ...], list[HourPost]] = {}
    for post in sorted(posts, key=lambda post: (post.created_ms, post.source, post.id)):
        words = normal_words(post.text)
        if _is_cut(post.text) and sum(map(len, words)) >= LEAST_CUT_LETTERS:
            cut.setdefault(words, []).append(post)
            continue
        group = groups["".join(words)] = index.add(words)
        by_text.setdefault(group, []).append(post)
    for words, found in cut.items():
        beginning = "".join(words)
        whole = next((group for form, group in groups.items() if form.startswith(beginning)), None)
        by_text.setdefault(index.add(words) if whole is None else whole, []).extend(found)
    return list(by_text.values())


def _is_cut(text: str) -> bool:
    return text.rstrip().removesuffix("»").removesuffix('"').endswith(("…", "..."))


def _surest_first(post: HourPost) -> tuple[float, int, str]:
    return -post.negative, -post.created_ms, post.id


def _newest_first(post: HourPost) -> tuple[float, int, str]:
    return 0.0, -post.created_ms, post.id


MANY_ACCOUNTS = 3
"""Smallest number of accounts at which copies of a text are not a coincidence."""


def _many(group: CopyGroup) -> int:
    accounts = len(group.authors)
    return -accounts if accounts >= MANY_ACCOUNTS else 0
