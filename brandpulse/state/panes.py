"""Pane: what was said of one brand in one minute or hour of event time. Values that add up, and their stored form."""

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec
from datasketches import hll_sketch, hll_union, tgt_hll_type

from brandpulse.errors import StateError
from brandpulse.schema.posts import BRAND_SENTIMENTS

MICROS = 1_000_000
IRRELEVANT = BRAND_SENTIMENTS.index("irrelevant")
LG_K = 11
"""HyperLogLog with 2,048 registers: exact to about 100 authors, 2.3 % standard error above, at most 1,064 bytes."""


class Pane(msgspec.Struct, frozen=True, gc=False):
    """Counts of posts by sentiment towards the brand, and the score sum: P(positive) - P(negative), in millionths.

    A post that names the brand and says nothing about it is `irrelevant`: it is one of `posts`, and part of no share.
    Integers only: sums of floats would differ when a batch is cut anew, and exact means equal to the last unit.
    Stored as `negative,neutral,positive,score_micros,irrelevant`, readable in redis-cli. Panes of versions that judged
    the whole post end before the last number.
    """

    negative: int = 0
    neutral: int = 0
    positive: int = 0
    score_micros: int = 0
    """Of relevant posts only."""
    irrelevant: int = 0

    @property
    def posts(self) -> int:
        """All four counters together."""
        return self.relevant + self.irrelevant

    @property
    def relevant(self) -> int:
        """Posts that say something about the brand."""
        return self.negative + self.neutral + self.positive

    @property
    def negative_share(self) -> float:
        """Negative posts over relevant ones, in [0, 1]; 0.0 where there are none."""
        return self.negative / self.relevant if self.relevant else 0.0

    @property
    def mean_score(self) -> float:
        """Mean of P(positive) - P(negative) over relevant posts, in [-1, 1]; 0.0 where there are none."""
        return self.score_micros / MICROS / self.relevant if self.relevant else 0.0

    def __add__(self, other: "Pane") -> "Pane":
        return Pane(
            self.negative + other.negative,
            self.neutral + other.neutral,
            self.positive + other.positive,
            self.score_micros + other.score_micros,
            self.irrelevant + other.irrelevant,
        )

    def encode(self) -> bytes:
        return b"%d,%d,%d,%d,%d" % (self.negative, self.neutral, self.positive, self.score_micros, self.irrelevant)

    @classmethod
    def decode(cls, stored: bytes) -> "Pane":
        """Raises StateError if *stored* is no pane."""
        try:
            negative, neutral, positive, score_micros, *rest = map(int, stored.split(b","))
            [irrelevant] = rest or [0]
        except ValueError:
            raise StateError(
                f"not a pane: {stored[:80]!r}; expected 'negative,neutral,positive,score_micros,irrelevant'"
            ) from None
        return cls(negative, neutral, positive, score_micros, irrelevant)


EMPTY_PANE = Pane()


def counted_as(probabilities: Sequence[float]) -> tuple[int, int]:
    """The label (index in `brandpulse.schema.posts.BRAND_SENTIMENTS`) and the score in millionths with which a post counts.

    The label is the most probable of the four *probabilities*, the first of equals; an irrelevant post scores 0.
    """
    label = probabilities.index(max(probabilities))
    return label, 0 if label == IRRELEVANT else round((probabilities[2] - probabilities[0]) * MICROS)


class Authors:
    """Two mergeable sketches: who wrote about the brand, and who wrote something negative about it.

    Mutable, unlike a Pane: it is big. Whoever wrote irrelevant posts only is in neither.

    Stored as the length of the first sketch in two bytes, then both sketches, in Apache DataSketches' compact form.
    """

    __slots__ = ("everyone", "negative")

    def __init__(self, everyone: hll_sketch | None = None, negative: hll_sketch | None = None) -> None:
        self.everyone = everyone or hll_sketch(LG_K, tgt_hll_type.HLL_4)
        self.negative = negative or hll_sketch(LG_K, tgt_hll_type.HLL_4)

    def add(self, author: int, *, negative: bool) -> None:
        """Count *author*, a keyed hash as a signed 64-bit number."""
        self.everyone.update(author)
        if negative:
            self.negative.update(author)

    def add_many(self, authors: Sequence[int], *, negative: Sequence[int]) -> None:
        """`add` of each of *authors*; *negative*: those among them whose posts were, in the same order."""
        # Without a line of Python an author.
        deque(map(self.everyone.update, authors), maxlen=0)
        deque(map(self.negative.update, negative), maxlen=0)

    def encode(self) -> bytes:
        everyone = bytes(self.everyone.serialize_compact())
        return len(everyone).to_bytes(2, "big") + everyone + bytes(self.negative.serialize_compact())

    @classmethod
    def decode(cls, stored: bytes) -> "Authors":
        """Raises StateError if *stored* is no pair of sketches."""
        try:
            size = int.from_bytes(stored[:2], "big")
            return cls(hll_sketch.deserialize(stored[2 : 2 + size]), hll_sketch.deserialize(stored[2 + size :]))
        except (ValueError, RuntimeError, IndexError) as error:
            raise StateError(f"not a pair of author sketches ({len(stored)} bytes): {error}") from error


class AuthorCounts(msgspec.Struct, frozen=True, gc=False):
    """How many different people wrote about the brand, and how many of them wrote something negative about it."""

    everyone: int = 0
    negative: int = 0


def count_authors(sketches: Iterable[Authors]) -> AuthorCounts:
    """Different authors over all *sketches*: one who wrote in ten minutes counts once."""
    everyone, negative = hll_union(LG_K), hll_union(LG_K)
    for authors in sketches:
        everyone.update(authors.everyone)
        negative.update(authors.negative)
    return AuthorCounts(round(everyone.get_estimate()), round(negative.get_estimate()))
