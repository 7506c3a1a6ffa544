"""Folds scored posts of one partition into the change that one Lua call will make. Pure: no clock, no I/O.

`plan` says what must be read first (which panes, which ids may be repeats); `fold` takes what was read and returns the
`Change`. Both see the records in offset order, and nothing depends on where a batch was cut.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import nlargest
from typing import Literal

import msgspec

from brandpulse.keys import DAY_MS, HOUR_MS, MINUTE_MS
from brandpulse.pane_reader import NegativePost
from brandpulse.panes import EMPTY_PANE, MICROS, Authors, Pane
from brandpulse.partitions import PartitionStatus
from stream_workers.decode import Dead, Decoded, author_word, post_digest
from stream_workers.event_time import Retention, Verdict, judge
from stream_workers.repeats import RepeatLimits, RepeatMemory

KEPT_NEGATIVES = 20
"""Newest negative posts kept per brand and partition, for people to read."""

Span = Literal["minute", "hour"]


@dataclass(frozen=True, slots=True)
class Cell:
    """Address of one pane: a minute of an hour, or an hour of a day; `bucket` counts them since 1970."""

    span: Span
    brand: str
    bucket: int


@dataclass(frozen=True, slots=True)
class Scored:
    """One readable post that names a brand, judged by the model."""

    decoded: Decoded
    brands: tuple[str, ...]
    author: int
    """Keyed hash, signed 64 bits."""
    masked_text: str
    negative: float
    neutral: float
    positive: float

    @property
    def label(self) -> int:
        """Index of the most probable of negative, neutral, positive; the first of equals."""
        triple = (self.negative, self.neutral, self.positive)
        return triple.index(max(triple))

    @property
    def score_micros(self) -> int:
        return round((self.positive - self.negative) * MICROS)


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A readable post that names none of our brands. It moves the clock, and is counted as unmatched."""

    decoded: Decoded


Outcome = Scored | Unmatched | Dead


