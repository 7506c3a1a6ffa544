"""The start offset of a namespace, several namespaces, and several topics."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from brandpulse.state.keys import NamespaceKeys, PartitionKeys
from tests.support.builders import NOON_MS, a_post
from tests.support.running_pipeline import Pipeline, counted

Make = Callable[..., Pipeline]


@pytest.fixture
def make(tmp_path: Path, kafka: str, redis_url: str) -> Iterator[Make]:
    made: list[Pipeline] = []

    def make(namespace: str, **settings: str) -> Pipeline:
        home = tmp_path / f"home-{len(made)}"
        home.mkdir()
        made.append(Pipeline(home, kafka, redis_url, namespace, **settings))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.stop()


def stream(first: int, last: int) -> list[dict[str, object]]:
    return [a_post(str(i), "acme is awful", NOON_MS + i * 100) for i in range(first, last)]


def test_namespace_started_at_the_end_counts_only_new_posts(
    make: Make, namespace: str, redis_client: redis.Redis
) -> None:
    pipeline = make(namespace, BRANDPULSE_WORKER_START="latest")
    pipeline.create_topics(partitions=3)
    for start in range(0, 300, 50):  # in several batches: the embedded broker reports the end of the last one too low
        pipeline.produce(stream(start, start + 50))
    first = pipeline.service("worker")
    origins = NamespaceKeys(namespace).origins
    first.wait_ready(lambda: bool(redis_client.hlen(origins)))
    pipeline.produce(stream(300, 400))
    pipeline.wait_for(lambda stats: counted(stats) == 100 and stats["lag"] == 0)
    assert "namespace starts at the end of the log" in first.log.read_text()
    # One partition's state is lost while no worker runs: only posts since the namespace's start are counted again.
    first.stop()
    lost = sum(
        1
        for key in redis_client.scan_iter(f"{PartitionKeys(namespace, pipeline.topic, 1).tag}*")
        if redis_client.delete(key)
    )
    assert lost
    assert counted(pipeline.stats()) < 100
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 100 and stats["lag"] == 0)


def test_namespaces_and_topics_combine_freely(make: Make, namespace: str) -> None:
    first = make(namespace)
    first.create_topics(partitions=2)
    beside = make(f"{namespace}-2", BRANDPULSE_POSTS_TOPIC=first.topic)
    other_topic = make(namespace, BRANDPULSE_POSTS_TOPIC=f"{namespace}.more")
    other_topic.topic = f"{namespace}.more"
    other_topic.create_topics(partitions=2)
    for pipeline in (first, beside, other_topic):
        pipeline.service("worker")
    first.produce(stream(0, 200))
    other_topic.produce(stream(1_000, 1_100))
    first.wait_for(lambda stats: counted(stats) == 300 and stats["lag"] == 0)
    beside.wait_for(lambda stats: counted(stats) == 200 and stats["lag"] == 0)
