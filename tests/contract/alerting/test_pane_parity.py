"""A recording in memory has the same panes as workers write and `PaneReader` reads."""

import random
from collections.abc import Collection, Mapping, Sequence

import pytest
import redis

from brandpulse.backtest.recorded_panes import RecordedPanes
from brandpulse.backtest.recorded_post import RecordedPost
from brandpulse.config.facets import Facet
from brandpulse.state.keys import HOUR_MS, MINUTE_MS, facet_series
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.row_fold import fold_rows, plan_rows
from stream_workers.aggregation.types import build_scored
from stream_workers.decoding.post_decoder import DecodedPost
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.post_scores import BrandScore, build_post_scores
from stream_workers.state_store.partition_store import ReadRequest
from stream_workers.state_store.redis_store import RedisPartitionStore
from tests.support.alerting.reference_scenario import LIMITS, RETENTION
from tests.support.builders import NOON_MS, a_post, a_record, decode

BRANDS = ["Acme", "Bolt"]
FACETS = [Facet(name="refund", words=["refund"]), Facet(name="anger", words=["angry"])]
SERIES = [facet_series(brand, facet.name) for brand in BRANDS for facet in FACETS]
HOURS = NOON_MS // HOUR_MS - 3, NOON_MS // HOUR_MS + 4


def some_posts(seed: int, many: int = 400) -> list[RecordedPost]:
    """In order of arrival: late, duplicate and future posts, frequent authors, both brands."""
    rng = random.Random(seed)
    posts: list[RecordedPost] = []
    arrived = NOON_MS
    for number in range(many):
        arrived += rng.randrange(0, 60_000)
        late = rng.choice([0, 0, 0, 30_000, 200_000, 3_000_000, -600_000])
        brands = tuple(rng.choice([["Acme"], ["Bolt"], BRANDS]))
        posts.append(
            RecordedPost(
                source="test",
                id=str(number if rng.random() > 0.1 else rng.randrange(number + 1)),
                author=rng.randrange(60),
                brands=brands,
                event_ms=arrived - late,
                arrived_ms=arrived,
                probabilities=tuple(some_probabilities(rng) for _ in brands),
                facets=tuple(some_facets(rng) for _ in brands),
            )
        )
    return posts


def some_probabilities(rng: random.Random) -> tuple[float, float, float, float]:
    negative, neutral, positive, irrelevant = (rng.random() for _ in range(4))
    total = negative + neutral + positive + irrelevant
    return negative / total, neutral / total, positive / total, irrelevant / total


def some_facets(rng: random.Random) -> tuple[str, ...]:
    return tuple(facet.name for facet in FACETS if rng.random() < 0.3)


def written(client: redis.Redis, namespace: str, posts: list[RecordedPost]) -> PaneReader:
    """*posts* as a worker leaves them in Redis."""
    store = RedisPartitionStore(client, namespace, RETENTION)
    status = PartitionStatus("posts", 0, 0, "t", lateness_ms=RETENTION.lateness_ms)
    assert store.rebase(None, status)
    outcomes = [
        build_scored(
            decoded,
            post.brands,
            build_post_scores(post.probabilities, {"sentiment": (0.1, 0.8, 0.1)}, (None,) * len(post.brands)),
            author=post.author,
            mask=str,
            facets=_Given(post),
        )
        for decoded, post in zip(_decoded(posts), posts, strict=True)
    ]
    digests, cells = plan_rows(outcomes)
    [stored] = store.read([ReadRequest(status, digests, cells)])
    change = fold_rows(status, outcomes, len(posts), stored, retention=RETENTION, limits=LIMITS)
    store.apply([change])
    return PaneReader(client, namespace)


class _Given(FacetMatcher):
    """The facets of a recorded post, where it is relevant."""

    def __init__(self, post: RecordedPost) -> None:
        self._post = post

    def match(
        self,
        facets_with_keyword: Collection[int],
        heads: Mapping[str, Sequence[float]],
        scores: Sequence[BrandScore],
        language: str = "",
    ) -> tuple[tuple[str, BrandScore], ...]:
        return tuple(
            (facet_series(score.brand, facet), score)
            for score, facets in zip(scores, self._post.facets, strict=True)
            for facet in facets
            if score.relevant
        )


def _decoded(posts: list[RecordedPost]) -> list[DecodedPost]:
    wire = [a_post(post.id, "text", post.event_ms, source=post.source) for post in posts]
    records = [a_record(post, offset, posts[offset].arrived_ms) for offset, post in enumerate(wire)]
    return [item for item in decode(records) if isinstance(item, DecodedPost)]


@pytest.mark.parametrize("seed", range(3))
def test_a_recording_has_the_panes_of_a_worker(redis_client: redis.Redis, namespace: str, seed: int) -> None:
    posts = some_posts(seed)
    reader = written(redis_client, namespace, posts)
    recorded = RecordedPanes(RETENTION, LIMITS)
    for post in posts:
        recorded.count(post)
    minutes = HOURS[0] * 60, HOURS[1] * 60
    every = [*BRANDS, *SERIES]
    assert recorded.brands() == reader.brands() == list(reader.totals()) == BRANDS
    assert recorded.hours(every, *HOURS) == reader.hours(every, *HOURS)
    assert all(recorded.hours(SERIES, *HOURS).values())
    assert recorded.hour_authors(every, *HOURS) == reader.hour_authors(every, *HOURS)
    theirs, ours = (source.minutes(every, *minutes, authors=True) for source in (reader, recorded))
    for brand in every:
        assert dict(ours[brand].panes) == dict(theirs[brand].panes)
        for last in range(minutes[0] + 179, minutes[1], 17):
            assert ours[brand].count_authors(last - 179, last) == theirs[brand].count_authors(last - 179, last)
    [status] = reader.partitions()
    assert recorded.watermark_ms == status.watermark_ms
    ours_status = recorded.status
    assert (ours_status.late, ours_status.repeated, ours_status.dead) == (status.late, status.repeated, status.dead)


def test_a_post_for_a_sealed_minute_counts_only_in_its_hour() -> None:
    recorded = RecordedPanes(RETENTION, LIMITS)
    verdict = ((0.8, 0.1, 0.1, 0.0),)
    recorded.count(RecordedPost("test", "1", 1, ("Acme",), NOON_MS, NOON_MS, verdict))
    recorded.count(RecordedPost("test", "2", 2, ("Acme",), NOON_MS + 180_000, NOON_MS + 180_000, verdict))
    assert recorded.seal() == NOON_MS + MINUTE_MS
    recorded.count(RecordedPost("test", "3", 3, ("Acme",), NOON_MS, NOON_MS + 180_001, verdict))
    minute, hour = NOON_MS // MINUTE_MS, NOON_MS // HOUR_MS
    assert recorded.minutes(["Acme"], minute, minute)["Acme"].panes[minute].posts == 1
    assert recorded.hours(["Acme"], hour, hour)["Acme"][hour].posts == 3
    assert recorded.status.late == 1
