"""The past hours of brands, cached in memory: a replay needs the same four weeks at every event hour."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from alerting.detection.evidence import mean_weight, weight_quarters
from alerting.detection.share_baseline import BaselinePolicy, Span, UsualWeek, learn_usual_week
from brandpulse.runtime.local_hours import UTC
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import HOUR_MS, MINUTE_MS, brand_of
from brandpulse.state.panes import Pane

REREAD_HOURS = 3
"""Late posts still change the newest hours."""
AT_ONCE = 100
"""Brands in one read: bounds memory."""
REVIEWS = 240
"""Within this many reads, each brand's whole past is read again: a backfill may have changed it."""
MAX_REVIEWED = 5
"""Brands reviewed in one read: few enough that `alerting.evaluation.hour_summary_cache` checks all their days."""


class HourSource(Protocol):
    """The part of PaneReader that is needed here."""

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]: ...

    def hours(self, brands: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]: ...


class HourHistory:
    """Hours by brand, and the baselines learnt from them."""

    def __init__(
        self, source: HourSource, policy: BaselinePolicy, *, zones: Callable[[str], ZoneInfo] = lambda _: UTC
    ) -> None:
        """*zones* gives each brand's time zone. If it changes, the brand's past is learnt again."""
        self._source = source
        self._policy = policy
        self._zones = zones
        self._hours: dict[str, dict[int, AuthorCounts]] = {}
        self._weights: dict[str, dict[int, float]] = {}
        self._alive: set[int] = set()
        self._read_to: dict[str, int] = {}
        self._weeks: dict[str, tuple[tuple[int, int, ZoneInfo], UsualWeek]] = {}
        self._to_review: list[str] = []

    def read(self, brands: Sequence[str], *, before_hour: int, since_hour: int | None = None) -> None:
        """Load the hours of *brands* for baselines before *before_hour* and earlier on the same day.

        With *since_hour*: all hours from there on, for a look back.
        """
        oldest = before_hour - (self._policy.days + 1) * 24
        if since_hour is not None:
            oldest = min(oldest, since_hour)
        new = [brand for brand in brands if brand not in self._read_to]
        known = [brand for brand in brands if brand in self._read_to and self._read_to[brand] < before_hour]
        self._fetch(new, oldest - 24, before_hour)
        self._fetch(self._to_review_now(brands, new), oldest - 24, before_hour)
        if known:
            self._fetch(known, min(self._read_to[brand] for brand in known) - REREAD_HOURS, before_hour)
        for brand in known:
            _forget_before(oldest - 24, self._hours[brand])
            _forget_before(oldest - 24, self._weights.get(brand, {}))
        self._alive = {hour for hour in self._alive if hour >= oldest - 24}

    def _to_review_now(self, brands: Sequence[str], new: Sequence[str]) -> list[str]:
        if not self._to_review:
            self._to_review = sorted(set(brands) - set(new))
        count = min(MAX_REVIEWED, -(-len(brands) // REVIEWS))
        now, self._to_review = self._to_review[:count], self._to_review[count:]
        return now

    def _fetch(self, brands: Sequence[str], first_hour: int, before_hour: int) -> None:
        for start in range(0, len(brands), AT_ONCE):
            self._fetch_some(brands[start : start + AT_ONCE], first_hour, before_hour)

    def _fetch_some(self, brands: Sequence[str], first_hour: int, before_hour: int) -> None:
        for brand, hours in self._source.hour_authors(brands, first_hour, before_hour - 1).items():
            self._hours.setdefault(brand, {}).update(hours)
            self._read_to[brand] = before_hour
            self._alive.update(hours)
        for brand, panes in self._source.hours(brands, first_hour, before_hour - 1).items():
            self._weights.setdefault(brand, {}).update(
                (hour, weight)
                for hour, pane in panes.items()
                if (weight := mean_weight(weight_quarters(pane), pane.relevant)) is not None
            )

    def usual_week(self, brand: str, *, window_starts: int, incidents: Sequence[Span]) -> UsualWeek:
        """The usual week of windows that start at event-time minute *window_starts* or later; computed once an hour."""
        before_hour = window_starts * MINUTE_MS // HOUR_MS
        zone = self.zone(brand)
        version = before_hour, len(incidents), zone
        cached = self._weeks.get(brand)
        if cached is not None and cached[0] == version:
            return cached[1]
        fresh = learn_usual_week(
            self._hours.get(brand, {}),
            weights=self._weights.get(brand, {}),
            before_hour=before_hour,
            incidents=incidents,
            policy=self._policy,
            zone=zone,
        )
        self._weeks[brand] = version, fresh
        return fresh

    def zone(self, brand: str) -> ZoneInfo:
        """The time zone of *brand*; for a facet's series, that of its brand."""
        return self._zones(brand_of(brand))

    def first_hour(self, brand: str) -> int | None:
        """The oldest loaded hour of *brand*; None if it has none."""
        return min(self._hours.get(brand, ()), default=None)

    def hours_with_people(self, brand: str) -> list[int]:
        """Loaded hours in which *brand* had people."""
        return [hour for hour, seen in self._hours.get(brand, {}).items() if seen.everyone]

    def people(self, brand: str, hour: int) -> int:
        """Number of people who wrote about *brand* in *hour*."""
        seen = self._hours.get(brand, {}).get(hour)
        return 0 if seen is None else seen.everyone

    def is_alive(self, hour: int) -> bool:
        """Whether any brand had posts in *hour*."""
        return hour in self._alive

    def votes(self, brand: str, first_hour: int, last_hour: int) -> tuple[AuthorCounts, float | None]:
        """The votes of the hours from first to last, both included, and their mean weight. An author has one vote an
        hour."""
        everyone = negative = 0
        weight = 0.0
        hours, weights = self._hours.get(brand, {}), self._weights.get(brand, {})
        known = 0
        for hour in range(first_hour, last_hour + 1):
            if (seen := hours.get(hour)) is not None:
                everyone += seen.everyone
                negative += min(seen.negative, seen.everyone)
                if hour in weights:
                    known += seen.everyone
                    weight += seen.everyone * weights[hour]
        return AuthorCounts(everyone, negative), weight / known if known else None


def _forget_before(oldest: int, hours: dict[int, Any]) -> None:
    for hour in [hour for hour in hours if hour < oldest]:
        del hours[hour]
