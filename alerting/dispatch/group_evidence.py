"""The evidence of a group: its worst member, sums, words, sources and examples. Pure.

All of it comes from the evidence of the members; nothing is read again.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alerting.episodes.example_posts import OTHER_SOURCES, SHOWN_SOURCES
from alerting.episodes.rising_terms import SHOWN as SHOWN_TERMS
from brandpulse.schema.episodes import SEVERITIES, Episode, Evidence, ExamplePost, SourceCount, Term
from brandpulse.text.near_duplicates import normal_form

NAMED = 5
SHOWN_EXAMPLES = 3
NAMED_FACETS = 3


def extra_people(evidence: Evidence) -> int:
    """How many more people than usual: negative people, people in the facet, or all people for a volume rule."""
    if evidence.usual_authors is not None:
        return max(0, round(evidence.authors - evidence.usual_authors))
    return max(0, round(evidence.negative_authors - evidence.baseline_share * evidence.authors))


def worst_first(episodes: Iterable[Episode]) -> list[Episode]:
    """By severity, then by how many more people than usual."""
    return sorted(
        episodes, key=lambda one: (-SEVERITIES.index(one.severity), -extra_people(one.latest), one.brand, one.key)
    )


def group_evidence(worst: Sequence[Episode], total: int) -> Evidence:
    """The evidence of a group of *total* members. *worst* are the firing ones, worst first; at least one.

    Sums over brands, each by its worst member. An author who is negative about two brands counts for both. If members
    are about different things, numbers, sources and examples are of the first of these that exists: negative people,
    facets, volume. Words are of all members.
    """
    shares = [one for one in worst if one.latest.usual_authors is None]
    plain = [one for one in shares or worst if one.latest.facet is None]
    latest = [one.latest for one in _worst_of_each_brand(plain or shares)]
    authors = sum(one.authors for one in latest)
    negative = sum(one.negative_authors for one in latest)
    terms, missing = _terms(worst)
    return Evidence(
        window_start=min(one.window_start for one in latest),
        window_end=max(one.window_end for one in latest),
        posts=sum(one.posts for one in latest),
        negative_posts=sum(one.negative_posts for one in latest),
        authors=authors,
        negative_authors=negative,
        negative_share=negative / authors if authors else 0.0,
        baseline_share=sum(one.baseline_share * one.authors for one in latest) / authors if authors else 0.0,
        p_value=min(one.p_value for one in latest),
        usual_authors=None if shares else sum(one.usual_authors or 0.0 for one in latest),
        facet=None if plain else _facets(worst),
        reason=_reason(worst, total),
        examples=_examples(latest),
        sources=_sources(latest),
        terms=terms,
        terms_missing=missing,
        kept_posts=_stored_posts(latest),
    )


def _worst_of_each_brand(worst: Iterable[Episode]) -> list[Episode]:
    first: dict[str, Episode] = {}
    for one in worst:
        first.setdefault(one.brand, one)
    return list(first.values())


def _facets(worst: Iterable[Episode]) -> str:
    names = sorted({one.latest.facet for one in worst if one.latest.facet is not None})
    more = len(names) - NAMED_FACETS
    return ", ".join(names[:NAMED_FACETS]) + (f" and {more} more" if more > 0 else "")


def _reason(worst: Sequence[Episode], total: int) -> str:
    names = list(dict.fromkeys(one.brand for one in worst))
    named = ", ".join(name[:60] for name in names[:NAMED]) + (
        f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    )
    critical = sum(one.severity == "critical" for one in worst)
    over = f", {total - len(worst)} are over" if total > len(worst) else ""
    return f"{len(names)} brands at once: {named} ({critical} critical{over}). Worst: {worst[0].latest.reason}"


def _examples(latest: Iterable[Evidence]) -> list[ExamplePost]:
    """The first example of each member, worst member first. A text about two brands appears once."""
    found: dict[str, ExamplePost] = {}
    for one in latest:
        for post in one.examples[:1]:
            found.setdefault(normal_form(post.text), post)
    return list(found.values())[:SHOWN_EXAMPLES]


def _stored_posts(latest: Sequence[Evidence]) -> int | None:
    stored = [one.kept_posts for one in latest if one.kept_posts is not None]
    return sum(stored) if len(stored) == len(latest) else None


def _sources(latest: Iterable[Evidence]) -> list[SourceCount]:
    counts = Counter[str]()
    for one in latest:
        for each in one.sources:
            counts[each.source] += each.posts
    others = counts.pop(OTHER_SOURCES, 0)
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    others += sum(posts for _, posts in ranked[SHOWN_SOURCES:])
    named = ranked[:SHOWN_SOURCES] + ([(OTHER_SOURCES, others)] if others else [])
    return [SourceCount(source=source, posts=posts) for source, posts in named]


@dataclass(slots=True)
class _TermTotals:
    """One term, summed over the brands in which it stands out."""

    brands: int = 0
    posts: int = 0
    of: int = 0
    usual: float = 0.0

    def add(self, term: Term) -> None:
        self.brands += 1
        self.posts += term.posts
        self.of += term.of
        self.usual += term.usual_share * term.of

    def as_term(self, term: str) -> Term:
        usual = round(self.usual / max(self.of, 1), 4)
        return Term(term=term, posts=self.posts, of=self.of, usual_share=usual, brands=self.brands)


def _terms(worst: Sequence[Episode]) -> tuple[list[Term], str | None]:
    """The terms that stand out in most brands, and why other brands have none."""
    totals: dict[str, _TermTotals] = {}
    seen: set[tuple[str, str]] = set()
    for one in worst:
        for term in one.latest.terms:
            if (one.brand, term.term) not in seen:
                seen.add((one.brand, term.term))
                totals.setdefault(term.term, _TermTotals()).add(term)
    ranked = sorted(totals.items(), key=lambda one: (-one[1].brands, -one[1].posts, one[0]))
    terms = [one.as_term(term) for term, one in ranked[:SHOWN_TERMS]]
    return terms, _why_not_all(worst, {brand for brand, _ in seen})


def _why_not_all(worst: Sequence[Episode], with_terms: set[str]) -> str | None:
    without_terms = _worst_of_each_brand(one for one in worst if one.brand not in with_terms)
    if not without_terms:
        return None
    why = Counter(one.latest.terms_missing or "they were not looked for" for one in without_terms)
    brands = len(with_terms) + len(without_terms)
    count = f"{len(without_terms)} of {brands} brands have none" if with_terms else f"none of {brands} brands has any"
    return f"{count}, most often because {why.most_common(1)[0][0]}"
