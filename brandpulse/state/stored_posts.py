"""Posts that workers keep of each event-time hour, as they are stored and read.

Bounds are by series (a brand, or a facet of one), hour and partition; a post is some 330 bytes of Redis.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

KEPT_NEGATIVE = 100
KEPT_OTHER = 60
"""Positive and neutral ones."""
KEPT_HOURS = 4
"""After the hour's end: the widest window of an alert is three hours."""
MOST_TEXT_CHARS = 1_000


class KeptPost(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """A relevant post, kept for people to read: masked, its author as a keyed hash."""

    id: str
    source: str
    text: str
    created_ms: int
    author: str
    negative: float
    """P(negative) towards the brand, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class PostsOfWindow:
    """What is kept of a window, over all partitions; each (source, id) once."""

    negative: Sequence[KeptPost] = ()
    others: Sequence[KeptPost] = ()

    @property
    def all(self) -> Sequence[KeptPost]:
        return [*self.negative, *self.others]
