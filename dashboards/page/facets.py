"""A brand's facets: current share of its people, and the baseline share. Pure."""

from collections.abc import Mapping

import msgspec

from brandpulse.state.author_sketches import AuthorCounts


class FacetShare(msgspec.Struct, frozen=True, kw_only=True):
    """One facet of a brand. Shares are in [0, 1], of the people with relevant posts about the brand."""

    name: str
    people: int
    """In the last hour."""
    share: float
    usual: float | None
    """Share in the 7 days before the last 24 hours, from the facet's first hour on; each author counts once per hour.
    None without data."""
    rules: list[str]
    """Names of the rules that watch it."""


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """All facets of one brand."""

    brand: str
    people: int
    """In the last hour."""
    facets: list[FacetShare]


def facet_share(name: str, *, inside: int, people: int, usual: float | None, rules: list[str]) -> FacetShare:
    """*inside* and *people* are independent estimates: the share is limited to 1."""
    inside = min(inside, people)
    return FacetShare(name=name, people=inside, share=inside / people if people else 0.0, usual=usual, rules=rules)


def usual_share(inside: Mapping[int, AuthorCounts], people: Mapping[int, AuthorCounts]) -> float | None:
    """Hourly authors in the facet over hourly authors of the brand. Hours before the facet's first hour are unknown and
    do not count as empty."""
    if not inside:
        return None
    first = min(inside)
    total = sum(counts.everyone for hour, counts in people.items() if hour >= first)
    return min(1.0, sum(counts.everyone for counts in inside.values()) / total) if total else None
