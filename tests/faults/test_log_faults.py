"""A log that changed while the worker was away, on Apache Kafka: retention, a new topic, transactions, huge records."""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from brandpulse.kafka.client import producer_config
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.partition_state import PartitionStatus
from tests.support.builders import NOON_MS, a_post
from tests.support.kafka_broker import ApacheKafka, why_not
from tests.support.patience import patience
from tests.support.running_pipeline import Pipeline, counted


@pytest.fixture(params=["classic", "consumer"])
def pipeline(
    request: pytest.FixtureRequest, tmp_path: Path, apache_kafka: ApacheKafka, redis_url: str, namespace: str
) -> Iterator[Pipeline]:
    pipeline = Pipeline(
        tmp_path,
        apache_kafka.bootstrap_servers,
        redis_url,
        namespace,
        BRANDPULSE_WORKER_WATCHDOG_SECONDS="10",
        BRANDPULSE_WORKER_GROUP_PROTOCOL=request.param,
    )
    pipeline.create_topics(partitions=1)
    yield pipeline
    pipeline.stop()


@pytest.fixture
def admin(apache_kafka: ApacheKafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": apache_kafka.bootstrap_servers})


def stream(first: int, last: int) -> list[dict[str, object]]:
    return [a_post(str(i), "acme is awful", NOON_MS + i * 100) for i in range(first, last)]


def delete_before(admin: AdminClient, topic: str, offset: int) -> None:
    for future in admin.delete_records([TopicPartition(topic, 0, offset)]).values():
        future.result()


def state_of(pipeline: Pipeline, redis_url: str) -> PartitionStatus:
    import redis

    [status] = PaneReader(redis.Redis.from_url(redis_url), pipeline.env["BRANDPULSE_NAMESPACE"]).partitions()
    return status


def test_a_log_that_begins_above_zero_is_read_from_its_first_offset(pipeline: Pipeline, admin: AdminClient) -> None:
    pipeline.produce(stream(0, 300))
    delete_before(admin, pipeline.topic, 100)
    pipeline.service("worker")
    assert counted(pipeline.wait_for(lambda stats: counted(stats) >= 200 and stats["lag"] == 0)) == 200


def test_offsets_deleted_by_retention_are_counted_as_lost(
    pipeline: Pipeline, admin: AdminClient, redis_url: str
) -> None:
    pipeline.produce(stream(0, 100))
    first = pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 100)
    first.stop()
    pipeline.produce(stream(100, 300))
    delete_before(admin, pipeline.topic, 250)
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 150 and stats["lag"] == 0)
    assert state_of(pipeline, redis_url).lost == 150


def test_a_recreated_topic_is_read_from_its_first_offset(pipeline: Pipeline, admin: AdminClient) -> None:
    pipeline.produce(stream(0, 200))
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 200)
    admin.delete_topics([pipeline.topic])[pipeline.topic].result()
    deadline = time.monotonic() + patience(20)
    while pipeline.topic in admin.list_topics(timeout=patience(5)).topics:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    pipeline.create_topics(partitions=1)
    pipeline.produce(stream(1_000, 1_300))
    stats = pipeline.wait_for(lambda stats: counted(stats) >= 500 and stats["lag"] == 0)
    assert (counted(stats), stats["repeated"]) == (500, 0)


def test_a_transaction_marker_at_the_log_end_leaves_no_lag(pipeline: Pipeline, redis_url: str) -> None:
    producer = Producer(producer_config(pipeline.bootstrap_servers) | {"transactional.id": pipeline.topic})
    producer.init_transactions(20)
    producer.begin_transaction()
    for post in stream(0, 50):
        producer.produce(pipeline.topic, key=str(post["id"]).encode(), value=json.dumps(post).encode())
    producer.commit_transaction(20)
    worker = pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 50)
    deadline = time.monotonic() + patience(20)
    while not state_of(pipeline, redis_url).caught_up:
        assert time.monotonic() < deadline, "the alert clock does not advance"
        time.sleep(0.1)
    assert state_of(pipeline, redis_url).lag == 0
    pipeline.produce(stream(50, 80))
    pipeline.wait_for(lambda stats: counted(stats) == 80)
    assert worker.exit_code is None


def test_a_record_too_large_for_the_dead_letter_topic_is_truncated(pipeline: Pipeline) -> None:
    # Random, so that no codec makes it small; so large that the letter's headers are too much for the broker.
    size = 1_048_400
    producer = Producer(producer_config(pipeline.bootstrap_servers) | {"message.max.bytes": 2_000_000})
    producer.produce(pipeline.topic, value=random.Random(1).randbytes(size))
    assert producer.flush(patience(20)) == 0
    pipeline.produce(stream(0, 20))
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 20 and stats["dead"] == 1 and stats["lag"] == 0)
    [letter] = map(json.loads, pipeline.run("dlq", "list", "--json").stdout.splitlines())
    assert (letter["reason"], letter["id"], letter["cut_of"]) == ("too_large", "0:0", size)
    redrive = pipeline.run("dlq", "redrive", "--yes")
    assert "1 skipped: truncated" in redrive.stdout, redrive.stdout + redrive.stderr


def test_a_log_that_lost_its_end_is_read_from_the_lost_offset(tmp_path: Path, redis_url: str, namespace: str) -> None:
    """As after a power loss: Kafka does not wait for its disk. One worker keeps running, another is stopped."""
    if reason := why_not():
        pytest.skip(reason)
    broker = ApacheKafka(tmp_path / "kafka")
    pipelines = []
    for protocol in ("classic", "consumer"):
        home = tmp_path / protocol
        home.mkdir()
        settings = {"BRANDPULSE_WORKER_GROUP_PROTOCOL": protocol}
        pipeline = Pipeline(home, broker.bootstrap_servers, redis_url, f"{namespace}{protocol}", **settings)
        pipelines.append(pipeline)
        pipeline.create_topics(partitions=1)
    try:
        workers = []
        for pipeline in pipelines:
            pipeline.produce(stream(0, 150))
            pipeline.produce(stream(150, 200))  # batches of their own, to cut between
            workers.append(pipeline.service("worker"))
            pipeline.wait_for(lambda stats: counted(stats) == 200)
        workers[0].stop()
        broker.kill()
        for pipeline in pipelines:
            cut_log(tmp_path / "kafka" / "data" / f"{pipeline.topic}-0", 150)
        broker.start()
        for pipeline in pipelines:
            pipeline.produce(stream(1_000, 1_100))
        workers[0] = pipelines[0].service("worker")
        for pipeline in pipelines:
            stats = pipeline.wait_for(lambda stats: counted(stats) >= 300 and stats["lag"] == 0, seconds=90)
            assert (counted(stats), stats["repeated"], state_of(pipeline, redis_url).next) == (300, 0, 250)
        assert "the log lost its end" in workers[0].log_tail(200)
    finally:
        for pipeline in pipelines:
            pipeline.stop()
        broker.stop()


def cut_log(folder: Path, offset: int) -> None:
    """Remove the record batches from *offset* on, like a disk that had not written them yet."""
    segment = folder / "00000000000000000000.log"
    log, at = segment.read_bytes(), 0
    while int.from_bytes(log[at : at + 8], "big") < offset:
        at += 12 + int.from_bytes(log[at + 8 : at + 12], "big")
    assert int.from_bytes(log[at : at + 8], "big") == offset, "a batch spans the offset"
    segment.write_bytes(log[:at])
    for other in (*folder.glob("*.index"), *folder.glob("*.timeindex"), *folder.glob("*.snapshot")):
        other.unlink()
