"""Outcomes of the posts of each source in recent record time: the stored form, for its writer and its readers. Pure.

A partition's state holds them for the newest `PERIODS` quarters of an hour of Kafka's record time. They are written in
the same change as the counts. Their size is bounded: `SOURCES` sources and `CELLS` cells a period.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from brandpulse.errors import StateError
from brandpulse.state.keys import DAY_MS, HOUR_MS

PERIOD_MS = HOUR_MS // 4
PERIODS = 8
"""Two hours of record time: a report on the last hour needs one, and another to compare with."""
SOURCES = 12
CELLS = 128
OTHER_SOURCES = "(other)"
NO_SOURCE = ""
"""Of a record whose source cannot be read."""

ON_TIME, LATE, REPEATED, UNMATCHED, UNREAD = "on_time", "late", "repeated", "unmatched", "unread"
READABLE = (ON_TIME, LATE, REPEATED, UNMATCHED, UNREAD)
"""Outcomes of posts that are not dead letters; every other outcome is a dead letter's reason."""
NO_KEY, UNKNOWN_AUTHOR = "+no_key", "+unknown_author"
"""Counted besides a post's outcome: records without a key, and counted posts whose author is unknown."""
EXTRA_COUNTS = (NO_KEY, UNKNOWN_AUTHOR)

_HALF_HOUR = HOUR_MS // 2
_NEAR = 28
"""Clock offsets up to 14 hours are exact to the half hour: time zones and summer time."""
_FAR_DAYS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768)
OFFSET_EDGES = (
    *(-days * DAY_MS for days in reversed(_FAR_DAYS)),
    *(half * _HALF_HOUR - _HALF_HOUR // 2 for half in range(-_NEAR, _NEAR + 2)),
    *(days * DAY_MS for days in _FAR_DAYS),
)
"""Boundaries between the numbered clock offsets: event time minus record time, ms."""
NO_OFFSET = -1
_FIRST_NEAR = len(_FAR_DAYS) + 1

FIRST_PLAUSIBLE_MS, LAST_PLAUSIBLE_MS = 946_684_800_000, 4_102_444_800_000
"""Record times of the years 2000 to 2100. Others, such as seconds taken for milliseconds, do not move the clock."""


def shown_source(source: str) -> str:
    """*source* with printable characters only: producers may send anything."""
    shown = "".join(one if one.isprintable() else "\ufffd" for one in source).strip()
    return shown or "(unknown)"


class Cell(NamedTuple):
    """How many posts of one source had one outcome at one clock offset."""

    source: str
    outcome: str
    offset: int
    """Its number between `OFFSET_EDGES`, or `NO_OFFSET`."""
    posts: int


class Period(NamedTuple):
    """A quarter of an hour of record time."""

    number: int
    """Since 1970; 0 before the first plausible record time."""
    cells: tuple[Cell, ...]
    """Sorted."""


PostOutcomes = tuple[Period, ...]
"""In ascending order."""
OutcomeKey = tuple[str, str, int]
"""Source, outcome, offset."""
Added = Mapping[int, Mapping[OutcomeKey, int]]
"""The posts that a batch adds, by period."""


def offset_number(event_ms: int, record_ms: int) -> int:
    """The number of the clock offset; `NO_OFFSET` of a record without a timestamp."""
    return NO_OFFSET if record_ms < 0 else bisect_right(OFFSET_EDGES, event_ms - record_ms)


def offset_hours(number: int) -> float | None:
    """The clock offset in hours: to the half hour if near, else the lower bound in days; None for `NO_OFFSET`."""
    if number == NO_OFFSET:
        return None
    near = number - _FIRST_NEAR
    if 0 <= near <= 2 * _NEAR:
        return (near - _NEAR) / 2
    if near < 0:
        edge = OFFSET_EDGES[number] if number < len(_FAR_DAYS) else -(_NEAR + 0.5) * _HALF_HOUR
    else:
        edge = OFFSET_EDGES[number - 1]
    return edge / HOUR_MS


def newest_period(post_outcomes: PostOutcomes) -> int:
    return post_outcomes[-1].number if post_outcomes else 0


def period_after(newest: int, record_ms: int) -> int:
    """The newest period after a record of that time."""
    if FIRST_PLAUSIBLE_MS <= record_ms < LAST_PLAUSIBLE_MS:
        return max(newest, record_ms // PERIOD_MS)
    return newest


def with_added_outcomes(post_outcomes: PostOutcomes, added: Added) -> PostOutcomes:
    """*post_outcomes* with the posts that a batch *added*; periods that are too old are left out."""
    if not added:
        return post_outcomes
    periods = dict(post_outcomes)
    for number in sorted(added):
        periods[number] = _summed(periods.get(number, ()), added[number])
    oldest = max(periods) - PERIODS
    return tuple(Period(number, cells) for number, cells in sorted(periods.items()) if number > oldest)


def _summed(cells: tuple[Cell, ...], added: Mapping[OutcomeKey, int]) -> tuple[Cell, ...]:
    sums = {cell[:3]: cell.posts for cell in cells}
    sources = {cell.source for cell in cells}
    if new := {source for source, _, _ in added} - sources - {OTHER_SOURCES}:
        posts = Counter[str]()
        for (source, _, _), number in added.items():
            posts[source] += number
        room = max(0, SOURCES - len(sources - {OTHER_SOURCES}))
        sources |= set(sorted(new, key=lambda one: (-posts[one], one))[:room])
    for met in sorted(added):
        source, outcome, offset = met
        if source not in sources:
            source = OTHER_SOURCES
        if (source, outcome, offset) not in sums and len(sums) >= CELLS:
            offset = NO_OFFSET
        sums[source, outcome, offset] = sums.get((source, outcome, offset), 0) + added[met]
    return tuple(Cell(*met, posts) for met, posts in sorted(sums.items()))


def encode_outcomes(post_outcomes: PostOutcomes) -> bytes:
    return msgspec.json.encode(post_outcomes) if post_outcomes else b""


_DECODER = msgspec.json.Decoder(list[tuple[int, list[tuple[str, str, int, int]]]])


def decode_outcomes(stored: bytes) -> PostOutcomes:
    """Raises StateError if *stored* has another form."""
    if not stored:
        return ()
    try:
        return tuple(Period(number, tuple(Cell(*cell) for cell in cells)) for number, cells in _DECODER.decode(stored))
    except msgspec.MsgspecError as error:
        raise StateError(f"outcomes of posts (fates): {error}") from None


def cells_of(post_outcomes: Iterable[PostOutcomes], *, since: int, until: int) -> list[Cell]:
    """The cells of all partitions' periods from *since* to *until*, both included."""
    return [cell for one in post_outcomes for period in one if since <= period.number <= until for cell in period.cells]
