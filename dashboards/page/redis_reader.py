"""The page's reads from Redis. Blocking: called only from the page's reader threads."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import redis
from pydantic import ValidationError

from brandpulse.errors import StateError
from brandpulse.redis.client import connect
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.runtime.clock import wall_ms
from brandpulse.schema.episodes import Episode
from brandpulse.schema.silences import Silence
from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.author_sketches import AuthorCounts, Authors, count_authors
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS, AlertingKeys, PartitionKeys, facet_series
from brandpulse.state.live_sources import Period, SourceRecord, periods, read_gaps, read_sources
from brandpulse.state.operator_requests import OperatorRequestStore
from brandpulse.state.outcomes.language_counts import total_by_brand
from brandpulse.state.pane_reader import Minutes, PaneReader
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.state.watched_facets import decode_facets, rules_about
from dashboards.page.facets import Facets, facet_share, usual_share
from dashboards.page.health import AlerterHealth, Health, health
from dashboards.page.live_sources import chart_end, gaps_between
from dashboards.page.overview import BrandSummary, Overview, TimeRanges, sparkline, stream_clock, total, window
from dashboards.page.posts import ListedPost, listed_posts, since_ms
from dashboards.page.series import Series, bars, plan

CLOSED_SHOWN = 50
BASELINE_LIFE_SECONDS = 60.0
"""7 days of hours change little in a minute, and they are expensive to read."""

FACET_BASELINE_LIFE_SECONDS = 600.0
"""For the facets of one brand: they read author sketches of every hour, the most expensive reads of the page."""
MAX_CACHED_BRANDS = 200
MAX_NEWEST_POSTS = 80
"""Of the newest negative posts that workers retain without expiry."""
REDIS_TIMEOUT_SECONDS = 3.0


def page_client(url: str) -> redis.Redis:
    """A client that fails fast: the page reads again every second and shows the error meanwhile."""
    return connect(
        url,
        timeout_seconds=REDIS_TIMEOUT_SECONDS,
        connect_timeout_seconds=REDIS_TIMEOUT_SECONDS,
        # One immediate retry: the server may have closed an idle connection.
        retries=1,
        patience_seconds=60,
    )


class Episodes(msgspec.Struct, frozen=True, kw_only=True):
    """Open and closed episodes, each list newest first, each episode as JSON."""

    open: list[msgspec.Raw]
    closed: list[msgspec.Raw]


class PageStore:
    """Reads the keys of `brandpulse/state/keys.py` for the page: cards, series, episodes, posts, health.

    Raises TransientError when Redis does not answer, StateError when a key has invalid content.
    """

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._reader = PaneReader(client, namespace)
        self._alerting = AlertingKeys(namespace)
        self.requests = OperatorRequestStore(client, namespace)
        self._baseline: tuple[float, object, dict[str, Pane]] = (0.0, None, {})
        self._known: dict[str, tuple[int, KnownAuthors]] = {}
        """Brand -> (event time, authors before it)."""
        self._facet_baselines: dict[str, tuple[float, object, dict[str, float | None]]] = {}

    def brands(self) -> list[str]:
        return self._reader.brands()

    def overview(self) -> Overview:
        partitions = self._reader.partitions()
        clock_ms = stream_clock(partitions)
        if clock_ms is None:
            return Overview(clock_ms=None, brands=[], gaps=[])
        names = self._reader.brands()
        at = TimeRanges(clock_ms)
        last_hour = self._reader.minutes(names, *at.last_hour, authors=True)
        head = self._reader.minutes(names, *at.head_of_day)
        hours = self._reader.hours(names, *at.hours_of_day)
        day_authors = self._authors_of_day(partitions, names, at)
        baseline = self._baseline_panes(names, at)
        languages = total_by_brand(status.languages for status in partitions)
        _, shown = self._live_sources()
        return Overview(
            clock_ms=clock_ms,
            gaps=gaps_between(shown, at.hours_of_day[0] * HOUR_MS, (at.hour + 1) * HOUR_MS),
            brands=[
                _summary(
                    name,
                    at,
                    last_hour=last_hour[name],
                    head=head[name],
                    hours=hours[name],
                    day_authors=day_authors[name],
                    baseline=baseline[name],
                    languages=languages.get(name, {}),
                )
                for name in names
            ],
        )

    def series(self, brand: str, hours: int, until_ms: int | None = None) -> Series:
        """The *hours* before *until_ms*, by default before the stream's clock."""
        clock_ms = stream_clock(self._reader.partitions())
        if clock_ms is None:
            end_ms = until_ms or 0
            return Series(brand=brand, hours=hours, step_minutes=1, share_minutes=60, until_ms=end_ms, bars=[], gaps=[])
        _, shown = self._live_sources()
        newest_ms = chart_end(clock_ms, shown)
        end_ms = newest_ms if until_ms is None else min(until_ms, newest_ms)
        chart = plan(hours, end_ms, clock_ms)
        if chart.from_hours:
            panes = self._reader.hours([brand], chart.from_minute // 60, chart.last_minute // 60)[brand]
        else:
            panes = dict(self._reader.minutes([brand], chart.from_minute, chart.last_minute)[brand].panes)
        return Series(
            brand=brand,
            hours=hours,
            step_minutes=chart.step_minutes,
            share_minutes=chart.share_minutes,
            until_ms=end_ms,
            bars=bars(panes, 60 if chart.from_hours else 1, chart),
            gaps=gaps_between(
                shown, chart.first_minute * MINUTE_MS, (chart.last_minute + chart.step_minutes) * MINUTE_MS
            ),
        )

    def negatives(self, brand: str) -> list[ListedPost]:
        """Negative posts of *brand* by text: those of the last hours with all copies, and the newest older ones."""
        newest = self._reader.negatives(brand, MAX_NEWEST_POSTS)
        clock_ms = stream_clock(self._reader.partitions())
        if clock_ms is None:
            return []
        since = since_ms(clock_ms)
        recent = self._reader.window_posts(brand, since, clock_ms + HOUR_MS).negative
        first, last = since // MINUTE_MS, clock_ms // MINUTE_MS + HOUR_MS // MINUTE_MS
        counted = self._reader.minutes([brand], first, last)[brand].total(first, last).negative
        return listed_posts(
            [*recent, *(post.as_hour_post() for post in newest if post.created_ms < since)],
            lambda: self._known_authors(brand, since),
            {(post.source, post.id): post.url for post in newest},
            since=since,
            at_least=counted > len(recent),
        )

    def _known_authors(self, brand: str, before_ms: int) -> KnownAuthors:
        cached = self._known.get(brand)
        if cached is None or cached[0] != before_ms:
            if len(self._known) >= MAX_CACHED_BRANDS:
                self._known.clear()
            cached = self._known[brand] = before_ms, self._reader.known_authors(brand, before_ms)
        return cached[1]

    def facets(self, brand: str) -> Facets:
        """The facets of *brand*; none until an alerter has stored which facets exist."""
        [stored] = self._run(("GET", self._alerting.facets))
        watched = decode_facets(stored)
        clock_ms = stream_clock(self._reader.partitions())
        if clock_ms is None or not watched:
            return Facets(brand=brand, people=0, facets=[])
        at = TimeRanges(clock_ms)
        series = {name: facet_series(brand, name) for name in watched}
        hour = self._reader.minutes([brand, *series.values()], *at.last_hour, authors=True)
        people = {one: minutes.count_authors(*at.last_hour).everyone for one, minutes in hour.items()}
        usual = self._baseline_of_facets(brand, series, at)
        return Facets(
            brand=brand,
            people=people[brand],
            facets=[
                facet_share(
                    name,
                    inside=people[one],
                    people=people[brand],
                    usual=usual[name],
                    rules=rules_about(watched[name], brand),
                )
                for name, one in series.items()
            ],
        )

    def episodes(self) -> Episodes:
        stored_open, stored_closed = self._run(
            ("HVALS", self._alerting.episodes), ("LRANGE", self._alerting.closed, 0, CLOSED_SHOWN - 1)
        )
        firing = sorted((self._episode(e) for e in stored_open), key=lambda e: e.fired_at, reverse=True)
        closed = [self._episode(stored) for stored in stored_closed]
        return Episodes(open=[_raw(e) for e in firing], closed=[_raw(e) for e in closed])

    def silences(self, now: datetime) -> list[msgspec.Raw]:
        """Active and future silences by end time, each as JSON."""
        return [_raw(one) for one in self.requests.read(now).silences if one.ends_at > now]

    def health(self, *, now_ms: int) -> Health:
        partitions = self._reader.partitions()
        leading, evaluated, pending, quarantined = self._run(
            ("EXISTS", self._alerting.lease),
            ("GET", self._alerting.evaluated_until),
            ("HLEN", self._alerting.outbox),
            ("HLEN", self._alerting.quarantine),
        )
        alerter = AlerterHealth(
            leading=bool(leading),
            evaluated_until_ms=self._moment(evaluated),
            pending=int(pending),
            quarantined=int(quarantined),
        )
        sources, shown = self._live_sources(now_ms=now_ms)
        return health(partitions, alerter, now_ms=now_ms, sources=sources, gaps=shown)

    def _live_sources(self, *, now_ms: int | None = None) -> tuple[dict[str, SourceRecord], list[Period]]:
        now = datetime.fromtimestamp((wall_ms() if now_ms is None else now_ms) / 1_000, UTC)
        sources = read_sources(self._client, self._namespace)
        return sources, periods(sources, read_gaps(self._client, self._namespace), now=now)

    def ready(self) -> None:
        """Raises TransientError unless Redis answers."""
        self._run(("PING",))

    def _authors_of_day(
        self, partitions: Sequence[PartitionStatus], names: Sequence[str], at: TimeRanges
    ) -> dict[str, AuthorCounts]:
        """Distinct authors since the first whole hour of the last 24: minute sketches expire after 3 h."""
        first, last = at.hours_of_day
        days = range(first * HOUR_MS // DAY_MS, last * HOUR_MS // DAY_MS + 1)
        live = self._reader.live()
        keys = [PartitionKeys(live, status.topic, status.partition) for status in partitions]
        keys_of_days = [(key.hour_authors(name, day), name, day) for name in names for key in keys for day in days]
        found: dict[str, list[Authors]] = {name: [] for name in names}
        stored = self._run(*[("HGETALL", key) for key, _, _ in keys_of_days])
        for (_, name, day), cells in zip(keys_of_days, stored, strict=True):
            found[name] += [
                Authors.decode(cell) for hour, cell in cells.items() if first <= day * 24 + int(hour) <= last
            ]
        return {name: count_authors(sketches) for name, sketches in found.items()}

    def _baseline_panes(self, names: Sequence[str], at: TimeRanges) -> dict[str, Pane]:
        read_at, key, panes = self._baseline
        now = time.monotonic()
        cache_key = (at.hour, tuple(names))
        if key != cache_key or now - read_at >= BASELINE_LIFE_SECONDS:
            span = at.hours_of_baseline
            hours = self._reader.hours(names, *span)
            panes = {name: total(hours[name], *span) for name in names}
            self._baseline = (now, cache_key, panes)
        return panes

    def _baseline_of_facets(self, brand: str, series: Mapping[str, str], at: TimeRanges) -> dict[str, float | None]:
        read_at, key, shares = self._facet_baselines.get(brand, (0.0, None, {}))
        now = time.monotonic()
        cache_key = (at.hour, tuple(series))
        if key != cache_key or now - read_at >= FACET_BASELINE_LIFE_SECONDS:
            hours = self._reader.hour_authors([brand, *series.values()], *at.hours_of_baseline)
            shares = {name: usual_share(hours[one], hours[brand]) for name, one in series.items()}
            if len(self._facet_baselines) >= MAX_CACHED_BRANDS:
                self._facet_baselines.clear()
            self._facet_baselines[brand] = (now, cache_key, shares)
        return shares

    def _episode(self, stored: bytes) -> Episode:
        try:
            return Episode.model_validate_json(stored)
        except ValidationError as error:
            raise StateError(
                f"{self._alerting.episodes} or its closed list contains an invalid episode: {error}"
            ) from None

    def _moment(self, stored: bytes | None) -> int | None:
        try:
            return None if stored is None else int(stored)
        except ValueError:
            raise StateError(f"{self._alerting.evaluated_until} is {stored!r}, not a number") from None

    def _run(self, *commands: tuple[Any, ...]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        with reaching_redis():
            return pipeline.execute()


def _summary(
    name: str,
    at: TimeRanges,
    *,
    last_hour: Minutes,
    head: Minutes,
    hours: dict[int, Pane],
    day_authors: AuthorCounts,
    baseline: Pane,
    languages: dict[str, int],
) -> BrandSummary:
    day = head.total(*at.head_of_day) + total(hours, *at.hours_of_day)
    return BrandSummary(
        name=name,
        hour=window(last_hour.total(*at.last_hour), last_hour.count_authors(*at.last_hour)),
        day=window(day, day_authors),
        baseline_share=baseline.negative_share if baseline.relevant else None,
        spark=sparkline(hours, *at.hours_of_day),
        languages=languages,
    )


def _raw(one: Episode | Silence) -> msgspec.Raw:
    return msgspec.Raw(one.model_dump_json().encode())
