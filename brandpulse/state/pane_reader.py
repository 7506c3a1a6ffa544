"""Reads panes and partition states from Redis, merged over the partitions. Blocking: call it from a thread.

Every call is a few pipelined round trips, whatever the number of brands.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis

from brandpulse.masking.mask import masked_again
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.author_sketches import AuthorCounts, Authors, count_authors
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS, NamespaceKeys, PartitionKeys, facet_of
from brandpulse.state.namespaces import live_namespace
from brandpulse.state.panes import EMPTY_PANE, Pane
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.state.stored_posts import HourPost, NegativePost, SampledPost, WindowPosts

PIPELINE_CHUNK = 2_000
"""Commands in one round trip: bounds the reply held in memory."""


@dataclass(frozen=True, slots=True)
class Minutes:
    """One brand's minute panes, merged over partitions; keys are event-time minutes since 1970."""

    panes: Mapping[int, Pane] = field(default_factory=dict)
    authors: Mapping[int, Sequence[Authors]] = field(default_factory=dict)
    """Sketches by minute; count a window's people with `count_authors` over all its minutes."""

    def total(self, first_minute: int, last_minute: int) -> Pane:
        """Sum over the minutes from first to last, both included."""
        span = range(first_minute, last_minute + 1)
        return sum((self.panes[m] for m in span if m in self.panes), EMPTY_PANE)

    def count_authors(self, first_minute: int, last_minute: int) -> AuthorCounts:
        """Different people over the minutes from first to last, both included."""
        span = range(first_minute, last_minute + 1)
        return count_authors(a for m in span for a in self.authors.get(m, ()))


