"""The facets of a brand as the page shows them: shares of its people now, and in the week before. Pure."""

from collections.abc import Mapping

import msgspec

from brandpulse.state.panes import AuthorCounts


class FacetShare(msgspec.Struct, frozen=True, kw_only=True):
    """One facet of a brand. Shares are in [0, 1], of the people who wrote something relevant about the brand."""

    name: str
    people: int
    """In the last hour."""
    share: float
    usual: float | None
    """In the seven days before the last 24 hours, from the facet's first hour on: an author has one vote an hour. None
    where nobody was in it."""
    rules: list[str]
    """Those that watch it."""


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """All that are counted of one brand."""

    brand: str
    people: int
    """In the last hour."""
    facets: list[FacetShare]


def facet_share(name: str, *, inside: int, people: int, usual: float | None, rules: list[str]) -> FacetShare:
    """*inside* and *people* are estimates, and err apart: a share is at most 1."""
    inside = min(inside, people)
    return FacetShare(name=name, people=inside, share=inside / people if people else 0.0, usual=usual, rules=rules)


def usual_share(inside: Mapping[int, AuthorCounts], people: Mapping[int, AuthorCounts]) -> float | None:
    """Votes in the facet over the brand's, both by hour; hours before the facet's first are unknown, not empty."""
    if not inside:
        return None
    first = min(inside)
    votes = sum(counts.everyone for hour, counts in people.items() if hour >= first)
    return min(1.0, sum(counts.everyone for counts in inside.values()) / votes) if votes else None
