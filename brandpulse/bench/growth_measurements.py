"""The measurements of `brandpulse bench growth` without a broker: costs by brands and by stored days."""

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import msgspec

from brandpulse.config.brands_file import Brand
from brandpulse.errors import BrandpulseError
from brandpulse.schema.identity import AuthorHasher
from brandpulse.schema.posts import POST_DECODER
from brandpulse.state.keys import DAY_MS, HOUR_MS, AlertingKeys
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.text.brand_matcher import BrandMatcher
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.row_fold import fold_rows, plan_rows
from stream_workers.aggregation.types import Scored, build_scored
from stream_workers.decoding.post_decoder import DecodedPost
from stream_workers.decoding.records import Record
from stream_workers.scoring.post_scores import FourProbabilities, build_post_scores
from stream_workers.state_store.partition_store import Applied, ReadRequest
from stream_workers.state_store.redis_store import RedisPartitionStore

_SYLLABLES = ("ba", "cor", "dex", "el", "fin", "gro", "ha", "io", "jun", "ka", "lum", "mo", "nex", "or", "pra", "quo")
MIDNIGHT_MS = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1_000)
BATCH = 512


def brands_of(number: int, seed: int = 1) -> list[Brand]:
    """*number* brands with names of five made-up syllables, a handle and a hashtag each."""
    rng = random.Random(seed)
    names: dict[str, None] = {}
    while len(names) < number:
        names["".join(rng.choices(_SYLLABLES, k=5))] = None
    return [Brand(name=name, terms=[name], handles=[f"@{name}"], hashtags=[f"#{name}"]) for name in names]


@dataclass(frozen=True, slots=True)
class MatchCost:
    """Time to build the matcher for *brands*, and to find them in a post."""

    brands: int
    build_seconds: float
    microseconds_per_post: float


def match_cost(texts: Sequence[str], number: int, *, posts: int = 20_000, rounds: int = 3) -> MatchCost:
    """Time to find *number* brands in posts that each name one of the first ten; the fastest of *rounds*."""
    brands = brands_of(number)
    rng = random.Random(2)
    posts_with_brands = [f"{rng.choice(texts)} {rng.choice(brands[:10]).name}" for _ in range(posts)]
    started = time.perf_counter()
    matcher = BrandMatcher(brands)
    build_seconds = time.perf_counter() - started
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        for text in posts_with_brands:
            matcher.match(text)
        seconds.append(time.perf_counter() - started)
    return MatchCost(number, build_seconds, 1e6 * min(seconds) / posts)


@dataclass(frozen=True, slots=True)
class StoreSize:
    """Bytes in the store for one brand's day of posts: the sum of MEMORY USAGE over the keys."""

    posts: int
    panes_and_sketches: int
    dedup_window: int
    """Ids of six hours of posts."""
    samples: int
    """Sample of the day's usual posts, for the rising terms of alerts."""
    recent_posts: int
    """Recent posts, and the newest negative ones."""


def store_size(
    client: Any, texts: Sequence[str], *, posts_per_second: float = 1.0, partitions: int = 4, authors: int = 20_000
) -> StoreSize:
    """Store a day of one brand's *texts* at a steady rate, with `fold_rows` and the real store, on an empty server.

    An alerter that follows two minutes behind is simulated: minute panes that it has evaluated may expire.
    """
    retention = Retention(120_000, 2 * DAY_MS, 90 * DAY_MS)
    limits = DedupLimits(6 * HOUR_MS, 4_000_000)
    store = RedisPartitionStore(client, "growth", retention)
    evaluated = AlertingKeys("growth").evaluated_until
    posts = int(posts_per_second * DAY_MS / 1_000)
    states = [PartitionStatus("posts", partition, next=0, topic_id="t") for partition in range(partitions)]
    for state in states:
        if not store.rebase(None, state):
            raise BrandpulseError("the server is not empty: use an empty one")
    for at in range(0, posts, BATCH * partitions):
        for partition in range(partitions):
            client.set(evaluated, max(0, states[partition].watermark_ms))
            numbers = range(at + partition, min(posts, at + BATCH * partitions), partitions)
            states[partition] = _apply(
                store, states[partition], _scored(numbers, texts, posts_per_second, authors), retention, limits
            )
    sizes = {key: int(client.memory_usage(key, samples=0)) for key in client.scan_iter(count=1_000)}
    ids = sum(size for key, size in sizes.items() if b":ids:" in key)
    samples = sum(size for key, size in sizes.items() if b"}:s:" in key)
    recent = sum(size for key, size in sizes.items() if any(kind in key for kind in (b"}:kn:", b"}:ko:", b"}:neg:")))
    return StoreSize(posts, sum(sizes.values()) - ids - samples - recent, ids, samples, recent)


