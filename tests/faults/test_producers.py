"""What our producers cost on a broker that takes its time."""

import time

import pytest
from confluent_kafka import Producer

from brandpulse.topics import Topic, ensure_topics, producer_config
from tests.apache_kafka import ApacheKafka, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

PARTITIONS, SECONDS, STEP_SECONDS, MOST = 4, 2.0, 0.01, 0.4
"""Seen: .01 to .05 of a core. Where five requests may be in flight .8 on a machine with much else to do, .05 on an idle
one, so only there this test sees the fault."""


def test_a_trickle_of_records_does_not_take_a_core(apache_kafka: ApacheKafka, namespace: str) -> None:
    topic = f"{namespace}.trickle"
    ensure_topics(apache_kafka.bootstrap_servers, [Topic(topic, PARTITIONS)])
    producer = Producer(producer_config(apache_kafka.bootstrap_servers))
    producer.produce(topic, b"first")
    assert producer.flush(30) == 0
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() - began < SECONDS:
        for partition in range(PARTITIONS):
            producer.produce(topic, b"x" * 200, partition=partition)
        producer.poll(0)
        time.sleep(STEP_SECONDS)
    share = (time.process_time() - used) / (time.monotonic() - began)
    assert producer.flush(30) == 0
    assert share < MOST