@dataclass(frozen=True, slots=True)
class Stored:
    """What `fold` needs to know of the store, read after the previous change was applied."""

    repeats: Mapping[bytes, int] = field(default_factory=dict)
    """Those digests of the batch that are in the repeat memory -> number of the newest generation that holds them."""
    panes: Mapping[Cell, Pane] = field(default_factory=dict)
    authors: Mapping[Cell, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """Everything one batch does to its partition, applied at once or not at all."""

    status: PartitionStatus
    """As it will be: `next`, clock and counters moved on."""
    from_offset: int
    panes: Mapping[Cell, Pane]
    """Absolute values, not differences: safe because nothing applies unless `next` still stands at `from_offset`."""
    authors: Mapping[Cell, bytes]
    new_ids: Mapping[int, Sequence[bytes]]
    """Digests to remember, by generation."""
    dropped_generations: Sequence[int]
    negatives: Mapping[str, Sequence[NegativePost]]
    """The newest by event time, whatever the order of arrival."""
    counted: Sequence[Scored]
    dead: Sequence[Dead]


def digest_of(scored: Scored) -> bytes:
    return post_digest(scored.decoded.post.source, scored.decoded.post.id)


def plan(outcomes: Sequence[Outcome]) -> tuple[list[bytes], list[Cell]]:
    """Digests whose membership, and cells whose value, must be read before `fold`."""
    digests, cells = [], dict[Cell, None]()
    for outcome in outcomes:
        if not isinstance(outcome, Scored):
            continue
        digests.append(digest_of(outcome))
        event_ms = outcome.decoded.event_ms
        for brand in outcome.brands:
            cells[Cell("minute", brand, event_ms // MINUTE_MS)] = None
            cells[Cell("hour", brand, event_ms // HOUR_MS)] = None
    return digests, list(cells)


def fold(
    status: PartitionStatus,
    outcomes: Sequence[Outcome],
    to_offset: int,
    stored: Stored,
    *,
    retention: Retention,
    limits: RepeatLimits,
) -> Change:
    """The change that *outcomes*, in offset order, make to a partition that stands at *status*."""
    clock = status.clock_ms
    tally: Counter[str] = Counter()
    panes: dict[Cell, Pane] = dict(stored.panes)
    touched: set[Cell] = set()
    sketches: dict[Cell, Authors] = {}
    negatives: dict[str, list[NegativePost]] = {}
    memory = RepeatMemory(status.generations, stored.repeats, limits)
    counted: list[Scored] = []
    dead: list[Dead] = []
    for outcome in outcomes:
        if isinstance(outcome, Dead):
            dead.append(outcome)
            continue
        decoded = outcome.decoded
        digest = b""
        if isinstance(outcome, Scored):
            digest = digest_of(outcome)
            if memory.holds(digest):
                tally["repeated"] += 1
                continue
        verdict, clock = judge(decoded.event_ms, decoded.record.record_ms, clock, retention)
        if verdict is Verdict.FROM_THE_FUTURE or verdict is Verdict.TOO_OLD:
            dead.append(Dead(decoded.record, verdict.value, _explain(verdict, decoded, clock)))
            continue
        if isinstance(outcome, Unmatched):
            tally["unmatched"] += 1
            continue
        tally["late"] += verdict is Verdict.LATE
        memory.add(digest, clock)
        counted.append(outcome)
        for cell in _cells(outcome, clock, retention):
            panes[cell] = panes.get(cell, EMPTY_PANE) + _pane_of(outcome)
            touched.add(cell)
            if cell.span == "hour" or decoded.event_ms >= clock - retention.lateness_ms - retention.authors_ms:
                if cell not in sketches:
                    before = stored.authors.get(cell)
                    sketches[cell] = Authors() if before is None else Authors.decode(before)
                sketches[cell].add(outcome.author, negative=outcome.label == 0)
        if outcome.label == 0:
            kept = _negative_post(outcome)
            for brand in outcome.brands:
                negatives.setdefault(brand, []).append(kept)
    return Change(
        status=replace(
            status,
            next=to_offset,
            clock_ms=clock,
            lateness_ms=retention.lateness_ms,
            late=status.late + tally["late"],
            repeated=status.repeated + tally["repeated"],
            unmatched=status.unmatched + tally["unmatched"],
            dead=status.dead + len(dead),
            generations=memory.generations,
        ),
        from_offset=status.next,
        panes={cell: panes[cell] for cell in touched},
        authors={cell: authors.encode() for cell, authors in sketches.items()},
        new_ids=memory.added,
        dropped_generations=memory.dropped,
        negatives={brand: nlargest(KEPT_NEGATIVES, posts, key=_created) for brand, posts in negatives.items()},
        counted=counted,
        dead=dead,
    )


def _cells(scored: Scored, clock: int, retention: Retention) -> list[Cell]:
    event_ms = scored.decoded.event_ms
    cells = [Cell("hour", brand, event_ms // HOUR_MS) for brand in scored.brands]
    if event_ms >= clock - retention.lateness_ms - retention.minutes_ms:
        cells += [Cell("minute", brand, event_ms // MINUTE_MS) for brand in scored.brands]
    return cells


def _pane_of(scored: Scored) -> Pane:
    label = scored.label
    return Pane(int(label == 0), int(label == 1), int(label == 2), scored.score_micros)


def _created(post: NegativePost) -> int:
    return post.created_ms


def _negative_post(scored: Scored) -> NegativePost:
    post = scored.decoded.post
    return NegativePost(
        id=post.id,
        source=post.source,
        text=scored.masked_text,
        created_ms=scored.decoded.event_ms,
        author=author_word(scored.author),
        negative=round(scored.negative, 4),
    )


def _explain(verdict: Verdict, decoded: Decoded, clock_ms: int) -> str:
    when = decoded.post.created_at.isoformat()
    if verdict is Verdict.FROM_THE_FUTURE:
        ahead = (decoded.event_ms - decoded.record.record_ms) / 1_000
        return f"created_at {when} lies {ahead:.0f} s after its Kafka record's timestamp; at most 300 s are believed"
    days = (clock_ms - decoded.event_ms) / DAY_MS
    return (
        f"created_at {when} lies {days:.0f} days behind the newest post of its partition, past the horizon of hour "
        "panes; put a backfill into a namespace of its own (BRANDPULSE_NAMESPACE, BRANDPULSE_POSTS_TOPIC)"
    )


def encode_negative(post: NegativePost) -> bytes:
    return msgspec.json.encode(post)