@dataclass(frozen=True, slots=True)
class StoredDaysCost:
    """Cost of counting with so many stored days."""

    days: int
    store_bytes: int
    microseconds_per_post: float
    """Time to read, fold and write live posts after those days, in batches of 512; the median batch."""


def stored_days_cost(client: Any, texts: Sequence[str], days: int, *, live_posts: int = 20_480) -> StoredDaysCost:
    """Store *days* of one brand with a post every five minutes, then live posts, two per second, on an empty server."""
    retention = Retention(120_000, 2 * DAY_MS, 90 * DAY_MS)
    limits = DedupLimits(6 * HOUR_MS, 4_000_000)
    store = RedisPartitionStore(client, "growth", retention)
    state = PartitionStatus("posts", 0, next=0, topic_id="t")
    if not store.rebase(None, state):
        raise BrandpulseError("the server is not empty: use an empty one")
    past = days * DAY_MS // 300_000
    for at in range(0, past, BATCH):
        posts = _scored(range(at, min(past, at + BATCH)), texts, 1 / 300, 20_000)
        state = _apply(store, state, posts, retention, limits)
    # Minute panes that the alerter has evaluated may expire.
    client.set(AlertingKeys("growth").evaluated_until, state.watermark_ms)
    first, seconds = 2 * days * DAY_MS // 1_000, []
    for at in range(first, first + live_posts, BATCH):
        posts = _scored(range(at, at + BATCH), texts, 2.0, 20_000)
        started = time.perf_counter()
        state = _apply(store, state, posts, retention, limits)
        seconds.append(time.perf_counter() - started)
    store_bytes = int(client.info("memory")["used_memory"])
    return StoredDaysCost(days, store_bytes, 1e6 * median(seconds) / BATCH)


def _apply(
    store: RedisPartitionStore, state: PartitionStatus, posts: list[Scored], retention: Retention, limits: DedupLimits
) -> PartitionStatus:
    if not posts:
        return state
    digests, cells = plan_rows(posts)
    [known] = store.read([ReadRequest(state, digests, cells)])
    change = fold_rows(state, posts, state.next + len(posts), known, retention=retention, limits=limits)
    if store.apply([change]) != [Applied()]:
        raise BrandpulseError("the store rejected a batch: another client writes to it")
    return change.status


def _scored(numbers: Iterable[int], texts: Sequence[str], posts_per_second: float, authors: int) -> list[Scored]:
    hasher = AuthorHasher("growth")
    posts = []
    probabilities: tuple[FourProbabilities, ...] = ((0.7, 0.2, 0.1, 0.0), (0.1, 0.7, 0.2, 0.0), (0.1, 0.2, 0.7, 0.0))
    for number in numbers:
        event_ms = MIDNIGHT_MS + int(1_000 * number / posts_per_second)
        created = datetime.fromtimestamp(event_ms / 1_000, UTC).isoformat()
        value = b'{"schema_version":1,"id":"%d","text":%s,"created_at":"%s","author_id":"u","source":"s"}' % (
            number,
            msgspec.json.encode(texts[number % len(texts)]),
            created.encode(),
        )
        decoded = DecodedPost(Record(number, event_ms, None, value), POST_DECODER.decode(value), event_ms)
        scores = build_post_scores((probabilities[number % 3],), {"sentiment": (0.3, 0.4, 0.3)}, (None,))
        author = hasher("s", str(number * 7_919 % authors))
        posts.append(build_scored(decoded, ("Growth",), scores, author=author, mask=str))
    return posts
