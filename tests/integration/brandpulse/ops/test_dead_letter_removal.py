"""Dead letters of a person leave a real Kafka topic; the letters of others stay, each once."""

import json
import uuid

from confluent_kafka import Producer

from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.ops.erasure.dead_letter_removal import can_delete, find_letters, remove_letters
from brandpulse.ops.erasure.kafka_records import Retention, retention_of
from brandpulse.ops.erasure.subject import Subject
from brandpulse.schema.dead_letters import RecordId, dead_letters, record_id_headers
from tests.support.kafka_broker import ApacheKafka

KIM = Subject.author("forum", "kim-4711", ["key"])


def a_letter(number: int, author: str) -> bytes:
    return json.dumps({"id": str(number), "source": "forum", "author_id": author, "text": 7}).encode()


def test_letters_of_an_author_are_deleted_and_others_kept_once(apache_kafka: ApacheKafka) -> None:
    servers, topic = apache_kafka.bootstrap_servers, f"dlq-{uuid.uuid4().hex}"
    ensure_topics(servers, [Topic(topic, 2)])
    values = [a_letter(n, "kim-4711" if n in (3, 6) else f"ann-{n}") for n in range(10)]
    values[8] = b'{"id": "8", "author_id": "kim-4711", "te'
    producer = Producer(producer_config(servers))
    for n, value in enumerate(values):
        origin = RecordId("log", n % 2, n)
        producer.produce(topic, value, str(n).encode(), partition=n % 2, headers=record_id_headers(origin))
    assert producer.flush(30) == 0
    found = find_letters(servers, topic, KIM)
    assert sorted(found.record_ids) == ["log:0:6", "log:0:8", "log:1:3"]
    assert found.last == {1: 1, 0: 4}
    assert can_delete(servers, topic, 0) is None
    assert len(list(read_to_end(servers, topic))) == 10, "asking deletes nothing"
    assert remove_letters(servers, topic, found, KIM) is None
    left = dead_letters(read_to_end(servers, topic))
    assert sorted(letter.origin.offset for letter in left) == [0, 1, 2, 4, 5, 7, 9]
    assert {letter.value for letter in left} == {values[n] for n in (0, 1, 2, 4, 5, 7, 9)}
    assert find_letters(servers, topic, KIM).record_ids == frozenset()
    assert retention_of(servers, topic) == Retention("delete", 7 * 86_400_000, 7 * 86_400_000)
