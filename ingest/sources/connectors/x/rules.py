"""What X searches for a brand: rules of the filtered stream, and queries of the recent search. Pure.

Source: docs.x.com, "Build a rule" and "Build a query". A space is AND and binds before OR; a group cannot be negated;
accents count. The rules only narrow what is paid for: which posts name a brand is decided by the brands file later.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from brandpulse.config.brands_file import Brand
from ingest.sources.connectors.x.settings import XSettings

RULE_CHARS = 1_024
QUERY_CHARS = 512
MOST_RULES = 1_000
"""Of an app with pay-per-use access."""
TAG = "brandpulse: "
"""Tags of our rules begin with it. Other rules of the app are left alone."""
TAG_CHARS = 120
_HANDLE = re.compile(r"^\w{1,15}$", re.ASCII)
_HASHTAG = re.compile(r"^\w*[^\W\d]\w*$")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the stream."""

    value: str
    tag: str

    @property
    def brand(self) -> str:
        return self.tag.removeprefix(TAG)


def stream_rules(brands: Sequence[Brand], settings: XSettings) -> list[Rule]:
    """The rules for *brands*; a brand with many words has several, one without words for X has none."""
    suffix = _suffix(settings)
    return [
        Rule(value + suffix, (TAG + brand.name)[:TAG_CHARS])
        for brand in brands
        for value in _values(brand, RULE_CHARS - len(suffix))
    ]


def search_queries(brands: Sequence[Brand], settings: XSettings) -> list[str]:
    """The fewest queries that find what the rules of *brands* find."""
    suffix = _suffix(settings)
    room = QUERY_CHARS - len(suffix) - 2
    packed: list[str] = []
    for value in dict.fromkeys(value for brand in brands for value in _values(brand, room)):
        joined = f"{packed[-1]} OR {value}" if packed else value
        if packed and len(joined) <= room:
            packed[-1] = joined
        else:
            packed.append(value)
    return [f"({value}){suffix}" if " OR " in value else value + suffix for value in packed]


def unsearchable(brands: Sequence[Brand]) -> list[str]:
    """Names of brands without a word that X can search."""
    return [brand.name for brand in brands if not _values(brand, RULE_CHARS)]


def _suffix(settings: XSettings) -> str:
    languages = [f"lang:{code}" for code in settings.languages]
    among = f" ({' OR '.join(languages)})" if len(languages) > 1 else "".join(f" {one}" for one in languages)
    return f" -is:retweet{among} {settings.extra_terms.strip()}".rstrip()


def _values(brand: Brand, room: int) -> list[str]:
    """Expressions of at most *room* characters that together find the brand."""
    words, handles = _alternatives(brand)
    context = _context(brand, room // 2)
    if not context:
        return _packed([*handles, *words], "", room)
    return [*_packed(handles, "", room), *_packed(words, context, room)]


def _packed(alternatives: Sequence[str], context: str, room: int) -> list[str]:
    groups: list[list[str]] = []
    for one in alternatives:
        if groups and len(_grouped([*groups[-1], one], context)) <= room:
            groups[-1].append(one)
        elif len(_grouped([one], context)) <= room:
            groups.append([one])
    return [_grouped(group, context) for group in groups]


def _grouped(alternatives: Sequence[str], context: str) -> str:
    either = f"({' OR '.join(alternatives)})" if len(alternatives) > 1 else alternatives[0]
    return f"({either}{context})" if context else either


def _alternatives(brand: Brand) -> tuple[list[str], list[str]]:
    """(terms and hashtags, handles) in X's form."""
    handles = [*brand.handles, *(term[1:] for term in brand.terms if term.startswith("@"))]
    hashtags = [*brand.hashtags, *(term[1:] for term in brand.terms if term.startswith("#"))]
    terms = [term for term in brand.terms if not term.startswith(("@", "#"))]
    # A keyword does not match inside a hashtag: "acme air" also needs #acmeair.
    hashtags += [joined for term in terms if (joined := re.sub(r"[\W_]+", "", term))]
    words = [f'"{spelling}"' for term in terms for spelling in _spellings(_quotable(term))]
    words += [f"#{spelling}" for tag in hashtags if _HASHTAG.match(tag) for spelling in _spellings(tag)]
    mentions = [f"@{handle}" for handle in handles if _HANDLE.match(handle)]
    return _once(words), _once(mentions)


def _context(brand: Brand, room: int) -> str:
    """What `require` and `exclude` add. Left out where it is too long: then X sends more, and the filter decides."""
    required = _once(f'"{spelling}"' for word in brand.require for spelling in _spellings(_quotable(word)))
    either = f" ({' OR '.join(required)})" if len(required) > 1 else "".join(f" {word}" for word in required)
    excluded = "".join(_once(f' -"{_quotable(word)}"' for word in brand.exclude if _quotable(word)))
    parts = [either, excluded]
    while len("".join(parts)) > room:
        parts.pop()
    return "".join(parts)


def _quotable(words: str) -> str:
    return re.sub(r"\s+", " ", words.replace('"', " ").replace("\\", " ")).strip()


def _spellings(word: str) -> list[str]:
    """*word*, and *word* without accents: the stream matches each only as it is written."""
    bare = "".join(mark for mark in unicodedata.normalize("NFD", word) if not unicodedata.combining(mark))
    return _once(spelling for spelling in (word, unicodedata.normalize("NFC", bare)) if spelling)


def _once(words: Iterable[str]) -> list[str]:
    """Each word once, whatever its case, in order."""
    return list({word.casefold(): word for word in reversed(list(words))}.values())[::-1]
