"""The expected counts, computed from the log alone: a list, a set and a clock, none of the code under test.

Ids are one era's own; eras lie far apart, and the posts of one within the repeat memory: it forgets old eras only.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import floor
from typing import Literal

from brandpulse.schema.dead_letters import RecordId
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS, facet_series
from brandpulse.state.panes import Pane
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.types import Cell

RETENTION = Retention(
    lateness_ms=2 * MINUTE_MS, minutes_ms=HOUR_MS // 2, hours_ms=4 * HOUR_MS, authors_ms=20 * MINUTE_MS
)
LIMITS = DedupLimits(memory_ms=2 * HOUR_MS, max_ids=100_000)
ERA_MS = 12 * HOUR_MS
FUTURE_MS = 5 * MINUTE_MS
SCORES = {"negative": -750_000, "neutral": 0, "positive": 750_000, "irrelevant": 0}

FACET = "refund"
Kind = Literal["scored", "unmatched", "unread", "dead"]
QUARTER_MS = HOUR_MS // 4


@dataclass(frozen=True)
class Entry:
    """One record of the log, with the label that the model gives."""

    kind: Kind
    post_id: str
    at_ms: int
    record_ms: int
    brand: str = "Acme"
    sentiment: str = "neutral"
    origin: RecordId | None = None
    """The record of the first attempt, if this is a dead letter that was sent again."""

    @property
    def source(self) -> str:
        """Follows from its id, since an id counts once within its source only."""
        return "rss" if self.post_id[-1] in "13579" else "test"

    @property
    def keyless(self) -> bool:
        return self.post_id[-1] == "3"

    @property
    def author_id(self) -> str:
        return "[deleted]" if self.post_id[-1] == "4" else f"author-{self.post_id}"

    @property
    def inside(self) -> bool:
        """Whether the text has the facet's keyword: every second id has it."""
        return self.post_id[-1] in "02468"

    @property
    def series(self) -> tuple[str, ...]:
        """The series it counts in: its brand, and the facet if it has the keyword and is about the brand."""
        inside = self.inside and self.sentiment != "irrelevant"
        return (self.brand, facet_series(self.brand, FACET)) if inside else (self.brand,)

    @property
    def cells(self) -> tuple[tuple[Cell, Cell], ...]:
        """Hour and minute of each of its series."""
        return tuple(
            (Cell("hour", name, self.at_ms // HOUR_MS), Cell("minute", name, self.at_ms // MINUTE_MS))
            for name in self.series
        )


@dataclass
class Tally:
    """The counts that a log's entries must have left."""

    panes: dict[Cell, Counter[str]] = field(default_factory=dict)
    late: int = 0
    repeated: int = 0
    dead: int = 0
    unmatched: int = 0
    unread: int = 0
    keyless: int = 0
    redriven: int = 0
    post_outcomes: Counter[tuple[int, str, str, float | None]] = field(default_factory=Counter)
    """(quarter of an hour of record time, source, outcome, hours that the post is ahead of its record)"""
    quarter: int = 0
    clock_ms: int | None = None

    def finish(self, entry: Entry, done: set[RecordId]) -> None:
        """A redriven post has its final result."""
        if entry.origin is not None:
            done.add(entry.origin)
            self.redriven += 1

    def meets(self, entry: Entry, outcome: str, *, timed: bool = True) -> None:
        ahead = (entry.at_ms - entry.record_ms) / HOUR_MS if timed and entry.origin is None else None
        hours = None if ahead is None else floor(2 * ahead + 0.5) / 2
        self.quarter = max(self.quarter, entry.record_ms // QUARTER_MS)
        self.post_outcomes[self.quarter, entry.source, outcome, hours] += 1

    def recent_outcomes(self) -> Counter[tuple[int, str, str, float | None]]:
        return Counter({met: posts for met, posts in self.post_outcomes.items() if met[0] > self.quarter - 8})

    def pane(self, cell: Cell) -> Pane | None:
        seen = self.panes.get(cell)
        if seen is None:
            return None
        score = sum(SCORES[label] * posts for label, posts in seen.items())
        return Pane(seen["negative"], seen["neutral"], seen["positive"], score, seen["irrelevant"])

    def may_be_dropped(self, cell: Cell) -> bool:
        """Whether *cell* is so old that the store may have dropped it."""
        if self.clock_ms is None:
            return False
        if cell.span == "hour":
            kept = (cell.bucket // 24 + 1) * DAY_MS + RETENTION.hours_ms
        else:
            kept = (cell.bucket // 60 + 1) * HOUR_MS + RETENTION.authors_ms
        return kept <= self.clock_ms - RETENTION.lateness_ms


def tally(entries: Iterable[Entry]) -> Tally:
    """Each distinct post once, in the order of the log."""
    out = Tally()
    counted: set[str] = set()
    done: set[RecordId] = set()
    for entry in entries:
        out.keyless += entry.keyless
        if entry.keyless:
            out.meets(entry, "+no_key", timed=False)
        if entry.origin in done:
            out.repeated += 1
            out.meets(entry, "repeated")
            continue
        if entry.kind == "dead":
            out.dead += entry.origin is None
            if entry.origin is None:
                out.meets(entry, "not_json", timed=False)
            continue
        if entry.kind == "scored" and entry.post_id in counted:
            out.repeated += 1
            out.meets(entry, "repeated")
            out.finish(entry, done)
            continue
        clock = out.clock_ms
        too_old = clock is not None and entry.at_ms < clock - RETENTION.hours_ms
        if entry.at_ms > entry.record_ms + FUTURE_MS or too_old:
            out.dead += entry.origin is None
            if entry.origin is None:
                out.meets(entry, "from_the_future" if entry.at_ms > entry.record_ms + FUTURE_MS else "too_old")
            continue
        out.finish(entry, done)
        believed = min(entry.at_ms, entry.record_ms)
        out.clock_ms = believed if clock is None else max(clock, believed)
        if entry.kind == "unmatched":
            out.unmatched += 1
            out.meets(entry, "unmatched")
            continue
        if entry.kind == "unread":
            out.unread += 1
            out.meets(entry, "unread")
            continue
        counted.add(entry.post_id)
        late = clock is not None and entry.at_ms < clock - RETENTION.lateness_ms
        out.late += late
        out.meets(entry, "late" if late else "on_time")
        if entry.author_id == "[deleted]":
            out.meets(entry, "+unknown_author", timed=False)
        kept = entry.at_ms >= out.clock_ms - RETENTION.lateness_ms - RETENTION.minutes_ms
        for hour, minute in entry.cells:
            for cell in (hour, minute) if kept else (hour,):
                out.panes.setdefault(cell, Counter())[entry.sentiment] += 1
    return out
