"""Posts that workers retain for people to read, as they are stored.

Bounds are per series (a brand, or a facet of one), hour and partition; a post takes about 330 bytes of Redis.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

MOST_NEGATIVE = 100
"""Negative posts of an hour."""
MOST_OTHERS = 60
"""Positive and neutral posts of an hour."""
RETAINED_HOURS = 4
"""After the hour's end: the widest window of an alert is three hours."""
MOST_TEXT_CHARS = 1_000
SAMPLE_DAYS = 8
"""Days of event time for which a day's sample is retained: a week to compare with, and the day in which it ends."""


class HourPost(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """A relevant post of an hour, for people to read: masked, its author as a keyed hash."""

    id: str
    source: str
    text: str
    created_ms: int
    author: str
    negative: float
    """P(negative) towards the brand, in [0, 1]."""


class NegativePost(msgspec.Struct, frozen=True, kw_only=True):
    """One of the newest posts negative towards the brand, for people to read: masked, its author as a keyed hash."""

    id: str
    source: str
    text: str
    created_ms: int
    author: str
    negative: float
    """P(negative) towards the brand, in [0, 1]."""
    url: str | None = None

    def as_hour_post(self) -> HourPost:
        return HourPost(
            id=self.id,
            source=self.source,
            text=self.text,
            created_ms=self.created_ms,
            author=self.author,
            negative=self.negative,
        )


class SampledPost(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A post in a brand's sample of a day (`stream_workers/aggregation/post_sample.py`): terms, no text, no author."""

    digest: str
    """Hexadecimal; distinguishes posts with the same terms."""
    negative: bool
    """Towards the brand."""
    terms: tuple[str, ...]
    """As `brandpulse.text.terms` finds them, sorted."""


@dataclass(frozen=True, slots=True)
class WindowPosts:
    """The retained posts of a window, over all partitions; each (source, id) once."""

    negative: Sequence[HourPost] = ()
    others: Sequence[HourPost] = ()

    @property
    def all(self) -> Sequence[HourPost]:
        return [*self.negative, *self.others]
