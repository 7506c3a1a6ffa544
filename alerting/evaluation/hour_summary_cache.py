"""Stores summaries of past hours for the next leader, which would otherwise merge a month of sketches.

    {ns:alerting}:hours:<live ns>:<day>   hash   series -> DaySummary as MessagePack

This is a cache: the summary of an hour is used only if its pane has not changed. If many series are read at once, as
when a leader starts, days that were read `SETTLED_HOURS` after their end are not checked again. Later, `HourHistory`
reads a few series at a time, and all their days are checked. So a late backfill is found within hours, and reads of a
few brands are always exact.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import redis

from alerting.evaluation.live_pane_reader import LivePaneReader
from brandpulse.errors import TransientError
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import AlertingKeys
from brandpulse.state.panes import Pane

log = logging.getLogger(__name__)

SETTLED_HOURS = 3
"""Late posts may change a day for this long after its end."""
FEW_SERIES = 8
"""In a read of at most this many series, all days are checked."""
RETAINED_SECONDS = 95 * 86_400
"""By the wall clock; hour panes are retained for 90 days of event time."""
DAY_HOURS = 24


class HourSummary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One hour of a series, over all partitions."""

    hour: int
    """Since 1970."""
    everyone: int
    """`NO_SKETCH` for an hour with irrelevant posts only."""
    negative_people: int
    negative: int
    neutral: int
    positive: int
    score_micros: int
    irrelevant: int

    @property
    def people(self) -> AuthorCounts:
        return AuthorCounts(self.everyone, self.negative_people)

    @property
    def pane(self) -> Pane:
        return Pane(self.negative, self.neutral, self.positive, self.score_micros, self.irrelevant)


class DaySummary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One day of a series, as a leader read it."""

    read_to: int
    """The hour (since 1970) at which it was read, at most `settled_at`."""
    hours: tuple[HourSummary, ...] = ()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(DaySummary)
NO_SKETCH = -1
EMPTY_DAY = DaySummary(0)


def settled_at(day: int) -> int:
    """The hour from which *day* does not change, except by a backfill."""
    return (day + 1) * DAY_HOURS + SETTLED_HOURS


class HourSummaryReader(LivePaneReader):
    """The alerter's pane reader. It counts the people of each hour once."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        super().__init__(client, namespace)
        self._keys = AlertingKeys(namespace)
        self._last_read: tuple[object, dict[str, dict[int, HourSummary]]] | None = None

    def hour_authors(
        self, brands: Iterable[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]:
        names = list(brands)
        found = self._summaries(names, first_hour, last_hour)
        # A caller that reads the people of some hours reads the panes of the same hours next.
        self._last_read = (self.live(), names, first_hour, last_hour), found
        return {
            name: {at: hour.people for at, hour in hours.items() if hour.everyone != NO_SKETCH}
            for name, hours in found.items()
        }

    def hours(self, brands: Iterable[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]:
        names = list(brands)
        last_read, self._last_read = self._last_read, None
        if last_read is None or last_read[0] != (self.live(), names, first_hour, last_hour):
            return super().hours(names, first_hour, last_hour)
        return {name: {at: hour.pane for at, hour in hours.items()} for name, hours in last_read[1].items()}

    def _summaries(self, names: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, HourSummary]]:
        days = range(first_hour // DAY_HOURS, last_hour // DAY_HOURS + 1)
        stored = self._stored(names, days)
        found: dict[str, dict[int, HourSummary]] = {}
        unchecked: dict[int, list[str]] = defaultdict(list)
        for name in names:
            trusted = 0
            if len(names) > FEW_SERIES:
                while trusted < len(days) and stored[name][trusted].read_to >= settled_at(days[trusted]):
                    trusted += 1
            if trusted < len(days):
                unchecked[trusted].append(name)
            found[name] = {hour.hour: hour for day in stored[name][:trusted] for hour in day.hours}
        changed: dict[int, dict[str, bytes]] = defaultdict(dict)
        for first, some in unchecked.items():
            seen = self._check(some, {name: stored[name][first:] for name in some}, days[first:], last_hour)
            for name, fresh in seen.items():
                found[name].update((hour.hour, hour) for day in fresh for hour in day.hours)
                for day, before, after in zip(days[first:], stored[name][first:], fresh, strict=True):
                    if after != before and after.read_to >= before.read_to:
                        changed[day][name] = _ENCODER.encode(after)
        self._store(changed)
        return {
            name: {at: hour for at, hour in hours.items() if first_hour <= at <= last_hour}
            for name, hours in found.items()
        }

    def _check(
        self, names: Sequence[str], stored: Mapping[str, Sequence[DaySummary]], days: range, last_hour: int
    ) -> dict[str, list[DaySummary]]:
        """The *days* of *names* as they are now. People are counted again for hours whose pane differs from
        *stored*."""
        panes = super().hours(names, days[0] * DAY_HOURS, last_hour)
        known = {name: {hour.hour: hour for day in stored[name] for hour in day.hours} for name in names}
        new = {
            name: [at for at, pane in panes[name].items() if at not in known[name] or known[name][at].pane != pane]
            for name in names
        }
        people = self.people({name: hours for name, hours in new.items() if hours})
        seen: dict[str, list[DaySummary]] = {}
        for name in names:
            hours = known[name]
            for at in new[name]:
                counts = people[name].get(at, AuthorCounts(NO_SKETCH, 0))
                pane = msgspec.structs.astuple(panes[name][at])
                hours[at] = HourSummary(at, counts.everyone, counts.negative, *pane)
            seen[name] = [
                DaySummary(
                    min(last_hour + 1, settled_at(day)),
                    tuple(hours[at] for at in range(day * DAY_HOURS, (day + 1) * DAY_HOURS) if at in panes[name]),
                )
                for day in days
            ]
        return seen

    def _stored(self, names: Sequence[str], days: range) -> dict[str, list[DaySummary]]:
        values = self._run([("HMGET", self._key(day), *names) for day in days])
        return {
            name: [_decode(one) for one in of_name]
            for name, of_name in zip(names, zip(*values, strict=True), strict=True)
        }

    def _store(self, changed: Mapping[int, Mapping[str, bytes]]) -> None:
        commands: list[tuple[object, ...]] = []
        for day, series in changed.items():
            commands.append(("HSET", self._key(day), *(part for pair in series.items() for part in pair)))
            commands.append(("EXPIRE", self._key(day), RETAINED_SECONDS))
        try:
            self._run(commands)
        except TransientError as error:
            log.info("hour summaries not stored", extra={"reason": str(error)})

    def _key(self, day: int) -> str:
        return self._keys.hours(self.live(), day)


def _decode(stored: bytes | None) -> DaySummary:
    """Also `EMPTY_DAY` if another version wrote another format: the day is then counted again."""
    try:
        return EMPTY_DAY if stored is None else _DECODER.decode(stored)
    except msgspec.DecodeError:
        return EMPTY_DAY
