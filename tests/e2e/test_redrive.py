"""Dead letters from rejection to count: listed, redriven, and counted exactly once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.schema.dead_letters import RecordId, dead_letters, record_id_headers
from tests.support.builders import NOON_MS, a_post
from tests.support.patience import patience
from tests.support.running_pipeline import Pipeline, counted


@pytest.fixture
def pipeline(tmp_path: Path, kafka: str, redis_url: str, namespace: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, kafka, redis_url, namespace)
    pipeline.create_topics(partitions=2)
    yield pipeline
    pipeline.stop()


def letters(pipeline: Pipeline, *filters: str) -> list[dict[str, Any]]:
    done = pipeline.run("dlq", "list", "--json", *filters)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def send(pipeline: Pipeline, letter: dict[str, Any], value: bytes) -> None:
    """Like `redrive`, with the value that an upgraded worker would read from the same bytes."""
    origin = RecordId(letter["topic_id"], letter["partition"], letter["offset"])
    producer = Producer(producer_config(pipeline.bootstrap_servers))
    headers = record_id_headers(origin)
    producer.produce(pipeline.topic, value=value, partition=origin.partition, headers=headers)
    assert producer.flush(patience(20)) == 0


def test_dead_letters_are_listed_redriven_and_counted_once(pipeline: Pipeline) -> None:
    pipeline.produce([a_post("1", "acme opens"), a_post("b1", "acme", schema_version=9), a_post("b2", "")])
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 1 and stats["dead"] == 2)
    [broken] = letters(pipeline, "--text", "B1", "--reason", "wrong_field")
    assert letters(pipeline, "--reason", "too_old") == []
    shown = pipeline.run("dlq", "show", broken["id"])
    assert all(part in shown.stdout for part in ("wrong_field", "schema_version", '"id": "b1"', "remedy")), shown.stdout
    assert pipeline.run("dlq", "show", "7:7").returncode != 0

    dry = pipeline.run("dlq", "redrive", broken["id"])
    assert "1 would be sent" in dry.stdout, dry.stdout
    assert sum(1 for _ in read_to_end(pipeline.bootstrap_servers, pipeline.topic)) == 3
    sent = pipeline.run("dlq", "redrive", broken["id"], "--yes")
    assert "1 letters sent again" in sent.stdout, sent.stdout + sent.stderr

    def died_again(stats: dict[str, Any]) -> bool:
        found = dead_letters(read_to_end(pipeline.bootstrap_servers, pipeline.dlq_topic))
        return stats["lag"] == 0 and any(letter.deaths == 2 for letter in found)

    stats = pipeline.wait_for(died_again)
    assert (stats["dead"], len(letters(pipeline))) == (2, 2), "the same letter, dead once more"


def test_redriven_post_counts_once_despite_a_killed_worker(pipeline: Pipeline) -> None:
    pipeline.produce([a_post("b1", "acme", schema_version=9), a_post("b2", "acme", schema_version=9)])
    worker = pipeline.service("worker")
    pipeline.wait_for(lambda stats: stats["dead"] == 2)
    first, second = sorted(letters(pipeline), key=lambda letter: json.loads(letter["value"])["id"])
    mended = [json.dumps(a_post(name, "acme is awful")).encode() for name in ("b1", "b2")]
    # Redriven twice, with the worker killed in between; and redriven after its producer has sent it again.
    send(pipeline, first, mended[0])
    worker.kill()
    send(pipeline, first, mended[0])
    pipeline.produce([a_post("b2", "acme is awful")])
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) >= 2 and stats["lag"] == 0)
    send(pipeline, second, mended[1])
    send(pipeline, first, json.dumps(a_post("b1 under another id", "acme is awful")).encode())
    stats = pipeline.wait_for(lambda stats: stats["repeated"] >= 3 and stats["lag"] == 0)
    assert (counted(stats), stats["repeated"], stats["dead"]) == (2, 3, 2)
    assert [letter["state"] for letter in letters(pipeline)] == ["counted", "counted"]
    done = pipeline.run("dlq", "redrive", "--yes")
    assert "2 skipped: done: redriven before" in done.stdout, done.stdout + done.stderr


def test_post_resent_after_the_dedup_window_is_not_redriven(pipeline: Pipeline) -> None:
    hours = 3_600_000
    future = a_post("p", "acme is awful", NOON_MS, created_at="2150-01-01T00:00:00Z")
    pipeline.produce([future])
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: stats["dead"] == 1)
    # The id has left the dedup window when the dead letter is checked: many hours of event time have passed.
    pipeline.produce([a_post("p", "acme is awful", NOON_MS)])
    pipeline.produce([a_post(f"later-{n}", "acme is fine", NOON_MS + n * hours) for n in range(40)])
    pipeline.wait_for(lambda stats: counted(stats) == 41)
    done = pipeline.run("dlq", "redrive", "--yes")
    assert "1 skipped: done: its producer sent it again" in done.stdout, done.stdout + done.stderr
    assert "Nothing to send." in done.stdout
