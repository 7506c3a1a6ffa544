"""Three nodes of Apache Kafka, replication 3 and two in sync: what is acknowledged survives any one of them.

What is marked `cluster` takes minutes: `make cluster` runs it, `make test` does not.
"""

import contextlib
import threading
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource

from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.kafka.topics import Topic, ensure_topics
from tests.support.builders import NOON_MS, a_post
from tests.support.kafka_broker import NODES, KafkaCluster
from tests.support.patience import patience
from tests.support.running_pipeline import Pipeline, counted

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def cluster(kafka_cluster: KafkaCluster) -> KafkaCluster:
    kafka_cluster.start()
    return kafka_cluster


def test_a_new_topic_requires_two_in_sync_replicas_of_three(cluster: KafkaCluster, namespace: str) -> None:
    ensure_topics(cluster.bootstrap_servers, [Topic(namespace)], replication_factor=3)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    resource = ConfigResource(ConfigResource.Type.TOPIC, namespace)
    settings = admin.describe_configs([resource])[resource].result()
    assert settings["min.insync.replicas"].value == "2"
    assert settings["message.timestamp.type"].value == "LogAppendTime"


@pytest.mark.cluster
def test_each_node_killed_in_turn_loses_and_doubles_no_record(cluster: KafkaCluster, namespace: str) -> None:
    ensure_topics(cluster.bootstrap_servers, [Topic(namespace, 3)], replication_factor=3)
    producer = Producer(producer_config(cluster.bootstrap_servers) | {"message.timeout.ms": 120_000})
    all_killed = threading.Event()
    sent = 0

    def send() -> None:
        nonlocal sent
        while not all_killed.is_set():
            try:
                producer.produce(namespace, key=str(sent).encode(), value=str(sent).encode())
            except BufferError:
                # Without a leader nothing leaves: 100,000 records are a minute at this pace.
                producer.poll(0.1)
                continue
            sent += 1
            producer.poll(0.01 if sent % 20 == 0 else 0)  # at most 2,000 a second: this is about faults, not speed

    # The nodes are started here and not in a thread: they would end with it (PR_SET_PDEATHSIG).
    sending = threading.Thread(target=send)
    sending.start()
    try:
        for number in NODES:
            cluster.kill(number)
            cluster.restart(number)
            cluster.wait_in_sync([namespace])
    finally:
        all_killed.set()
        sending.join()
    assert producer.flush(patience(120)) == 0
    stored = [int(message.value() or b"") for message in read_to_end(cluster.bootstrap_servers, namespace)]
    assert sorted(stored) == list(range(sent))


def test_with_one_replica_in_sync_no_write_is_acknowledged_and_none_lost(cluster: KafkaCluster, namespace: str) -> None:
    ensure_topics(cluster.bootstrap_servers, [Topic(namespace)], replication_factor=3)
    outcomes: dict[str, KafkaError | None] = {}
    producer = Producer(producer_config(cluster.bootstrap_servers) | {"message.timeout.ms": 8_000})

    def send(value: str) -> None:
        producer.produce(
            namespace, value=value.encode(), on_delivery=lambda error, _: outcomes.__setitem__(value, error)
        )
        producer.flush(patience(20))

    send("before")
    leader = cluster.leader_of(namespace, 0)
    others = [number for number in NODES if number != leader]
    cluster.kill(*others)
    send("alone")
    cluster.start()
    cluster.wait_in_sync([namespace])
    assert outcomes["before"] is None
    assert outcomes["alone"] is not None
    assert b"before" in [message.value() for message in read_to_end(cluster.bootstrap_servers, namespace)]


@pytest.mark.cluster
def test_a_worker_counts_exactly_when_its_partition_leader_is_killed(
    cluster: KafkaCluster, tmp_path: Path, redis_url: str, namespace: str
) -> None:
    pipeline = Pipeline(tmp_path, cluster.bootstrap_servers, redis_url, namespace, BRANDPULSE_REPLICATION_FACTOR="3")
    ensure_topics(cluster.bootstrap_servers, [Topic(pipeline.topic, 2)], replication_factor=3)
    posts = [a_post(str(i), "acme is awful", NOON_MS + i * 100) for i in range(3_000)]
    try:
        pipeline.service("worker")
        pipeline.produce(posts[:1_500])
        pipeline.wait_for(lambda stats: counted(stats) > 0)
        leader = cluster.leader_of(pipeline.topic, 0)
        cluster.kill(leader)
        pipeline.produce(posts[1_500:])
        stats = pipeline.wait_for(lambda stats: counted(stats) >= len(posts) and stats["lag"] == 0, seconds=90)
        assert (counted(stats), stats["repeated"]) == (len(posts), 0)
    finally:
        pipeline.stop()
        with contextlib.suppress(KafkaException):
            cluster.start()
