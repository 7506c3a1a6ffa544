"""`brandpulse bench tick`: live ticks of the alerter over many brands in several partitions, on a real store."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import redis

from alerting.memory_store import MemoryAlertStore
from alerting.rules import DEFAULT_RULES, FacetShareRule, RuleSet
from alerting.store import Commit
from alerting.tick import Policies, Ticker
from brandpulse.keys import DAY_MS, HOUR_MS, MINUTE_MS, NamespaceKeys, PartitionKeys, facet_series
from brandpulse.pane_reader import PaneReader
from brandpulse.panes import Authors, Pane

NAMESPACE, TOPIC = "bench", "posts"
LATENESS_MS = 120_000
FIRST_HOUR = 492_336
HISTORY_HOURS = 72
LIVE_HOURS = 5
"""Minutes kept before the clock begins, and those that it passes."""
START_MINUTE = (FIRST_HOUR + HISTORY_HOURS - 1) * 60 + 50
"""Ten minutes before an hour: the tick that learns what is usual anew is among those measured."""
POOL = 64


def run(*, brands: int, partitions: int, posts_a_minute: float, ticks: int, facets: int = 0) -> None:
    """Fill a store of its own, let the clock pass *ticks* minutes one by one, and print how long each tick took.

    *facets*: so many rules, each about a facet of its own in a tenth of every brand's posts, beside the share's rule.
    """
    from rich.console import Console

    from brandpulse.embedded import EmbeddedStore

    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder))
        try:
            client = redis.Redis.from_url(store.url)
            fill(client, brands=brands, partitions=partitions, posts_a_minute=posts_a_minute, facets=facets)
            first, live = measure(client, partitions=partitions, ticks=ticks, facets=facets)
        finally:
            store.stop()
    console.print(
        f"{brands} brands, {partitions} partitions, {posts_a_minute:g} posts a minute each, {HISTORY_HOURS} hours of "
        f"history, {facets} rules about facets.\nFirst tick of a new leader (reads the history): {first:.2f} s.\n"
        f"{len(live)} live ticks of one minute: median {np.median(live):.3f} s, longest {max(live):.3f} s "
        "(a new hour: what is usual is learnt anew).",
        soft_wrap=True,
    )


def fill(client: redis.Redis, *, brands: int, partitions: int, posts_a_minute: float, facets: int = 0) -> None:
    """Panes and sketches as workers leave them. Sketches are drawn from a few: what they hold does not matter here."""
    rng = np.random.default_rng(1)
    names = [f"Brand {number}" for number in range(brands)]
    for name in names:
        client.sadd(NamespaceKeys(NAMESPACE).brands, name)
    _fill(client, names, rng, partitions=partitions, posts_a_minute=posts_a_minute)
    inside = [facet_series(name, f"f{number}") for name in names for number in range(facets)]
    _fill(client, inside, rng, partitions=partitions, posts_a_minute=posts_a_minute / 10)
    for partition in range(partitions):
        client.sadd(NamespaceKeys(NAMESPACE).partitions, f"{TOPIC}:{partition}")


def _fill(
    client: redis.Redis, series: Sequence[str], rng: np.random.Generator, *, partitions: int, posts_a_minute: float
) -> None:
    minutes, hours = (_pool(rng, size / partitions) for size in (posts_a_minute, 60 * posts_a_minute))
    for brand in series:
        pipeline = client.pipeline(transaction=False)
        for partition in range(partitions):
            keys = PartitionKeys(NAMESPACE, TOPIC, partition)
            for hour in range(FIRST_HOUR, FIRST_HOUR + HISTORY_HOURS):
                pane, authors = hours[int(rng.integers(POOL))]
                day = hour * HOUR_MS // DAY_MS
                pipeline.hset(keys.hour_panes(brand, day), str(hour % 24), pane)
                pipeline.hset(keys.hour_authors(brand, day), str(hour % 24), authors)
            last_hour = START_MINUTE // 60 + 1
            for hour in range(last_hour - LIVE_HOURS, last_hour + 1):
                drawn = [minutes[int(place)] for place in rng.integers(POOL, size=60)]
                pipeline.hset(keys.minute_panes(brand, hour), mapping={str(m): p for m, (p, _) in enumerate(drawn)})
                pipeline.hset(keys.minute_authors(brand, hour), mapping={str(m): a for m, (_, a) in enumerate(drawn)})
        pipeline.execute()


def measure(client: redis.Redis, *, partitions: int, ticks: int, facets: int = 0) -> tuple[float, list[float]]:
    """Seconds of the first tick, and of each of the *ticks* after it, one minute of event time each."""
    store = MemoryAlertStore()
    token = store.acquire("bench", lease_ms=2**53)
    assert token is not None  # noqa: S101 - nobody else knows this store
    # As after an earlier leader: else the first tick goes two days back.
    store.commit(
        Commit(expected_ms=None, until_ms=START_MINUTE * MINUTE_MS, open={}, closed=[], deliveries=[]), token=token
    )
    about = [FacetShareRule(name=f"f{number}", kind="facet_share", facet=f"f{number}") for number in range(facets)]
    rules = RuleSet(rules=(*DEFAULT_RULES.rules, *about))
    ticker = Ticker(
        PaneReader(client, NAMESPACE), store, token=token, policies=Policies(), routes=(), rules=lambda: rules
    )
    seconds: list[float] = []
    for minute in range(START_MINUTE + 1, START_MINUTE + ticks + 2):
        _stand_at(client, minute, partitions)
        began = time.perf_counter()
        ticker.tick(minute * MINUTE_MS)
        seconds.append(time.perf_counter() - began)
    return seconds[0], seconds[1:]


def _stand_at(client: redis.Redis, minute: int, partitions: int) -> None:
    for partition in range(partitions):
        client.hset(
            PartitionKeys(NAMESPACE, TOPIC, partition).state,
            mapping={
                "next": minute,
                "topic_id": "bench",
                "clock_ms": minute * MINUTE_MS + LATENESS_MS,
                "lateness_ms": LATENESS_MS,
                "owner": "worker",
                "seen_wall_ms": minute * MINUTE_MS,
                "caught_up": 0,
                "lag": 0,
            },
        )


def _pool(rng: np.random.Generator, mean: float) -> Sequence[tuple[bytes, bytes]]:
    """Encoded panes and sketches of about *mean* posts."""
    made = []
    for _ in range(POOL):
        negative, others = int(rng.poisson(0.25 * mean)), int(rng.poisson(0.75 * mean))
        authors = Authors()
        for place in range(negative + others):
            authors.add(int(rng.integers(2**62)), negative=place < negative)
        made.append((Pane(negative, others, 0, -700_000 * negative).encode(), authors.encode()))
    return made
