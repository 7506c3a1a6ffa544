"""Which facets are counted and which rules watch them: what the alerter tells the live page in `{ns:alerting}:facets`.

One JSON object: facet -> its watches. A hint, written anew when the rules change.
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
"""Every facet that is counted; empty where no rule watches it."""


def encode_facets(facets: WatchedFacets) -> bytes:
    return msgspec.json.encode(facets)


def decode_facets(stored: bytes | None) -> WatchedFacets:
    """What `encode_facets` made; none where nothing is stored. Raises StateError for what it did not make."""
    if stored is None:
        return {}
    try:
        return msgspec.json.decode(stored, type=dict[str, tuple[Watch, ...]])
    except msgspec.DecodeError as error:  # ValidationError is one
        raise StateError(f"the alerter's list of facets cannot be read: {error}") from None


def rules_about(watches: Sequence[Watch], brand: str) -> list[str]:
    """The rules among *watches* that watch *brand*, by name."""
    return sorted(one.rule for one in watches if one.brands is None or brand in one.brands)
