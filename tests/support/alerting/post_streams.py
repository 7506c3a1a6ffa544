"""Streams of posts as panes: in memory as the alerter reads them, or in Redis as the workers write them."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
import redis

from brandpulse.state.author_sketches import AuthorCounts, Authors, count_authors
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS, NamespaceKeys, PartitionKeys, brand_of, facet_series
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import EMPTY_PANE, Pane
from brandpulse.state.stored_posts import NegativePost

TOPIC = "posts"
MONDAY = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1_000) // MINUTE_MS
"""An event-time minute to count from: midnight, so the first minute of an hour and of a day."""


class PostStream:
    """Posts of some brands, folded into panes. Posts go to partitions by author, as good as any."""

    def __init__(self, *, partitions: int = 2) -> None:
        self.partitions = partitions
        self.panes: dict[tuple[int, str, int], Pane] = defaultdict(Pane)
        self.authors: dict[tuple[int, str, int], Authors] = defaultdict(Authors)
        self.negatives: dict[tuple[int, str], list[NegativePost]] = defaultdict(list)
        self.last_minute = 0
        self._people = 1_000_000

    def post(
        self, brand: str, minute: int, *, negative: bool = False, author: int | None = None, facet: str = ""
    ) -> None:
        """One post in event-time *minute*, in *facet* if one is named; without *author*, by a new author."""
        if author is None:
            self._people += 1
            author = self._people
        for series in (brand, *([facet_series(brand, facet)] if facet else [])):
            cell = (author % self.partitions, series, minute)
            self.panes[cell] += Pane(negative=1, score_micros=-900_000) if negative else Pane(neutral=1)
            self.authors[cell].add(author, negative=negative)
        self.last_minute = max(self.last_minute, minute)
        for series in (*([brand] if negative else []), *([facet_series(brand, facet)] if facet else [])):
            kept = self.negatives[author % self.partitions, series]
            kept.append(
                NegativePost(
                    id=f"{author}-{minute}-{len(kept)}",
                    source="test",
                    text="post of " + "".join("abcdefghij"[int(digit)] for digit in str(author)),
                    created_ms=minute * MINUTE_MS,
                    author=f"{author:016x}",
                    negative=0.9,
                )
            )
            del kept[:-20]

    def irrelevant(self, brand: str, minute: int, posts: int = 1) -> None:
        """*posts* that name the brand but are irrelevant: their authors have no vote."""
        self.panes[0, brand, minute] += Pane(irrelevant=posts)
        self.last_minute = max(self.last_minute, minute)

    def steady(
        self,
        brand: str,
        minutes: Iterable[int],
        *,
        per_minute: float,
        share: float,
        rng: random.Random,
    ) -> "PostStream":
        """Random posts by ever new authors, Poisson in number, *share* of them negative."""
        for minute in minutes:
            for _ in range(_poisson(per_minute, rng)):
                self.post(brand, minute, negative=rng.random() < share)
        return self

    def brands(self) -> list[str]:
        return sorted({brand_of(brand) for _, brand, _ in self.panes})

    def minutes(self, brand: str) -> Minutes:
        panes: dict[int, Pane] = {}
        authors: dict[int, list[Authors]] = defaultdict(list)
        for cell, pane in self.panes.items():
            if cell[1] == brand:
                panes[cell[2]] = panes.get(cell[2], EMPTY_PANE) + pane
                authors[cell[2]].append(self.authors[cell])
        return Minutes(panes, dict(authors))

    def hours(self, brand: str) -> dict[int, AuthorCounts]:
        found: dict[int, list[Authors]] = defaultdict(list)
        for cell, authors in self.authors.items():
            if cell[1] == brand:
                found[cell[2] // 60].append(authors)
        return {hour: count_authors(sketches) for hour, sketches in found.items()}

    def write(
        self,
        client: redis.Redis,
        namespace: str,
        *,
        until_minute: int | None = None,
        wall_ms: int = 0,
        caught_up: bool = True,
        owner: str = "worker-1",
    ) -> None:
        """Everything as a worker leaves it; every partition's watermark at the start of *until_minute*."""
        until = self.last_minute + 1 if until_minute is None else until_minute
        pipeline = client.pipeline(transaction=False)
        names = NamespaceKeys(namespace)
        hours: dict[tuple[int, str, int], Pane] = defaultdict(Pane)
        hour_authors: dict[tuple[int, str, int], list[Authors]] = defaultdict(list)
        for (partition, brand, minute), pane in self.panes.items():
            keys = PartitionKeys(namespace, TOPIC, partition)
            sketch = self.authors[(partition, brand, minute)]
            pipeline.hset(keys.minute_panes(brand, minute // 60), str(minute % 60), pane.encode())
            pipeline.hset(keys.minute_authors(brand, minute // 60), str(minute % 60), sketch.encode())
            hours[(partition, brand, minute // 60)] += pane
            hour_authors[(partition, brand, minute // 60)].append(sketch)
        per_day = DAY_MS // HOUR_MS
        for (partition, brand, hour), pane in hours.items():
            keys = PartitionKeys(namespace, TOPIC, partition)
            sketch = merged(hour_authors[(partition, brand, hour)])
            pipeline.hset(keys.hour_panes(brand, hour // per_day), str(hour % per_day), pane.encode())
            pipeline.hset(keys.hour_authors(brand, hour // per_day), str(hour % per_day), sketch.encode())
        for (partition, brand), posts in self.negatives.items():
            keys = PartitionKeys(namespace, TOPIC, partition)
            pipeline.delete(keys.negatives(brand))
            for post in posts:
                pipeline.zadd(keys.negatives(brand), {msgspec.json.encode(post): post.created_ms})
        for brand in self.brands():
            pipeline.sadd(names.brands, brand)
        pipeline.execute()
        for partition in range(self.partitions):
            write_status(
                client,
                namespace,
                partition,
                watermark_ms=until * MINUTE_MS,
                next_offset=len(self.panes),
                wall_ms=wall_ms,
                caught_up=caught_up,
                owner=owner,
            )


def write_status(
    client: redis.Redis,
    namespace: str,
    partition: int,
    *,
    watermark_ms: int,
    next_offset: int = 1,
    wall_ms: int = 0,
    caught_up: bool = True,
    owner: str = "worker-1",
    lag: int = 0,
) -> None:
    """The state hash of one partition; lateness two minutes."""
    keys = PartitionKeys(namespace, TOPIC, partition)
    client.hset(
        keys.state,
        mapping={
            "next": next_offset,
            "topic_id": "t",
            "clock_ms": watermark_ms + 120_000,
            "lateness_ms": 120_000,
            "owner": owner,
            "seen_wall_ms": wall_ms,
            "caught_up": int(caught_up),
            "lag": lag,
        },
    )
    client.sadd(NamespaceKeys(namespace).partitions, f"{TOPIC}:{partition}")


def merged(sketches: Sequence[Authors]) -> Authors:
    from datasketches import hll_union, tgt_hll_type

    everyone, negative = hll_union(11), hll_union(11)
    for sketch in sketches:
        everyone.update(sketch.everyone)
        negative.update(sketch.negative)
    return Authors(everyone.get_result(tgt_hll_type.HLL_4), negative.get_result(tgt_hll_type.HLL_4))


def _poisson(mean: float, rng: random.Random) -> int:
    """Knuth's way; means here are small."""
    import math

    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
