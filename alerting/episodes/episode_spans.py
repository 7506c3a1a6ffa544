"""The times of past episodes, for as long as a baseline looks back. Detection needs nothing else of them.

The history of episodes that people see is limited to 500. On a day when many brands fire, it would lose last week's
episodes, and their hours would be learnt as usual. Stored as `end:start:rule:brand`, sorted by the end.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from brandpulse.errors import StateError
from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import DAY_MS

RETAINED_SPANS_MS = 100 * DAY_MS
"""In event time; the longest baseline has 90 days."""
MAX_SPANS = 100_000
"""The newest are retained; about 100 bytes each."""
OPEN_END_MS = 2**53


class PastSpan(NamedTuple):
    """An episode's brand and rule, and its first and last event time (ms)."""

    end_ms: int
    start_ms: int
    rule: str
    brand: str

    def encode(self) -> str:
        return f"{self.end_ms}:{self.start_ms}:{self.rule}:{self.brand}"

    @classmethod
    def decode(cls, stored: bytes) -> "PastSpan":
        """Raises StateError if *stored* is not a span."""
        try:
            end, start, rule, brand = stored.decode().split(":", 3)
            return cls(int(end), int(start), rule, brand)
        except ValueError:
            raise StateError(f"not a past episode's span: {stored[:80]!r}; expected 'end:start:rule:brand'") from None


def span_of(episode: Episode) -> PastSpan:
    """The span of *episode*. An open episode ends at `OPEN_END_MS`."""
    end = OPEN_END_MS if episode.resolved_at is None else int(episode.resolved_at.timestamp() * 1_000)
    return PastSpan(end, int(episode.started_at.timestamp() * 1_000), episode.rule, episode.brand)


def oldest_retained_ms(closed: Iterable[Episode]) -> int:
    """Spans that ended before this event time (ms) may be dropped once *closed* are added."""
    return max((span_of(episode).end_ms for episode in closed), default=RETAINED_SPANS_MS) - RETAINED_SPANS_MS


def add_closed(spans: Sequence[PastSpan], closed: Sequence[Episode]) -> Sequence[PastSpan]:
    """*spans*, oldest end first, with those of *closed* added: the content of a store after their commit."""
    if not closed:
        return spans
    oldest = oldest_retained_ms(closed)
    return sorted({*(span for span in spans if span.end_ms >= oldest), *map(span_of, closed)})[-MAX_SPANS:]
