"""Which terms stand out in a window's negative posts against the brand's usual ones. Pure.

Counted are posts that hold a term, not its occurrences. Ranked by Dunning's log-likelihood ratio (1993): half of it is
how many nats the posts speak for "more often than usual"; it holds for small counts, where a z-score does not.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from brandpulse.schema.episodes import Term
from brandpulse.text.terms import terms_of

SHOWN = 5
LEAST_POSTS = 3
"""Fewer posts share a word by chance."""
LEAST_SEEN = 5
"""Fewer posts of the window tell no words."""
LEAST_USUAL = 50
"""Fewer usual posts tell nothing about how rare a word is."""
LEAST_RATIO = 13.0
"""G2, chance .0003 for one word: one of twenty looks at ordinary posts then tells a word (a test holds it)."""
MOST_OF_WORD = 0.7
"""A pair that so much of its word's posts hold says what the word says, and more."""

Terms = Collection[str]
"""Those of one post."""


def rising_terms(
    seen: Iterable[Terms], usual: Iterable[Terms], *, brand: str, kind: str = "negative posts"
) -> tuple[list[Term], str | None]:
    """At most five terms that more of *seen* hold than of *usual*, the most surprising first; or why there are none.

    Texts that hold the same terms count once: a repost is no second voice. Words of the *brand*'s name are left out.
    *kind*: what *seen* are, for people.
    """
    now, before = _distinct(seen), _distinct(usual)
    if len(now) < LEAST_SEEN:
        return [], f"only {len(now)} different {kind} are kept of the window, {LEAST_SEEN} are wanted"
    if len(before) < LEAST_USUAL:
        return [], f"only {len(before)} usual posts of the week before are kept, {LEAST_USUAL} are wanted"
    found, common = _counts(now), _counts(before)
    own = {word for term in terms_of(brand) for word in term.split()}
    ranked = sorted(
        (-ratio, term)
        for term, posts in found.items()
        if posts >= LEAST_POSTS
        and own.isdisjoint(term.split())
        and (ratio := _likelihood_ratio(posts, len(now), common[term], len(before))) >= LEAST_RATIO
    )
    chosen = _without_echoes([term for _, term in ranked], found)
    terms = [
        Term(term=term, posts=found[term], of=len(now), usual_share=round(common[term] / len(before), 4))
        for term in chosen[:SHOWN]
    ]
    return terms, None if terms else "no word stands out"


def _distinct(posts: Iterable[Terms]) -> Sequence[frozenset[str]]:
    return [*dict.fromkeys(terms for post in posts if (terms := frozenset(post)))]


def _counts(posts: Iterable[Terms]) -> Counter[str]:
    return Counter(term for post in posts for term in post)


def _without_echoes(ranked: Sequence[str], posts: Counter[str]) -> list[str]:
    """*ranked*, each word in one term only: in a pair where most of its posts hold it, else by itself."""
    pairs = [term for term in ranked if " " in term]
    told = {word for pair in pairs for word in pair.split() if posts[pair] >= MOST_OF_WORD * posts[word]}
    chosen: list[str] = []
    used: set[str] = set()
    for term in ranked:
        words = set(term.split())
        if used.isdisjoint(words) and term not in told:
            chosen.append(term)
            used |= words
    return chosen


def _likelihood_ratio(seen: int, many: int, usual: int, usual_many: int) -> float:
    """G2 of two shares, seen/many and usual/usual_many; 0.0 where the first is not the larger."""
    if seen * usual_many <= usual * many:
        return 0.0
    pooled = (seen + usual) / (many + usual_many)
    return 2 * (_fit(seen, many, pooled) + _fit(usual, usual_many, pooled))


def _fit(held: int, many: int, share: float) -> float:
    """How much better (nats) the own share of *held* among *many* explains them than *share* does."""
    parts = ((held, held / many, share), (many - held, 1 - held / many, 1 - share))
    return sum(count * math.log(own / other) for count, own, other in parts if count)
