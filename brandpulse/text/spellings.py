"""The spellings that count as a word: joined, hyphenated, without apostrophe, with a prefix, as a hashtag."""

import re

from brandpulse.config.ordinary_words import ordinary_words
from brandpulse.config.variants import Variants

FEWEST_LETTERS = 4
"""Of a joined spelling. A shorter one is an abbreviation of something else."""

_GAP = re.compile(r" ?[ -] ?")
_AND = re.compile(r" ?& ?")
_DOT = re.compile(r"(?<=[^\W\d_])\.(?=[^\W\d_]?\.| |$)|(?<=\b[^\W\d_])\.(?=[^\W\d_]\b)")
"""Of an abbreviation: `j.p.`, `dr.`, not `acme.com`."""
_SIGN = re.compile(r"\W+")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_ARABIC = re.compile("[\u0620-\u064a]{3}")
_HEBREW = re.compile("[\u05d0-\u05ea]{3}")
_ARABIC_PREFIXES = ("و", "ف", "ب", "ك", "ل", "ال", "وال", "فال", "بال", "كال", "لل", "ولل", "وب", "ول")
_AFTER_AL = ("و", "ف", "ب", "ك", "وب")
"""Prefixes before the article; `ل` and the article become `لل`."""
_HEBREW_PREFIXES = ("ה", "ו", "ב", "ל", "מ", "ש", "כ", "וה", "וב", "ול", "ומ", "וש", "וכ", "שה", "מה", "כש", "שב", "של")


def spellings(word: str, variants: Variants) -> list[str]:
    """*word*, which is in the form of `normalize_text`, and the other spellings that *variants* accepts; each once."""
    if word[0] in "@#" or not any(character.isalnum() for character in word):
        return [word]
    found = [word]
    if variants.apostrophes:
        found += _other_apostrophes(word)
    if variants.joined:
        found += [other for form in found[:] for other in _joined(form)]
    if variants.prefixes:
        found += [other for form in found[:] for other in _with_prefix(form)]
    if variants.accents:
        found += [form.translate(_UMLAUTS) for form in found]
    if variants.hashtags:
        found += [tag for form in found[:] for tag in _hashtags(form) if tag[1:] not in found]
    return list(dict.fromkeys(found))


def takes_hashtag_endings(word: str) -> bool:
    """Whether a hashtag may go on after *word*: not after a short or an ordinary word, as in `#sundown`."""
    bare = _SIGN.sub("", word)
    return len(bare) >= FEWEST_LETTERS and bare not in ordinary_words()


def _other_apostrophes(word: str) -> list[str]:
    if "'" in word:
        bare = word.replace("'", "")
        return [word.replace("'", "`"), *([bare] if _is_distinct(bare) else [])]
    return [word[:-1] + "'s"] if re.search(r"[a-z]{3}s$", word) else []


def _joined(word: str) -> list[str]:
    found = []
    whole = [word]
    if _AND.search(word.strip("& ")):
        whole += [_AND.sub(sign, word) for sign in (" & ", "&", " and ")]
    if (undotted := _DOT.sub("", word)) != word and _is_distinct(undotted):
        whole.append(undotted)
    for form in whole:
        found.append(form)
        parts = [part for part in _GAP.split(form) if part]
        if len(parts) < 2 or max(map(len, parts)) < 3:
            continue
        # A sign of its own takes no hyphen: `bolt & nut` is not `bolt-&-nut`.
        if all(part[0].isalnum() for part in parts):
            found += ["-".join(parts), " ".join(parts)]
        if _is_distinct(joined := "".join(parts)):
            found.append(joined)
    return found


def _is_distinct(joined: str) -> bool:
    return not joined.isascii() or (len(_SIGN.sub("", joined)) >= FEWEST_LETTERS and joined not in ordinary_words())


def _with_prefix(word: str) -> list[str]:
    if _HEBREW.match(word):
        return [prefix + word for prefix in _HEBREW_PREFIXES]
    if not _ARABIC.match(word):
        return []
    if word.startswith("ال"):
        return [*(prefix + word for prefix in _AFTER_AL), "لل" + word[2:], "ولل" + word[2:]]
    return [prefix + word for prefix in _ARABIC_PREFIXES]


def _hashtags(word: str) -> list[str]:
    """Those that a term does not find: a term counts after a #."""
    bare = _SIGN.sub("", word)
    tags = [f"#{bare}"] if bare != word and len(bare) >= 3 else []
    return [*tags, "#" + _SIGN.sub("_", word)] if " " in word and len(bare) >= 3 else tags
