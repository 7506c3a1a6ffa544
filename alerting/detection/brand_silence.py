"""Detects that the posts of a brand stopped while the stream continues. Such a silence is never treated as calm.

Usual for an hour is the brand's number of people in that hour on the days before, and in that hour a week ago: the
minimum of both, and of the neighbouring hours, so that neither a weekend nor a clock change is a silence. The chance of
no post at all is that of a negative binomial (hours differ by some 45 % beyond Poisson):

    P(none) = (1 + usual / SPREAD) ^ -SPREAD

Below `SUSPECT` the brand's episodes freeze. A page needs `SURE`, a whole clock hour without a post (some sources
deliver once an hour), and a longer run of empty hours than any in the last two weeks.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from alerting.detection.hour_history import HourHistory
from brandpulse.state.pane_reader import Minutes

SPREAD = 5.0
SUSPECT, SURE, SURE_AFTER_ONE_DAY = 1e-2, 1e-5, 1e-7
WORKDAYS = range(1, 5)
"""Tuesday to Friday, UTC: the day before is similar. On other days, a week must be known before a page."""
MIN_GAP_MINUTES = 10
STREAM_GAP_MINUTES = 15
"""After this time without posts of any brand, the whole stream is silent."""
DAYS, WEEKS = 14, 4
FEW_HOURS, LEVEL_HOURS = 6, 24
"""For a brand younger than a day, the level of this many hours is used: it freezes episodes, but does not page."""
LONGEST_HOURS = 72
"""Longer gaps are evaluated over this time: by then the result is certain."""
THIN_PART = 0.25


@dataclass(frozen=True, slots=True)
class BrandSilence:
    """A gap in one brand's posts, up to a minute."""

    since_minute: int
    """The first event-time minute without a post."""
    usual_per_hour: float
    """Usual people in such hours."""
    chance: float
    """Chance of such a gap if nothing had changed."""
    days: int
    """Earlier days that show what is usual at these hours; 0: only the level of the last hours is known."""
    knows_week: bool
    """The same hours a week ago are known, or the day before is similar."""
    empty_hours: int
    """Whole clock hours in the gap."""
    unusually_long: bool
    """No run of empty hours in the last two weeks was as long."""

    @property
    def is_suspect(self) -> bool:
        return self.chance < SUSPECT

    @property
    def is_sure(self) -> bool:
        enough = SURE if self.days >= 2 else SURE_AFTER_ONE_DAY
        return (
            self.days > 0 and self.knows_week and self.empty_hours > 0 and self.unusually_long and self.chance < enough
        )


