"""The forms in which posts write a name: parts, initials, a second name, and other separators, numbers and endings."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

COMMON_WORDS_FILE = Path(__file__).parent / "common_words.txt"
"""3,500 frequent English words of at least three letters, one a line (counted in GoEmotions, Apache-2.0)."""

_SMALL_WORDS = frozenset({"a", "an", "and", "at", "by", "de", "for", "in", "la", "le", "of", "on", "or", "the", "to"})
_AND_WORDS = frozenset({"&", "+", "and", "n"})
_SAME_NUMBER = {
    form: forms
    for forms in (
        ("2", "ii", "two"),
        ("3", "iii", "three"),
        ("4", "iv", "four"),
        ("5", "v", "five"),
        ("6", "vi", "six"),
        ("7", "vii", "seven"),
        ("8", "viii", "eight"),
    )
    for form in forms
}
_SEPARATOR = r"[\W_]{0,3}"
_AND = rf"{_SEPARATOR}(?:(?:and|n){_SEPARATOR})?"

_WHOLE = r"(?<!\w)[@#]?(?:{})(?!\w)"
_NUMBERED = r"(?<!\w)[@#]?(?:{})\d{{0,4}}(?!\w)"
_PLURAL = r"(?<!\w)[@#]?(?:{})e?s(?!\w)"
_INSIDE = r"[@#]?(?:{})"
_AFTER_A_SIGN = r"[@#](?:{})"
_SHORT = 3
"""Names of at most this many ASCII characters are not searched inside words: `GE` is not in `get`."""


@dataclass(frozen=True, slots=True)
class NameForm:
    """One way to write a name."""

    pattern: re.Pattern[str]
    needles: tuple[str, ...]
    """A text in lower case without any of them has no match: this test costs a tenth of a search for the pattern."""

    def spans(self, text: str, lowered: str) -> list[tuple[int, int]]:
        """(start, end) of each match in *text*; *lowered* is *text* in lower case."""
        for needle in self.needles:
            if needle in lowered:
                return [found.span() for found in self.pattern.finditer(text)]
        return []


@lru_cache(maxsize=4096)
def name_forms(name: str) -> tuple[NameForm, ...]:
    """The forms of *name*, the most exact one first; none for a blank name.

    1. The whole name as a word or phrase: with or without @ or #, in any case, with other separators, `and` for `&`,
       without an apostrophe, with a Roman numeral or a word for a digit. Then its plural.
    2. The name in parentheses and the name before it: `Player Unknown (PUBG)`, also with a number after it.
    3. Initials: `CoD`, `J&J`, `PS5`.
    4. The whole name inside a word.
    5. The words of the name inside the words of the text: `World of Warcraft` for `World of Craft`.
    6. Two neighbouring words of the name.
    7. One word of the name that is not a common English word.
    """
    words = _words(name)
    if not words:
        literal = name.strip()
        return (NameForm(re.compile(re.escape(literal), re.IGNORECASE), ("",)),) if literal else ()
    whole = _phrase(words)
    names = [found for part in re.split(r"[()\[\]]", name) if (found := _words(part))]
    forms = [(_WHOLE, [whole]), (_PLURAL, [whole])]
    if len(names) > 1:
        forms.append((_NUMBERED, [_phrase(part) for part in names]))
    forms += [
        (_NUMBERED, [found for part in names for found in _initials(part)]),
        (_AFTER_A_SIGN if name.isascii() and len("".join(words)) <= _SHORT else _INSIDE, [whole]),
        (_WHOLE, [_phrase(part, inside=True) for part in names if len(part) > 1]),
        (_WHOLE, [_phrase(run) for part in names for run in _runs(part)]),
        (_WHOLE, [_phrase([word]) for part in names if len(part) > 1 for word in part if _is_distinctive(word)]),
    ]
    return tuple(_form(pattern, phrases) for pattern, phrases in forms if phrases)


@dataclass(frozen=True, slots=True)
class _Phrase:
    pattern: str
    needle: str
    """Lower-case characters that are part of every match; may be empty."""


def _form(pattern: str, phrases: Iterable[_Phrase]) -> NameForm:
    phrases = list(phrases)
    alternatives = "|".join(phrase.pattern for phrase in phrases)
    if len(phrases) == 1:
        pattern = pattern.replace("(?:{})", "{}")
    needles = tuple(dict.fromkeys(phrase.needle for phrase in phrases))
    return NameForm(re.compile(pattern.format(alternatives), re.IGNORECASE), needles)


def first_spans(name: str, text: str) -> list[tuple[int, int]]:
    """(start, end) of each match in *text* of the most exact form of *name* that occurs; may be empty."""
    forms = name_forms(name)
    if not forms:
        return []
    # Most texts that are searched contain the whole name: no test before the first search.
    if spans := [found.span() for found in forms[0].pattern.finditer(text)]:
        return spans
    lowered = text.lower()
    for form in forms[1:]:
        if spans := form.spans(text, lowered):
            return spans
    return []


def _words(name: str) -> list[str]:
    """The words of *name*; `&` and `+` between two words are words. `PlayStation5` has three."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z]{2})(?=\d)", " ", name.strip().lstrip("@#"))
    words = re.findall(r"[^\W_]+|[&+]", name)
    while words and words[-1] in "&+":
        words.pop()
    while words and words[0] in "&+":
        words.pop(0)
    return words


