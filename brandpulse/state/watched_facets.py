"""The facets that are counted and the rules that watch them. The alerter writes them for the live page.

Stored in `{ns:alerting}:facets` as one JSON object: facet -> its watches. A hint, rewritten when the rules change.
"""

from collections.abc import Mapping, Sequence

import msgspec

from brandpulse.errors import StateError


class Watch(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule that watches a facet."""

    rule: str
    brands: tuple[str, ...] | None = None
    """None: of every brand."""


WatchedFacets = Mapping[str, Sequence[Watch]]
"""Every facet that is counted; no watches if no rule watches it."""


def encode_facets(facets: WatchedFacets) -> bytes:
    return msgspec.json.encode(facets)


def decode_facets(stored: bytes | None) -> WatchedFacets:
    """The inverse of `encode_facets`; empty if nothing is stored. Raises StateError."""
    if stored is None:
        return {}
    try:
        return msgspec.json.decode(stored, type=dict[str, tuple[Watch, ...]])
    except msgspec.DecodeError as error:  # ValidationError is one
        raise StateError(f"the alerter's list of facets cannot be read: {error}") from None


def rules_about(watches: Sequence[Watch], brand: str) -> list[str]:
    """The rules among *watches* that watch *brand*, by name."""
    return sorted(one.rule for one in watches if one.brands is None or brand in one.brands)
