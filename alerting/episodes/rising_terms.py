"""Finds terms that stand out in a window's negative posts, compared with the brand's usual posts. Pure.

Posts with a term are counted, not its occurrences. Terms are ranked by Dunning's log-likelihood ratio (1993): half of
it is the evidence in nats for "more often than usual". It is valid for small counts, where a z-score is not.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from brandpulse.schema.episodes import Term
from brandpulse.text.terms import terms_of

SHOWN = 5
MIN_POSTS = 3
"""Fewer posts may share a word by chance."""
MIN_SEEN = 5
"""With fewer posts in the window, no terms are shown."""
MIN_USUAL = 50
"""With fewer usual posts, it is unknown how rare a word is."""
MIN_RATIO = 13.0
"""G2 with chance .0003 for one word: one of twenty sets of ordinary posts then shows a word (a test checks it)."""
MIN_PART_OF_WORD = 0.7
"""A pair replaces a word if this part of the word's posts contains the pair."""

Terms = Collection[str]
"""The terms of one post."""


def rising_terms(
    seen: Iterable[Terms], usual: Iterable[Terms], *, brand: str, kind: str = "negative posts"
) -> tuple[list[Term], str | None]:
    """At most five terms that are more frequent in *seen* than in *usual*, the most surprising first; or why none is.

    Texts with the same terms count once, so reposts do not. Words of the *brand*'s name are left out. *kind* describes
    *seen* in messages.
    """
    now, before = _distinct(seen), _distinct(usual)
    if len(now) < MIN_SEEN:
        return [], f"only {len(now)} different {kind} are kept of the window, {MIN_SEEN} are wanted"
    if len(before) < MIN_USUAL:
        return [], f"only {len(before)} usual posts of the week before are kept, {MIN_USUAL} are wanted"
    found, common = _counts(now), _counts(before)
    own = {word for term in terms_of(brand) for word in term.split()}
    ranked = sorted(
        (-ratio, term)
        for term, posts in found.items()
        if posts >= MIN_POSTS
        and own.isdisjoint(term.split())
        and (ratio := _likelihood_ratio(posts, len(now), common[term], len(before))) >= MIN_RATIO
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
    """*ranked* with each word in one term only: in a pair if most of its posts contain the pair, else alone."""
    pairs = [term for term in ranked if " " in term]
    replaced = {word for pair in pairs for word in pair.split() if posts[pair] >= MIN_PART_OF_WORD * posts[word]}
    chosen: list[str] = []
    used: set[str] = set()
    for term in ranked:
        words = set(term.split())
        if used.isdisjoint(words) and term not in replaced:
            chosen.append(term)
            used |= words
    return chosen


def _likelihood_ratio(seen: int, total: int, usual: int, usual_total: int) -> float:
    """G2 of two shares, seen/total and usual/usual_total; 0.0 if the first is not larger."""
    if seen * usual_total <= usual * total:
        return 0.0
    pooled = (seen + usual) / (total + usual_total)
    return 2 * (_fit(seen, total, pooled) + _fit(usual, usual_total, pooled))


def _fit(count: int, total: int, share: float) -> float:
    """How much better (nats) the own share of *count* among *total* explains them than *share* does."""
    parts = ((count, count / total, share), (total - count, 1 - count / total, 1 - share))
    return sum(number * math.log(own / other) for number, own, other in parts if number)
