"""Topics of other teams on a real broker: JSON, Avro with a registry, CloudEvents, and records that are broken."""

import asyncio
import io
import json
import time
import uuid
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from confluent_kafka import Producer

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.schema.dead_letters import dead_letters
from ingest.sources.connectors.kafka_topics import KafkaSettings, KafkaSource
from tests.support.sources.schema_registry_server import RegistryServer
from tests.support.sources.source_runs import Place

MAPPING = """fields:
  id: ["ticket.id", "@key"]
  text: {join: [ticket.title, "ticket.notes[0]"]}
  created_at: {first: ticket.at, unit: ms}
  author_id: ticket.customer
"""
TICKET = {
    "type": "record",
    "name": "Event",
    "fields": [
        {
            "name": "ticket",
            "type": {
                "type": "record",
                "name": "Ticket",
                "fields": [
                    {"name": "id", "type": "long"},
                    {"name": "title", "type": "string"},
                    {"name": "notes", "type": {"type": "array", "items": "string"}},
                    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                    {"name": "customer", "type": "string"},
                ],
            },
        }
    ],
}


def a_ticket(number: int, **changes: Any) -> dict[str, Any]:
    at = int(time.time() * 1000)
    return {
        "ticket": {"id": number, "title": "acme", "notes": [f"late {number}"], "at": at, "customer": "ann"} | changes
    }


def as_json(number: int, **changes: Any) -> bytes:
    return json.dumps(a_ticket(number, **changes)).encode()


def as_avro(number: int) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, TICKET, a_ticket(number))
    return out.getvalue()


class Team:
    """Another team's topic, and the source that reads it."""

    def __init__(self, broker: EmbeddedBroker, folder: Path, mapping: str = MAPPING) -> None:
        self.servers, self.topic = broker.bootstrap_servers, f"crm-{uuid.uuid4().hex[:8]}"
        ensure_topics(self.servers, [Topic(self.topic, 2)])
        self.mapping_file = folder / "crm.yaml"
        self.mapping_file.write_text(mapping)
        self.place = Place(self.servers, f"posts-{uuid.uuid4().hex[:8]}", folder)
        self.producer = Producer({"bootstrap.servers": self.servers})

    def send(self, value: bytes | None, key: bytes | None = None, **headers: bytes | str) -> None:
        names = {name.replace("__", "_"): text for name, text in headers.items()}
        self.producer.produce(self.topic, value, key, headers=names)
        self.producer.flush(10)

    def source(self, **more: Any) -> KafkaSource:
        settings = {
            "name": "crm",
            "kind": "kafka",
            "bootstrap_servers": self.servers,
            "topics": [self.topic],
            "mapping_file": str(self.mapping_file),
            "start": "earliest",
        }
        return KafkaSource(KafkaSettings.model_validate(settings | more))

    def reasons(self) -> list[str]:
        letters = dead_letters(read_to_end(self.servers, self.place.dlq_topic))
        assert all(letter.topic == self.topic for letter in letters)
        return sorted(letter.reason for letter in letters)


@pytest.fixture
def team(embedded_broker: EmbeddedBroker, tmp_path: Path) -> Team:
    return Team(embedded_broker, tmp_path)


def test_json_records_become_posts_and_bad_ones_dead_letters(team: Team) -> None:
    async def run() -> None:
        async with team.place.running(team.source()) as source:
            for number in range(20):
                team.send(as_json(number))
            team.send(b"{")
            team.send(as_json(21, customer=None))
            team.send(as_json(22, at="yesterday"))
            team.send(as_json(23, title="", notes=[]))
            team.send(None, b"7")
            team.send(None)
            outcomes = source.runner.state.outcomes
            await source.until(lambda: sum(outcomes.values()) == 26, "all records")
            await source.until(partial(team.place.has_all, {str(n) for n in range(20)}), "all posts")
            assert outcomes == {
                "sent": 20,
                "not_json": 1,
                "no_author": 1,
                "bad_time": 1,
                "no_text": 1,
                "deleted": 1,
                "no_value": 1,
            }
        assert len(team.place.received()) == 20
        assert team.reasons() == ["bad_time", "no_author", "no_text", "not_json"]

    asyncio.run(run())


def test_a_cut_off_source_reads_every_record(team: Team) -> None:
    async def run() -> None:
        for life in range(3):
            for number in range(life * 100, life * 100 + 100):
                team.producer.produce(team.topic, as_json(number))
            team.producer.flush(10)
            async with team.place.running(team.source(), kill=True) as source:
                await source.until(lambda sent=life: team.place.has_more_than(sent * 100 + 10), "some posts")  # type: ignore[misc]
        async with team.place.running(team.source()) as source:
            await source.until(partial(team.place.has_all, {str(n) for n in range(300)}), "all posts")
        assert team.place.store.gaps() == []

    asyncio.run(run())


