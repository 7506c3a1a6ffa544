"""When each brand's past episodes were: all that detection needs of them, for as long as a baseline may look back.

What people are shown of past episodes is bounded by number (500); a day on which many brands fire would push last
week's out, and their hours would teach what is usual. Stored as `end:start:rule:brand`, by the end.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from brandpulse.errors import StateError
from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import DAY_MS

RETAINED_SPANS_MS = 100 * DAY_MS
"""By event time; the longest baseline has 90 days."""
MAX_SPANS = 100_000
"""The newest; some 100 bytes each."""
OPEN_END_MS = 2**53


class PastSpan(NamedTuple):
    """One episode's place, and its first and last event time (ms)."""

    end_ms: int
    start_ms: int
    rule: str
    brand: str

    def encode(self) -> str:
        return f"{self.end_ms}:{self.start_ms}:{self.rule}:{self.brand}"

    @classmethod
    def decode(cls, stored: bytes) -> "PastSpan":
        """Raises StateError if *stored* is no span."""
        try:
            end, start, rule, brand = stored.decode().split(":", 3)
            return cls(int(end), int(start), rule, brand)
        except ValueError:
            raise StateError(f"not a past episode's span: {stored[:80]!r}; expected 'end:start:rule:brand'") from None


def span_of(episode: Episode) -> PastSpan:
    """Of one that is open, too: it has no end yet."""
    end = OPEN_END_MS if episode.resolved_at is None else int(episode.resolved_at.timestamp() * 1_000)
    return PastSpan(end, int(episode.started_at.timestamp() * 1_000), episode.rule, episode.brand)


def oldest_retained_ms(closed: Iterable[Episode]) -> int:
    """Spans that ended before that event time (ms) may go once *closed* are in."""
    return max((span_of(episode).end_ms for episode in closed), default=RETAINED_SPANS_MS) - RETAINED_SPANS_MS


def add_closed(spans: Sequence[PastSpan], closed: Sequence[Episode]) -> Sequence[PastSpan]:
    """*spans*, oldest end first, and those of *closed*: what a store holds once they are in."""
    if not closed:
        return spans
    oldest = oldest_retained_ms(closed)
    return sorted({*(span for span in spans if span.end_ms >= oldest), *map(span_of, closed)})[-MAX_SPANS:]