class PaneReader:
    """Reads the keys of `brandpulse/state/keys.py`. Each call follows a swap to another namespace."""

    def __init__(self, client: redis.Redis, namespace: str, *, follow: bool = True) -> None:
        """*follow* False: read *namespace* itself, even if readers are directed to another."""
        self._client = client
        self._namespace = namespace
        self._follow = follow

    def live(self) -> str:
        """The namespace that is read now. Raises TransientError."""
        return live_namespace(self._client, self._namespace) if self._follow else self._namespace

    def partitions(self) -> list[PartitionStatus]:
        """Every partition that ever had state, in order."""
        known = self._known()
        states = self._run([("HGETALL", keys.state) for keys in known])
        return [
            PartitionStatus.decode(keys.topic, keys.partition, state)
            for keys, state in zip(known, states, strict=True)
            if state
        ]

    def brands(self) -> list[str]:
        """Every brand that ever had a pane, sorted."""
        [names] = self._run([("SMEMBERS", NamespaceKeys(self.live()).brands)])
        return sorted(name.decode() for name in names)

    def totals(self, *, first_hour: int = 0, before_hour: int | None = None) -> dict[str, Pane]:
        """Each brand's sum over all retained hour panes, or over some event-time hours: every post once."""
        found = self.series_totals(first_hour=first_hour, before_hour=before_hour)
        return {series: pane for series, pane in found.items() if not facet_of(series)}

    def series_totals(self, *, first_hour: int = 0, before_hour: int | None = None) -> dict[str, Pane]:
        """As `totals`, with the series of the brands' facets."""
        wanted = []
        for keys in self._known():
            [members] = self._run([("ZRANGE", keys.index, 0, -1)])
            wanted += [member.decode() for member in members if member.startswith(f"{keys.tag}:h:".encode())]
        totals: dict[str, Pane] = defaultdict(Pane)
        for key, stored in zip(wanted, self._run([("HGETALL", key) for key in wanted]), strict=True):
            day, series = _after(key, "}:h:").split(":", 1)
            for hour, pane in stored.items():
                at = int(day) * 24 + int(hour)
                if at >= first_hour and (before_hour is None or at < before_hour):
                    totals[series] += Pane.decode(pane)
        return dict(totals)

    def minutes(
        self, brands: Iterable[str], first_minute: int, last_minute: int, *, authors: bool = False
    ) -> dict[str, Minutes]:
        """Each brand's minute panes from first to last minute, both included; with *authors* their sketches too."""
        names = list(brands)
        span = range(first_minute, last_minute + 1)
        hours = range(first_minute * MINUTE_MS // HOUR_MS, last_minute * MINUTE_MS // HOUR_MS + 1)
        wanted = [(keys, brand, hour) for keys in self._known() for brand in names for hour in hours]
        panes: dict[str, dict[int, Pane]] = {brand: {} for brand in names}
        sketches: dict[str, dict[int, list[Authors]]] = {brand: defaultdict(list) for brand in names}
        stored = self._run([("HGETALL", keys.minute_panes(brand, hour)) for keys, brand, hour in wanted])
        for (_, brand, hour), cells in zip(wanted, stored, strict=True):
            _add_up(panes[brand], cells, hour * 60, span)
        if authors:
            stored = self._run([("HGETALL", keys.minute_authors(brand, hour)) for keys, brand, hour in wanted])
            for (_, brand, hour), cells in zip(wanted, stored, strict=True):
                for minute, sketch in cells.items():
                    if (at := hour * 60 + int(minute)) in span:
                        sketches[brand][at].append(Authors.decode(sketch))
        return {brand: Minutes(panes[brand], dict(sketches[brand])) for brand in names}

    def hours(self, brands: Iterable[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]:
        """Each brand's hour panes, keyed by event-time hour since 1970; first and last included."""
        names = list(brands)
        days = range(first_hour * HOUR_MS // DAY_MS, last_hour * HOUR_MS // DAY_MS + 1)
        wanted = [(keys, brand, day) for keys in self._known() for brand in names for day in days]
        panes: dict[str, dict[int, Pane]] = {brand: {} for brand in names}
        stored = self._run([("HGETALL", keys.hour_panes(brand, day)) for keys, brand, day in wanted])
        for (_, brand, day), cells in zip(wanted, stored, strict=True):
            _add_up(panes[brand], cells, day * 24, range(first_hour, last_hour + 1))
        return panes

    def hour_authors(
        self, brands: Iterable[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]:
        """Each brand's different authors in each hour."""
        names = list(brands)
        days = range(first_hour * HOUR_MS // DAY_MS, last_hour * HOUR_MS // DAY_MS + 1)
        wanted = [(keys, brand, day) for keys in self._known() for brand in names for day in days]
        found: dict[str, dict[int, list[Authors]]] = {brand: defaultdict(list) for brand in names}
        stored = self._run([("HGETALL", keys.hour_authors(brand, day)) for keys, brand, day in wanted])
        for (_, brand, day), cells in zip(wanted, stored, strict=True):
            for hour, sketch in cells.items():
                if first_hour <= (at := day * 24 + int(hour)) <= last_hour:
                    found[brand][at].append(Authors.decode(sketch))
        return {brand: {hour: count_authors(a) for hour, a in found[brand].items()} for brand in names}

    def people(self, hours: Mapping[str, Iterable[int]]) -> dict[str, dict[int, AuthorCounts]]:
        """Different authors of each brand in the given hours (since 1970); hours without authors are left out."""
        known, per_day = self._known(), DAY_MS // HOUR_MS
        wanted: list[tuple[PartitionKeys, str, int, list[int]]] = []
        for brand, mine in hours.items():
            by_day: dict[int, list[int]] = defaultdict(list)
            for hour in mine:
                by_day[hour // per_day].append(hour)
            wanted += [(keys, brand, day, some) for keys in known for day, some in by_day.items()]
        stored = self._run(
            [
                ("HMGET", keys.hour_authors(brand, day), *(hour % per_day for hour in some))
                for keys, brand, day, some in wanted
            ]
        )
        found: dict[str, dict[int, list[Authors]]] = {brand: defaultdict(list) for brand in hours}
        for (_, brand, _, some), sketches in zip(wanted, stored, strict=True):
            for hour, sketch in zip(some, sketches, strict=True):
                if sketch is not None:
                    found[brand][hour].append(Authors.decode(sketch))
        return {brand: {hour: count_authors(a) for hour, a in found[brand].items()} for brand in hours}

    def negatives(self, brand: str, limit: int = 20) -> list[NegativePost]:
        """The newest negative posts of *brand* by event time, newest first."""
        stored = self._run([("ZRANGE", keys.negatives(brand), 0, -1) for keys in self._known()])
        posts = [msgspec.json.decode(post, type=NegativePost) for part in stored for post in part]
        newest = sorted(posts, key=lambda post: post.created_ms, reverse=True)[:limit]
        # An older version may have stored what it did not mask.
        return [msgspec.structs.replace(post, text=masked_again(post.text)) for post in newest]

    def window_posts(self, series: str, first_ms: int, end_ms: int) -> WindowPosts:
        """The retained posts of *series* from event time *first_ms* to before *end_ms*.

        The newest negative posts (in a facet the newest of any label) are among them: workers of older versions
        retained no others.
        """
        hours = range(first_ms // HOUR_MS, (end_ms - 1) // HOUR_MS + 1)
        known = self._known()
        wanted = [keys.hour_posts(series, hour, negative=True) for keys in known for hour in hours]
        wanted += [keys.hour_posts(series, hour, negative=False) for keys in known for hour in hours]
        newest = [keys.negatives(series) for keys in known]
        stored = self._run([("ZRANGE", name, 0, -1) for name in (*wanted, *newest)])
        half = len(wanted) // 2
        negative, others = (
            {
                (post.source, post.id): post
                for members in part
                for member in members
                if first_ms <= (post := msgspec.json.decode(member, type=HourPost)).created_ms < end_ms
            }
            for part in (stored[:half], stored[half : 2 * half])
        )
        for member in (member for members in stored[2 * half :] for member in members):
            old = msgspec.json.decode(member, type=NegativePost)
            place = old.source, old.id
            if first_ms <= old.created_ms < end_ms and place not in negative and place not in others:
                in_facet = facet_of(series) and old.negative < 0.5
                (others if in_facet else negative)[place] = old.as_hour_post()
        return WindowPosts([*negative.values()], [*others.values()])

    def known_authors(self, brand: str, before_ms: int) -> KnownAuthors:
        """Authors of relevant posts about *brand* in the seven days before event time *before_ms*."""
        known = self._known()
        hour, minute = before_ms // HOUR_MS, before_ms // MINUTE_MS
        first = hour - 7 * 24
        per_day = DAY_MS // HOUR_MS
        days = range(first // per_day, (hour - 1) // per_day + 1)
        wanted = [(keys.hour_authors(brand, day), day * per_day, range(first, hour)) for keys in known for day in days]
        # The hour of *before_ms*, up to that minute.
        begin = hour * (HOUR_MS // MINUTE_MS)
        wanted += [(keys.minute_authors(brand, hour), begin, range(begin, minute)) for keys in known]
        stored = self._run([("HGETALL", name) for name, _, _ in wanted])
        return KnownAuthors(
            sketch
            for (_, start, span), cells in zip(wanted, stored, strict=True)
            for at, sketch in cells.items()
            if start + int(at) in span
        )

    def samples(self, brand: str, first_day: int, last_day: int) -> dict[int, list[SampledPost]]:
        """The sampled posts of *brand* by day since 1970, first and last included; days without any are left out."""
        wanted = [(keys, day) for keys in self._known() for day in range(first_day, last_day + 1)]
        stored = self._run([("ZRANGE", keys.sample(brand, day), 0, -1) for keys, day in wanted])
        found: dict[int, list[SampledPost]] = defaultdict(list)
        for (_, day), posts in zip(wanted, stored, strict=True):
            if posts:
                found[day] += [msgspec.json.decode(post, type=SampledPost) for post in posts]
        return dict(found)

    def _known(self) -> list[PartitionKeys]:
        namespace = self.live()
        [names] = self._run([("SMEMBERS", NamespaceKeys(namespace).partitions)])
        parts = (name.decode().rsplit(":", 1) for name in names)
        return sorted(
            (PartitionKeys(namespace, topic, int(partition)) for topic, partition in parts),
            key=lambda keys: (keys.topic, keys.partition),
        )

    def _run(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        replies: list[Any] = []
        with reaching_redis():
            for start in range(0, len(commands), PIPELINE_CHUNK):
                pipeline = self._client.pipeline(transaction=False)
                for command in commands[start : start + PIPELINE_CHUNK]:
                    pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
                replies += pipeline.execute()
        return replies


def _add_up(panes: dict[int, Pane], cells: Mapping[bytes, bytes], first: int, span: range) -> None:
    """Add one partition's *cells*, numbered from *first*, to *panes*."""
    for place, stored in cells.items():
        if (at := first + int(place)) in span:
            pane, before = Pane.decode(stored), panes.get(at)
            panes[at] = pane if before is None else before + pane


def _after(text: str, mark: str) -> str:
    return text.split(mark, 1)[1]