def test_avro_is_read_by_number_and_guid_of_its_schema(team: Team) -> None:
    async def run() -> None:
        async with RegistryServer().running() as registry:
            number = registry.add(TICKET)
            prefix = b"\0" + number.to_bytes(4, "big")
            registry.failures = deque([503, 500])
            settings = {"payload": "avro", "registry": registry.url}
            async with team.place.running(team.source(**settings)) as source:
                for ticket in range(10):
                    team.send(prefix + as_avro(ticket))
                for ticket in range(10, 20):
                    guid = b"\x01" + registry.guid(number).bytes
                    team.send(as_avro(ticket), **{"____value_schema_id": guid})
                team.send(b"\0\0\0\0\x63" + as_avro(20))
                team.send(prefix + as_avro(21)[:-3])
                team.send(as_avro(22)[1:])
                team.send(b"\0\0")
                await source.until(partial(team.place.has_all, {str(n) for n in range(20)}), "all posts")
                await source.until(lambda: len(team.reasons()) == 4, "the dead letters")
            assert team.reasons() == ["bad_frame", "bad_frame", "not_avro", "unknown_schema"]
            # Each schema is asked for once. Two requests failed: the partition that is read first decides for which.
            asked = {f"schemas/ids/{number}", "schemas/ids/99", f"schemas/guids/{registry.guid(number)}"}
            assert set(registry.requests) == asked
            assert len(registry.requests) == 5

    asyncio.run(run())


CLOUD_MAPPING = "fields:\n  text: words\n  author_id: by\nonly: {'@event.type': said}\n"


def test_cloud_events_are_read_in_both_modes(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    team = Team(embedded_broker, tmp_path, CLOUD_MAPPING)
    at = "2026-12-01T00:00:00Z"
    data = {"words": "acme is late", "by": "ann"}

    def binary(number: int, kind: str = "said") -> None:
        headers = {"ce_id": str(number), "ce_source": "crm", "ce_type": kind, "ce_time": at, "ce_specversion": "1.0"}
        team.producer.produce(team.topic, json.dumps(data), headers=headers)

    def structured(number: int, **more: Any) -> None:
        event = {"specversion": "1.0", "id": str(number), "source": "crm", "type": "said", "time": at, **more}
        headers = {"content-type": "application/cloudevents+json; charset=UTF-8"}
        team.producer.produce(team.topic, json.dumps(event), headers=headers)

    async def run() -> None:
        async with team.place.running(team.source()) as source:
            binary(1)
            binary(2, "heard")
            structured(3, data=data)
            structured(4, data_base64="eyJ3b3JkcyI6ImFjbWUiLCJieSI6ImFubiJ9")
            structured(5, data_base64="%%")
            team.producer.produce(team.topic, b"x", headers={"content-type": "application/cloudevents+avro"})
            team.producer.flush(10)
            outcomes = source.runner.state.outcomes
            await source.until(lambda: sum(outcomes.values()) == 6, "all records")
            await source.until(partial(team.place.has_all, {"crm/1", "crm/3", "crm/4"}), "all posts")
            assert outcomes == {"sent": 3, "not_wanted": 1, "bad_base64": 1, "other_event_format": 1}

    asyncio.run(run())


def test_a_topic_that_does_not_exist_stops_the_source(team: Team) -> None:
    async def run() -> None:
        async with team.place.running(team.source(topics=["nothing-here"])) as source:
            await source.until(lambda: source.runner.state.status == "refused", "the refusal")
            assert "does not exist" in source.runner.state.reason

    asyncio.run(run())


def test_a_topic_that_was_created_again_is_a_gap(team: Team) -> None:
    async def run() -> None:
        team.send(as_json(1))
        async with team.place.running(team.source()) as source:
            await source.until(partial(team.place.has_all, {"1"}), "the post")
            await source.until(lambda: team.place.newest_saved() is not None, "its position")
        position = team.place.store.positions()["crm"]
        cursor = {team.topic: position.cursor[team.topic] | {"id": "another"}}
        team.place.store.save("crm", msgspec.structs.replace(position, cursor=cursor))
        async with team.place.running(team.source()) as source:
            await source.until(lambda: len(team.place.received()) == 2, "the post again")
            await source.until(lambda: len(team.place.store.gaps()) == 1, "the gap")
        assert team.place.store.gaps()[0].reason == f"the topic {team.topic} was created again"

    asyncio.run(run())