class BrandSilenceDetector:
    """Knows the last post of each brand and what is usual for it. A new leader restores both from panes and hours."""

    def __init__(self, history: HourHistory) -> None:
        self._history = history
        self._last: dict[str, int] = {}
        """By brand: the last minute with a post before the minutes of this batch."""
        self._seen: dict[str, list[int]] = {}
        self._usual: dict[tuple[str, int], tuple[float, int]] = {}
        self._runs: dict[tuple[str, int], int] = {}
        self._before_hour = 0
        self._busy_to: int | None = None
        """The last minute with a post of any brand; and the hours with one that are newer than the history."""
        self._busy_hours: set[int] = set()
        self._resumed: list[int] = []
        """Minutes at which the stream resumed after all brands were silent."""

    def read(self, read: Mapping[str, Minutes], *, before_hour: int) -> None:
        """Take the minutes of a batch, after the history of the hours before *before_hour* was read."""
        for brand, seen in self._seen.items():
            if seen:
                self._last[brand] = seen[-1]
        self._seen = {
            brand: sorted(minute for minute, pane in one.panes.items() if pane.posts) for brand, one in read.items()
        }
        busy = sorted({minute for seen in self._seen.values() for minute in seen})
        if busy:
            known = self._busy_to
            resumed = {
                minute
                for before, minute in pairwise([known, *busy] if known is not None else busy)
                if minute - before > STREAM_GAP_MINUTES
            }
            self._resumed = sorted({*self._resumed, *resumed})[-100:]
            self._busy_to = max(busy[-1], known or 0)
            self._busy_hours = {minute // 60 for minute in busy}
        if before_hour != self._before_hour:
            self._before_hour = before_hour
            self._usual.clear()
            self._runs.clear()

    def check(self, brand: str, minute: int) -> BrandSilence | None:
        """The gap up to *minute*; None if there is no gap, or if the brand is unknown."""
        last = self._last_post(brand, minute)
        if last is None or minute - last < MIN_GAP_MINUTES:
            return None
        position = bisect_right(self._resumed, minute)
        # A gap of the whole stream is not a gap of the brand.
        begin = max(last + 1, self._resumed[position - 1] if position else 0)
        expected, days = self._expected(brand, begin, minute)
        gap_hours = max(min((minute + 1 - begin) / 60, float(LONGEST_HOURS)), 1 / 60)
        first_hour = -(-begin // 60)
        empty = max(0, (minute + 1) // 60 - first_hour)
        chance = (1 + expected / SPREAD) ** -SPREAD
        return BrandSilence(
            since_minute=last + 1,
            usual_per_hour=expected / gap_hours,
            chance=chance,
            days=days,
            knows_week=days >= 8 or all(_weekday(hour) in WORKDAYS for hour in (begin // 60, minute // 60)),
            empty_hours=empty,
            unusually_long=chance < SURE and empty > self._longest_run(brand, last // 60),
        )

    def is_thin(self, brand: str, people: int, first_minute: int, last_minute: int) -> bool:
        """Whether *people* in these minutes are so few that the brand may be silent rather than quiet."""
        expected, _ = self._expected(brand, first_minute, last_minute)
        return people < THIN_PART * expected and expected > 1 / THIN_PART

    def _last_post(self, brand: str, minute: int) -> int | None:
        seen = self._seen.get(brand, [])
        position = bisect_right(seen, minute)
        if position:
            return seen[position - 1]
        if brand not in self._last:
            hours = [hour for hour in self._history.hours_with_people(brand) if hour * 60 <= minute]
            if not hours:
                return None
            self._last[brand] = min(max(hours) * 60 + 59, minute)
        return self._last[brand]

    def _expected(self, brand: str, first_minute: int, last_minute: int) -> tuple[float, int]:
        """Usual people from the first minute to the last, and the minimum number of days that this is based on."""
        expected, days = 0.0, DAYS
        last_hour = last_minute // 60
        for hour in range(max(first_minute // 60, last_hour - LONGEST_HOURS), last_hour + 1):
            if not (self._history.is_alive(hour) if hour < self._before_hour else hour in self._busy_hours):
                continue
            usual, known = self._usual_at(brand, hour)
            minutes = min(last_minute + 1, (hour + 1) * 60) - max(first_minute, hour * 60)
            expected += usual * minutes / 60
            days = min(days, known)
        return expected, days

    def _usual_at(self, brand: str, hour: int) -> tuple[float, int]:
        found = self._usual.get((brand, hour))
        if found is None:
            found = self._usual[brand, hour] = self._compute_usual(brand, hour)
        return found

    def _compute_usual(self, brand: str, hour: int) -> tuple[float, int]:
        begin = self._history.first_hour(brand)
        if begin is None:
            return 0.0, 0
        minimum, days = float("inf"), DAYS
        for beside in (hour - 1, hour, hour + 1):
            daily = self._people(brand, begin, [beside - 24 * day for day in range(1, DAYS + 1)])
            weekly = self._people(brand, begin, [beside - 168 * week for week in range(1, WEEKS + 1)])
            if not daily:
                return self._level(brand, begin, hour), 0
            days = min(days, len(daily))
            minimum = min(minimum, median(daily), *([median(weekly)] if weekly else []))
        return minimum, days

    def _people(self, brand: str, begin: int, hours: Sequence[int]) -> list[int]:
        """People in those of *hours* that are known: since the brand's first hour, and with a post of any brand."""
        return [
            self._history.people(brand, hour)
            for hour in hours
            if begin <= hour < self._before_hour and self._history.is_alive(hour)
        ]

    def _level(self, brand: str, begin: int, hour: int) -> float:
        last = min(hour, self._before_hour, max(self._history.hours_with_people(brand), default=0) + 1)
        # Its first hour may be incomplete.
        known = self._people(brand, begin + 1, range(last - LEVEL_HOURS, last))
        return median(known) if len(known) >= FEW_HOURS else 0.0

    def _longest_run(self, brand: str, before_hour: int) -> int:
        """The longest run of hours without a post that usually have some, in the two weeks before *before_hour*."""
        last = min(before_hour, self._before_hour)
        found = self._runs.get((brand, last))
        if found is None:
            found = self._runs[brand, last] = self._count_run(brand, last)
        return found

    def _count_run(self, brand: str, last: int) -> int:
        begin = self._history.first_hour(brand)
        if begin is None:
            return 0
        has_some = {hour % 24 for hour in range(last, last + 24) if self._usual_at(brand, hour)[0] >= 1}
        longest = run = 0
        for hour in range(max(begin, last - 24 * DAYS), last):
            if hour % 24 in has_some and self._history.is_alive(hour):
                run = 0 if self._history.people(brand, hour) else run + 1
                longest = max(longest, run)
        return longest


def _weekday(hour: int) -> int:
    """0 is Monday, UTC; 1 January 1970 was a Thursday."""
    return (hour // 24 + 3) % 7
