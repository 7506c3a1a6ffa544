"""Pane: counts of one brand's posts in one minute or hour of event time. Values that add up, and their stored form."""

from collections.abc import Sequence

import msgspec

from brandpulse.errors import StateError
from brandpulse.schema.posts import BRAND_SENTIMENTS

MICROS = 1_000_000
IRRELEVANT = BRAND_SENTIMENTS.index("irrelevant")


class Pane(msgspec.Struct, frozen=True, gc=False):
    """Counts of posts by sentiment towards the brand, and the score sum: P(positive) - P(negative), in millionths.

    A post that names the brand but says nothing about it is `irrelevant`: it is one of `posts`, and part of no share.
    Integers only: sums of floats would depend on how posts are split into batches, and counts must be exact.
    Stored as `negative,neutral,positive,score_micros,irrelevant`, readable in redis-cli. Panes of versions that scored
    whole posts lack the last number.
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
        """Raises StateError if *stored* is not a pane."""
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
    """The label (index in `schema.posts.BRAND_SENTIMENTS`) and the score in millionths with which a post counts.

    The label is the most probable of the four *probabilities*, the first of equals; an irrelevant post scores 0.
    """
    label = probabilities.index(max(probabilities))
    return label, 0 if label == IRRELEVANT else round((probabilities[2] - probabilities[0]) * MICROS)
