"""Terms of a post: its words and two-word phrases. One definition for the workers' samples and the alerts.

Words are found by regular expression, so languages written without spaces give few. Handles, addresses and links are
not words. Function words of English are left out; those of other languages are as frequent on an ordinary day.
"""

import re
import unicodedata

from brandpulse.masking.mask import without_placeholders

MOST_TERMS = 32
"""Of one post, in the order of the text: about fifteen words and their pairs."""
MOST_WORD_CHARS = 24
_LONGEST_TEXT = 2_000
"""Characters that are searched."""

_NOT_WORDS = re.compile(r"(?<!\S)\S*@\S*|(?:https?://|www\.)\S+|&#?\w{1,8};", re.IGNORECASE)
_PIECE = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|[^\w\s#]")
_LETTER = re.compile(r"[^\W\d_]")
_STOP_WORDS = frozenset(
    """
    a about after ain't all also am amp an and any are aren't as at be because been before being both but by can can't
    could couldn't did didn't do does doesn't doing don't during each even ever every few for from further get gets
    getting go going gonna got had hadn't has hasn't have haven't having he he's her here here's hers him his how i
    i'd i'll i'm i've if in into is isn't it it's its just let let's like ll made make many may me might more most
    much must my myself no nor not now of oh ok on once only or other our ours own please pls really rt said same say
    see she she's should shouldn't so still such t than that that's the their theirs them then there there's these
    they they're they've this those though through to today too under until us user very via was wasn't we we're we've
    were weren't what what's when where which while who whom why will with won't would wouldn't yes yet you you're
    you've your yours im ive dont cant didnt doesnt isnt wont thats u ur
    """.split()  # noqa: SIM905
)


def terms_of(text: str) -> tuple[str, ...]:
    """The distinct words and pairs of adjacent words of *text*, case-folded, in its order; at most `MOST_TERMS`.

    They contain no control characters.
    """
    plain = unicodedata.normalize("NFKC", text[:_LONGEST_TEXT]).casefold().replace("’", "'")
    terms: dict[str, None] = {}
    before = ""
    for piece in _PIECE.findall(_NOT_WORDS.sub(" . ", without_placeholders(plain))):
        word = piece if _is_word(piece) else ""
        if word:
            terms[word] = None
            if before and before != word:
                terms[f"{before} {word}"] = None
        before = word
        if len(terms) >= MOST_TERMS:
            break
    return tuple(terms)[:MOST_TERMS]


def _is_word(piece: str) -> bool:
    """Whether *piece* is a word of interest; other pieces separate the words around them."""
    return 1 < len(piece) <= MOST_WORD_CHARS and piece not in _STOP_WORDS and _LETTER.search(piece) is not None
