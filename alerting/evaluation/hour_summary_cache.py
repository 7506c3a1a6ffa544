"""What past hours held, in a few numbers, kept for the next leader: who begins would else merge a month of sketches.

    {ns:alerting}:hours:<live ns>:<day>   hash   series -> DaySummary as MessagePack

A hint, and no truth: an hour's numbers are taken only where the panes are those that they were counted with. Days that
a leader saw `SETTLED_HOURS` after their end are not looked at again when many series are read at once, as when a leader
begins; `HourHistory` asks for a few at a time afterwards, and those are looked at whole. So a late backfill is
taken up within hours, and what is asked of a few brands is always as it stands.
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
"""Late posts still change a day for so long."""
FEW = 8
"""So many series are looked at whole."""
KEPT_SECONDS = 95 * 86_400
"""By the wall clock; hour panes are kept 90 d of event time."""
DAY_HOURS = 24


class HourSummary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An hour of a series, over all partitions."""

    hour: int
    """Since 1970."""
    everyone: int
    """`NOBODY` of an hour whose posts are all irrelevant: it has no sketch."""
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
    """A day of a series as a leader saw it."""

    read_to: int
    """It was read when this hour (since 1970) began, or `settled_at`, the earlier of the two."""
    hours: tuple[HourSummary, ...] = ()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(DaySummary)
NOBODY = -1
NOTHING = DaySummary(0)


def settled_at(day: int) -> int:
    """The hour at which *day* changes no more, but for a backfill."""
    return (day + 1) * DAY_HOURS + SETTLED_HOURS


class HourSummaryReader(LivePaneReader):
    """The alerter's view of the panes, which counts the people of an hour once."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        super().__init__(client, namespace)
        self._keys = AlertingKeys(namespace)
        self._asked: tuple[object, dict[str, dict[int, HourSummary]]] | None = None

    def hour_authors(
        self, brands: Iterable[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]:
        names = list(brands)
        found = self._found(names, first_hour, last_hour)
        # Whoever asks for people asks for the same hours' panes next.
        self._asked = (self.live(), names, first_hour, last_hour), found
        return {
            name: {at: hour.people for at, hour in hours.items() if hour.everyone != NOBODY}
            for name, hours in found.items()
        }

    def hours(self, brands: Iterable[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]:
        names = list(brands)
        asked, self._asked = self._asked, None
        if asked is None or asked[0] != (self.live(), names, first_hour, last_hour):
            return super().hours(names, first_hour, last_hour)
        return {name: {at: hour.pane for at, hour in hours.items()} for name, hours in asked[1].items()}

    def _found(self, names: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, HourSummary]]:
        days = range(first_hour // DAY_HOURS, last_hour // DAY_HOURS + 1)
        kept = self._kept(names, days)
        found: dict[str, dict[int, HourSummary]] = {}
        doubtful: dict[int, list[str]] = defaultdict(list)
        for name in names:
            trusted = 0
            if len(names) > FEW:
                while trusted < len(days) and kept[name][trusted].read_to >= settled_at(days[trusted]):
                    trusted += 1
            if trusted < len(days):
                doubtful[trusted].append(name)
            found[name] = {hour.hour: hour for day in kept[name][:trusted] for hour in day.hours}
        changed: dict[int, dict[str, bytes]] = defaultdict(dict)
        for place, some in doubtful.items():
            seen = self._look(some, {name: kept[name][place:] for name in some}, days[place:], last_hour)
            for name, fresh in seen.items():
                found[name].update((hour.hour, hour) for day in fresh for hour in day.hours)
                for day, before, after in zip(days[place:], kept[name][place:], fresh, strict=True):
                    if after != before and after.read_to >= before.read_to:
                        changed[day][name] = _ENCODER.encode(after)
        self._keep(changed)
        return {
            name: {at: hour for at, hour in hours.items() if first_hour <= at <= last_hour}
            for name, hours in found.items()
        }

    def _look(
        self, names: Sequence[str], kept: Mapping[str, Sequence[DaySummary]], days: range, last_hour: int
    ) -> dict[str, list[DaySummary]]:
        """The *days* of *names* as their panes are now; people are counted anew where a pane is another than *kept*."""
        panes = super().hours(names, days[0] * DAY_HOURS, last_hour)
        known = {name: {hour.hour: hour for day in kept[name] for hour in day.hours} for name in names}
        new = {
            name: [at for at, pane in panes[name].items() if at not in known[name] or known[name][at].pane != pane]
            for name in names
        }
        people = self.people({name: hours for name, hours in new.items() if hours})
        seen: dict[str, list[DaySummary]] = {}
        for name in names:
            hours = known[name]
            for at in new[name]:
                counts = people[name].get(at, AuthorCounts(NOBODY, 0))
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

    def _kept(self, names: Sequence[str], days: range) -> dict[str, list[DaySummary]]:
        stored = self._run([("HMGET", self._key(day), *names) for day in days])
        return {
            name: [_decode(one) for one in of_name]
            for name, of_name in zip(names, zip(*stored, strict=True), strict=True)
        }

    def _keep(self, changed: Mapping[int, Mapping[str, bytes]]) -> None:
        commands: list[tuple[object, ...]] = []
        for day, series in changed.items():
            commands.append(("HSET", self._key(day), *(part for pair in series.items() for part in pair)))
            commands.append(("EXPIRE", self._key(day), KEPT_SECONDS))
        try:
            self._run(commands)
        except TransientError as error:
            log.info("past hours are not kept for the next leader", extra={"reason": str(error)})

    def _key(self, day: int) -> str:
        return self._keys.hours(self.live(), day)


def _decode(stored: bytes | None) -> DaySummary:
    """`NOTHING` too where another version wrote something else: it is counted anew."""
    try:
        return NOTHING if stored is None else _DECODER.decode(stored)
    except msgspec.DecodeError:
        return NOTHING
