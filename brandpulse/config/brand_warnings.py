"""Finds words of the brands file that match nothing or too much, to warn about them at the start."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from brandpulse.config.brands_file import Brand, BrandsFile
from brandpulse.config.ordinary_words import ordinary_words

SHORTEST_TERM = 3
"""Letters and digits. A shorter term is part of everyday words in some language."""
_WORDS = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class BrandWarning:
    """One word that probably does not match as intended."""

    brand: str
    word: str
    fault: str
    remedy: str

    def __str__(self) -> str:
        return f"brand {self.brand!r}, {self.word!r}: {self.fault}"


def brand_warnings(file: BrandsFile) -> list[BrandWarning]:
    """The suspicious words of *file*, in its order."""
    found = [warning for brand in file.brands for warning in _of_brand(brand)]
    return [*found, *_shared(file)]


def _of_brand(brand: Brand) -> Iterator[BrandWarning]:
    for kind in ("terms", "require", "exclude"):
        for word in getattr(brand, kind):
            if query := _query_syntax(word):
                yield BrandWarning(brand.name, word, *query)
    for term in brand.terms:
        if not _query_syntax(term):
            yield from _too_common(brand, term)
    for handle in brand.handles:
        if not re.fullmatch(r"[\w.]+(?:@[\w.-]+)?|[\w.-]+\.[\w-]+", handle):
            yield BrandWarning(
                brand.name,
                f"@{handle}",
                "a handle with this form matches nothing: it ends at the first space or sign",
                "write the account's name as posts have it, such as @acmeair; write a name with spaces under terms",
            )
    for hashtag in brand.hashtags:
        if not re.fullmatch(r"\w+", hashtag):
            yield BrandWarning(
                brand.name,
                f"#{hashtag}",
                "a hashtag with this form matches nothing: it ends at the first space or sign",
                "write the hashtag as posts have it, such as #flyacme",
            )


_QUERY_SYNTAX: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"\b(?:AND|OR|NOT|NEAR|ONEAR)\b(?:/\d+)?|&&|\|\|"),
        "AND, OR and NOT are read as words, so it matches only posts that contain them",
        "write each alternative as a separate term, words that the post must also contain under `require`, and words "
        "that it must not contain under `exclude`",
    ),
    (
        re.compile(r"\*|\?(?=.)"),
        "a wildcard is read as a character, so it matches nothing",
        "write each form as a separate term: acme, acmes, acme's",
    ),
    (
        re.compile(
            r"^(?:title|text|author|from|to|site|url|lang|language|country|hashtags?|engagement\w*|source|in(?:url|title)):",
            re.IGNORECASE,
        ),
        "a field name is read as part of the term, so it matches nothing",
        "write the words without the field",
    ),
    (
        re.compile(r"^-."),
        "a minus is read as a character, not as NOT",
        "write the word under `exclude`, without the minus",
    ),
    (
        re.compile(r"^[\"“'(]|[\"”)]$|\".*\""),
        "quotation marks and brackets are read as characters, so it matches only posts that contain them",
        "write the words without them: a term of several words matches as a phrase",
    ),
    (
        re.compile(r"~|\w\^\d"),
        "a sign of a search query is read as a character, so it matches nothing",
        "write only the words",
    ),
)
"""Syntax of search queries in a word: its sign, how it is read, and what to write instead."""


def _query_syntax(word: str) -> tuple[str, str] | None:
    """Fault and remedy of a word that was copied from a search query."""
    return next(((fault, remedy) for sign, fault, remedy in _QUERY_SYNTAX if sign.search(word)), None)


def _too_common(brand: Brand, term: str) -> Iterator[BrandWarning]:
    if term.startswith(("@", "#")):
        return
    words = _WORDS.findall(term)
    letters = sum(map(len, words))
    if letters < SHORTEST_TERM and "".join(words).isascii():
        yield BrandWarning(
            brand.name,
            term,
            f"a term of {letters} letters also matches abbreviations and parts of other phrases",
            "use a handle or a hashtag instead, or name words that the post must also contain under `require`",
        )
    elif len(words) == 1 and not brand.require and term.casefold() in ordinary_words():
        yield BrandWarning(
            brand.name,
            term,
            "it is an ordinary word, so it matches posts about other things",
            "name words under `require` or `exclude`, use the handle or a hashtag, or write a longer term",
        )


def _shared(file: BrandsFile) -> Iterator[BrandWarning]:
    """Words that name two brands: each of their posts counts for both."""
    owners: dict[str, str] = {}
    for brand in file.brands:
        handles = (f"@{handle}" for handle in brand.handles)
        hashtags = (f"#{hashtag}" for hashtag in brand.hashtags)
        for word in (*brand.terms, *handles, *hashtags):
            owner = owners.setdefault(word.casefold(), brand.name)
            if owner != brand.name:
                yield BrandWarning(
                    brand.name,
                    word,
                    f"it names brand {owner!r} too, so its posts count for both",
                    "keep it in one brand, or distinguish the brands with `require` and `exclude`",
                )
