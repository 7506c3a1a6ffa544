"""`brandpulse bench tick`: time of the alerter's evaluations of many brands in several partitions, on Redis."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import redis

from alerting.evaluation.evaluator import Evaluator
from alerting.evaluation.hour_summary_cache import HourSummaryReader
from alerting.evaluation.policies import Policies
from alerting.rules.models import DEFAULT_RULES, FacetShareRule, RuleSet
from alerting.store.alert_store import Commit
from alerting.store.memory_store import MemoryAlertStore
from brandpulse.state.author_sketches import Authors
from brandpulse.state.keys import MINUTE_MS, NamespaceKeys, PartitionKeys, facet_series
from brandpulse.state.panes import Pane

NAMESPACE, TOPIC = "bench", "posts"
LATENESS_MS = 120_000
LAST_HOUR = 492_407
LIVE_HOURS = 5
"""Hours whose minutes are stored before the first evaluation."""
START_MINUTE = LAST_HOUR * 60 + 50
"""Ten minutes before an hour: one of the evaluations reads a new hour into the baselines."""
POOL = 64


class EvaluationTime(NamedTuple):
    """Of one evaluation, in seconds."""

    wall: float
    cpu: float
    """Of this process, without Redis: it does not depend on other processes of the machine."""


def run(*, brands: int, partitions: int, posts_a_minute: float, ticks: int, days: int, facets: int = 0) -> None:
    """Fill a new Redis, evaluate *ticks* minutes one by one, then once by a second alerter, and print the times.

    *days*: of history. *facets*: number of facet rules; each has a facet of its own with a tenth of a brand's posts.
    """
    from brandpulse.devstack.embedded_servers import EmbeddedStore
    from brandpulse.runtime.console import Console

    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder))
        try:
            client = redis.Redis.from_url(store.url)
            fill(client, brands=brands, partitions=partitions, posts_a_minute=posts_a_minute, days=days, facets=facets)
            first, *live = measure(client, START_MINUTE, partitions=partitions, ticks=ticks, facets=facets)
            [successor] = measure(client, START_MINUTE + ticks, partitions=partitions, ticks=0, facets=facets)
        finally:
            store.stop()
    console.print(
        f"{brands} brands, {partitions} partitions, {posts_a_minute:g} posts per minute each, {days} days of "
        f"history, {facets} facet rules.\nFirst evaluation of the first alerter (counts the history): "
        f"{_format([first])}; "
        f"of the next one (reads the stored counts): {_format([successor])}.\n"
        f"{len(live)} evaluations of one minute: median {_format(live)}; longest {max(live).wall:.3f} s "
        "(a new hour enters the baselines).",
        soft_wrap=True,
    )


def _format(times: Sequence[EvaluationTime]) -> str:
    wall, cpu = np.median([(one.wall, one.cpu) for one in times], axis=0)
    return f"{wall:.3f} s ({cpu:.3f} s of CPU)"


def fill(
    client: redis.Redis, *, brands: int, partitions: int, posts_a_minute: float, days: int, facets: int = 0
) -> None:
    """Write panes and sketches as workers do. Sketches come from a small pool: their content does not matter here."""
    rng = np.random.default_rng(1)
    names = [f"Brand {number}" for number in range(brands)]
    for name in names:
        client.sadd(NamespaceKeys(NAMESPACE).brands, name)
    _fill(client, names, rng, partitions=partitions, posts_a_minute=posts_a_minute, days=days)
    inside = [facet_series(name, f"f{number}") for name in names for number in range(facets)]
    _fill(client, inside, rng, partitions=partitions, posts_a_minute=posts_a_minute / 10, days=days)
    for partition in range(partitions):
        client.sadd(NamespaceKeys(NAMESPACE).partitions, f"{TOPIC}:{partition}")


def _fill(
    client: redis.Redis,
    series: Sequence[str],
    rng: np.random.Generator,
    *,
    partitions: int,
    posts_a_minute: float,
    days: int,
) -> None:
    minutes, hours = (_pool(rng, size / partitions) for size in (posts_a_minute, 60 * posts_a_minute))
    for brand in series:
        pipeline = client.pipeline(transaction=False)
        for partition in range(partitions):
            keys = PartitionKeys(NAMESPACE, TOPIC, partition)
            past = range(LAST_HOUR + 1 - 24 * days, LAST_HOUR + 1)
            for day in range(past[0] // 24, past[-1] // 24 + 1):
                mine = [hour for hour in range(24 * day, 24 * (day + 1)) if hour in past]
                cells = _draw(hours, mine, 24, rng)
                _write(pipeline, keys.hour_panes(brand, day), keys.hour_authors(brand, day), cells)
            for hour in range(LAST_HOUR + 1 - LIVE_HOURS, LAST_HOUR + 2):
                sixty = range(60 * hour, 60 * (hour + 1))
                cells = _draw(minutes, sixty, 60, rng)
                _write(pipeline, keys.minute_panes(brand, hour), keys.minute_authors(brand, hour), cells)
        pipeline.execute()


Cells = dict[str, tuple[bytes, bytes]]


def _draw(
    pool: Sequence[tuple[bytes, bytes] | None], places: Sequence[int], size: int, rng: np.random.Generator
) -> Cells:
    """Pane and sketch by field of a key of *size* fields. As from a worker, a minute without posts has none."""
    drawn = zip(places, rng.integers(POOL, size=len(places)).tolist(), strict=True)
    return {str(place % size): cell for place, number in drawn if (cell := pool[number]) is not None}


def _write(pipeline: redis.client.Pipeline, panes: str, authors: str, cells: Cells) -> None:
    if cells:
        pipeline.hset(panes, mapping={place: pane for place, (pane, _) in cells.items()})
        pipeline.hset(authors, mapping={place: sketch for place, (_, sketch) in cells.items()})


def measure(client: redis.Redis, start: int, *, partitions: int, ticks: int, facets: int = 0) -> list[EvaluationTime]:
    """The first evaluation of a new alerter, after minute *start*, and the next *ticks*, of one minute each."""
    store = MemoryAlertStore()
    token = store.acquire("bench", lease_ms=2**53)
    assert token is not None  # noqa: S101 - the store is new
    # As after an earlier leader: otherwise the first evaluation reads two days.
    store.commit(Commit(expected_ms=None, until_ms=start * MINUTE_MS, open={}, closed=[], deliveries=[]), token=token)
    facet_rules = [
        FacetShareRule(name=f"f{number}", kind="facet_share", facet=f"f{number}") for number in range(facets)
    ]
    rules = RuleSet(rules=(*DEFAULT_RULES.rules, *facet_rules))
    evaluator = Evaluator(
        HourSummaryReader(client, NAMESPACE), store, token=token, policies=Policies(), routes=(), rules=lambda: rules
    )
    times: list[EvaluationTime] = []
    for minute in range(start + 1, start + ticks + 2):
        _set_clock(client, minute, partitions)
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        evaluator.evaluate(minute * MINUTE_MS)
        times.append(EvaluationTime(time.perf_counter() - wall_start, time.process_time() - cpu_start))
    return times


def _set_clock(client: redis.Redis, minute: int, partitions: int) -> None:
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


def _pool(rng: np.random.Generator, mean: float) -> Sequence[tuple[bytes, bytes] | None]:
    """Encoded panes and sketches of about *mean* posts; None without posts."""
    pool: list[tuple[bytes, bytes] | None] = []
    for _ in range(POOL):
        negative, others = int(rng.poisson(0.25 * mean)), int(rng.poisson(0.75 * mean))
        if not negative + others:
            pool.append(None)
            continue
        authors = Authors()
        for place in range(negative + others):
            authors.add(int(rng.integers(2**62)), negative=place < negative)
        pool.append((Pane(negative, others, 0, -700_000 * negative).encode(), authors.encode()))
    return pool
