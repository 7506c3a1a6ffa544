"""From a produced post to its count, on the embedded broker and on Apache Kafka, with processes killed on the way."""

import json
import random
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.runtime.child_process import port_answers
from brandpulse.runtime.service_registry import running
from tests.support.builders import NOON_MS, a_post
from tests.support.patience import patience
from tests.support.running_pipeline import Pipeline, counted

TEXTS = ("acme is awful", "acme is great", "acme opens at nine", "@bolt is awful", "acme and @bolt", "nobody named")


@pytest.fixture(params=["embedded", "apache kafka"])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str, namespace: str) -> Iterator[Pipeline]:
    broker: EmbeddedBroker = request.getfixturevalue(
        "embedded_broker" if request.param == "embedded" else "apache_kafka"
    )
    pipeline = Pipeline(tmp_path, broker.bootstrap_servers, redis_url, namespace)
    pipeline.create_topics()
    yield pipeline
    pipeline.stop()


def a_stream(posts: int, seed: int) -> list[dict[str, object]]:
    """Posts over an hour; a tenth of them sent twice."""
    pick = random.Random(seed)
    stream = [
        a_post(f"{i}", pick.choice(TEXTS), NOON_MS + i * 3_600_000 // posts, author_id=f"a{pick.randrange(300)}")
        for i in range(posts)
    ]
    return stream + pick.sample(stream, posts // 10)


def truth(stream: list[dict[str, object]]) -> dict[str, int]:
    distinct = {str(post["id"]): str(post["text"]) for post in stream}
    acme = [text for text in distinct.values() if "acme" in text]
    bolt = [text for text in distinct.values() if "@bolt" in text]
    return {"Acme": len(acme), "Bolt": len(bolt)}


def test_every_distinct_post_counts_once_with_killed_workers(pipeline: Pipeline) -> None:
    stream = a_stream(12_000, seed=1)
    expected = truth(stream)
    pipeline.produce(stream)
    total = sum(expected.values())
    # Killed at a third, at two thirds; the next worker resumes at the offset in Redis.
    for share in (0.33, 0.66):
        worker = pipeline.service("worker")
        pipeline.wait_for(lambda stats, share=share: counted(stats) >= share * total)  # type: ignore[misc]
        worker.kill()
    survivor = pipeline.service("worker")
    stats = pipeline.wait_for(lambda stats: counted(stats) >= total and stats["lag"] == 0)
    assert {brand: row["posts"] for brand, row in stats["brands"].items()} == expected
    matched_copies = [post for post in stream if "nobody" not in str(post["text"])]
    distinct_matched = {str(post["id"]) for post in matched_copies}
    assert stats["repeated"] == len(matched_copies) - len(distinct_matched)
    assert survivor.stop() == 0, survivor.log_tail()


def test_invalid_records_become_dead_letters_with_a_reason(pipeline: Pipeline) -> None:
    good = [a_post(str(i), "acme opens") for i in range(20)]
    bad = [
        a_post("b1", "acme", schema_version=9),
        a_post("b2", ""),
        a_post("b3", "acme", created_at="2150-01-01T00:00:00Z"),
    ]
    pipeline.produce([*good[:10], *bad, *good[10:]])
    worker = pipeline.service("worker")
    stats = pipeline.wait_for(
        lambda stats: counted(stats) == len(good) and stats["dead"] == len(bad) and stats["lag"] == 0
    )
    assert stats["brands"]["Acme"]["neutral"] == len(good)
    done = pipeline.run("dlq", "list", "--json")
    assert done.returncode == 0, done.stderr
    letters = [json.loads(line) for line in done.stdout.splitlines()]
    printed = pipeline.run("stats", "--json")
    assert json.loads(printed.stdout) == stats
    assert sorted(letter["reason"] for letter in letters) == ["from_the_future", "wrong_field", "wrong_field"]
    assert {json.loads(letter["value"])["id"] for letter in letters} == {"b1", "b2", "b3"}
    assert worker.stop() == 0, worker.log_tail()


def test_partitions_of_a_killed_worker_move_to_the_other(pipeline: Pipeline) -> None:
    first, second = pipeline.service("worker"), pipeline.service("worker")
    early = a_stream(3_000, seed=2)
    pipeline.produce(early)
    pipeline.wait_for(lambda stats: counted(stats) == sum(truth(early).values()))
    first.kill()
    later = [post | {"id": f"later-{post['id']}"} for post in a_stream(3_000, seed=3)]
    pipeline.produce(later)
    expected = truth([*early, *later])
    stats = pipeline.wait_for(lambda stats: counted(stats) >= sum(expected.values()) and stats["lag"] == 0)
    assert {brand: row["posts"] for brand, row in stats["brands"].items()} == expected
    assert second.stop() == 0, second.log_tail()


def test_scored_posts_and_metrics_agree(pipeline: Pipeline) -> None:
    pipeline.produce([a_post(str(i), "@ann acme is awful") for i in range(30)])
    worker = pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 30)
    [facts] = running(pipeline.home, "worker")
    with urllib.request.urlopen(f"{facts['url']}/metrics", timeout=patience(5)) as answer:
        metrics = answer.read().decode()
    assert 'brandpulse_posts_counted_total{brand="Acme",sentiment="negative"} 30.0' in metrics
    topic = pipeline.env["BRANDPULSE_SCORED_TOPIC"]
    scored = [json.loads(message.value() or b"") for message in read_to_end(pipeline.bootstrap_servers, topic)]
    assert len(scored) == 30
    assert {post["text"] for post in scored} == {"@user acme is awful"}
    assert [(score["brand"], score["label"]) for score in scored[0]["brands"]] == [("Acme", "negative")]
    assert scored[0]["model"] == "keyword@keyword-1"
    assert len({(post["partition"], post["offset"]) for post in scored}) == 30
    worker.signal(signal.SIGTERM)
    assert worker.wait(patience(20)) == 0, worker.log_tail()


def test_metrics_require_their_token_if_set(tmp_path: Path, kafka: str, redis_url: str, namespace: str) -> None:
    token = "a-token-of-some-length"
    pipeline = Pipeline(tmp_path, kafka, redis_url, namespace, BRANDPULSE_METRICS_TOKEN=token)
    try:
        for kind in ("worker", "alerter"):
            child = pipeline.service(kind)
            child.wait_ready(lambda kind=kind: _answers(tmp_path, kind))  # type: ignore[misc]
            url = f"{running(tmp_path, kind)[0]['url']}/metrics"
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(url, timeout=patience(5))
            asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(asked, timeout=patience(5)) as answer:
                assert b"brandpulse_" in answer.read()
            assert child.stop() == 0
    finally:
        pipeline.stop()


def _answers(home: Path, kind: str) -> bool:
    return any(port_answers(int(facts["url"].rsplit(":", 1)[1])) for facts in running(home, kind))