def _phrase(words: Sequence[str], *, inside: bool = False) -> _Phrase:
    """*words* in sequence; with *inside* up to four characters may come before and after each longer word."""
    pattern = _word_pattern(words[0], alone=len(words) == 1, inside=inside)
    separator = _SEPARATOR
    for word in words[1:]:
        if word.lower() in _AND_WORDS:
            separator = _AND
            continue
        pattern += separator + _word_pattern(word, inside=inside)
        separator = _SEPARATOR
    literals = [_literal_part(word) for word in words if len(words) == 1 or word.lower() not in _SAME_NUMBER]
    return _Phrase(pattern, max(literals, key=len, default="").lower())


def _word_pattern(word: str, *, alone: bool = False, inside: bool = False) -> str:
    if not alone and word.lower() in _SAME_NUMBER:
        return f"(?:{'|'.join(_SAME_NUMBER[word.lower()])})"
    literal = _literal_part(word)
    pattern = re.escape(word) if literal == word else rf"{re.escape(literal)}['’]?{word[-1]}"
    return rf"\w{{0,4}}{pattern}\w{{0,4}}" if inside and len(word) > _SHORT else pattern


def _literal_part(word: str) -> str:
    """*word* without a final s, before which an apostrophe may be: `Lowes` for `Lowe's`."""
    return word[:-1] if len(word) > _SHORT and word[-1] in "sS" else word


def _initials(words: Sequence[str]) -> Iterator[_Phrase]:
    """The abbreviations of *words*: at least three characters, and no common word unless in mixed case (`LoL`)."""
    if len(words) == 3 and words[1].lower() in _AND_WORDS and min(len(words[0]), len(words[2])) > 1:
        first, last = re.escape(words[0][0]), re.escape(words[2][0])
        yield _Phrase(rf"{first}\s?(?:&|\+|and|n)\s?{last}", first.lower())
        return
    words = [word for word in words if word not in "&+"]
    ends = {len(words), *([3] if len(words) > 4 and words[2].lower() not in _SMALL_WORDS else [])}
    for end in sorted(ends):
        letters = "".join(word if word.isdigit() else word[0] for word in words[:end])
        if len(letters) < 3 or letters.isdigit() or (end < 3 and not letters[-1].isdigit()):
            continue
        if letters.lower() not in _common_words():
            yield _Phrase(re.escape(letters), letters.lower())
        elif any(word.lower() in _SMALL_WORDS for word in words[1:end]):
            mixed = "".join(
                word[0].lower() if word.lower() in _SMALL_WORDS else word[0].upper() for word in words[:end]
            )
            yield _Phrase(f"(?-i:{re.escape(mixed)})", mixed.lower())


def _runs(words: Sequence[str]) -> Iterator[list[str]]:
    """Each two neighbouring words, with the small words between them: `Call of Duty` in `Call of Duty Cold War`."""
    large = [at for at, word in enumerate(words) if word.lower() not in _SMALL_WORDS | _AND_WORDS]
    if len(large) > 2:
        for first, last in pairwise(large):
            yield list(words[first : last + 1])


def _is_distinctive(word: str) -> bool:
    return len(word) > _SHORT and not word.isdigit() and word.lower() not in _common_words()


@cache
def _common_words() -> frozenset[str]:
    return frozenset(COMMON_WORDS_FILE.read_text(encoding="utf-8").split())
