"""Broker, store, workers and alerter of the fault suite, with proxies between, and the expected counts."""

import random
import threading
import time
from pathlib import Path
from typing import Any, Literal, Protocol

import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from brandpulse.devstack.embedded_servers import EmbeddedBroker
from brandpulse.kafka.client import producer_config
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.runtime.child_process import Child, free_port
from tests.support.faults.expected_counts import Truth
from tests.support.faults.proxy import Proxy
from tests.support.faults.traffic import CODECS, Sent, one_round, warm_up
from tests.support.faults.valkey import Valkey
from tests.support.kafka_broker import ApacheKafka, KafkaCluster
from tests.support.patience import patience
from tests.support.running_pipeline import Pipeline

BrokerKind = Literal["embedded", "kafka", "kafka3"]
PARTITIONS = 4
FLOW, FLOW_A_SECOND = 8_000, 200
"""Posts that follow a round's burst at most, and how many in a second: a fault always finds some under way."""
ROOM_BYTES = 12_000_000
"""Largest record that the topic of posts takes: it must hold the huge poison."""


class Broker(Protocol):
    bootstrap_servers: str

    def stop(self) -> None: ...


class World:
    """Everything runs until `close`. Children are started by the main thread: they end with the one that made them."""

    def __init__(self, folder: Path, kind: BrokerKind, namespace: str, *, workers: int = 2, protocol: str = "classic"):
        self.kind = kind
        self.namespace = namespace
        self.broker, self.broker_proxy = _broker(folder / "broker", kind)
        self.store = Valkey(folder / "store")
        self.store_proxy = Proxy(self.store.port)
        self.client = redis.Redis.from_url(self.store.url, socket_timeout=10)
        home = folder / "home"
        home.mkdir()
        self.pipeline = Pipeline(
            home,
            self.broker.bootstrap_servers,
            f"redis://127.0.0.1:{self.store_proxy.port}/0",
            namespace,
            BRANDPULSE_WORKER_BATCH_POSTS="64",
            BRANDPULSE_WORKER_WATCHDOG_SECONDS="20",
            BRANDPULSE_WORKER_GROUP_PROTOCOL=protocol,
            BRANDPULSE_WORKER_SCORED_TOPIC_ENABLED="false",
            BRANDPULSE_REPLICATION_FACTOR="3" if kind == "kafka3" else "1",
        )
        self._make_topics()
        self.truth = Truth(self.broker.bootstrap_servers, self.pipeline.topic, self.pipeline.dlq_topic)
        self.workers: list[Child] = [self.pipeline.service("worker") for _ in range(workers)]
        self.alerter = self.pipeline.service("alerter")
        self._enough = threading.Event()
        self._producing: threading.Thread | None = None
        self._unsent: list[str] = []
        self._restarts = 0
        self._send(warm_up(PARTITIONS), codec="none", burst=PARTITIONS)
        self.settle(90)

    def produce(self, pick: random.Random, number: int, burst: int) -> str:
        """Begin to send a round: a burst at once, then a steady flow until `settle`; its codec."""
        codec = pick.choice(CODECS)
        records = one_round(pick, number, burst, flow=FLOW, huge=pick.random() < 0.2)
        self._enough.clear()
        self._producing = threading.Thread(target=self._send, args=([(-1, sent) for sent in records], codec, burst))
        self._producing.start()
        return codec

    def settle(self, seconds: float) -> dict[str, Any]:
        """Wait until all is sent and counted. Returns the differences from the log; empty means exact."""
        deadline = time.monotonic() + patience(seconds)
        self._enough.set()
        if self._producing is not None:
            self._producing.join(seconds)
            assert not self._producing.is_alive(), "the broker takes no records"
            assert not self._unsent, self._unsent[:3]
        differences: dict[str, Any] = {"nothing": "was compared"}
        while differences and time.monotonic() < deadline:
            self.mend()
            try:
                self.truth.look()
                differences = self.truth.differences(self.client, self.namespace)
            except Exception as error:  # whatever broke is being mended; the deadline decides
                differences = {"unreadable": repr(error)}
            time.sleep(0.2)
        return differences

    def mend(self) -> None:
        """Start again what has ended, as `brandpulse up` does."""
        for at, worker in enumerate(self.workers):
            if worker.exit_code is not None:
                self._restarts += 1
                self.workers[at] = self.pipeline.service("worker")
        if self.alerter.exit_code is not None:
            self.alerter = self.pipeline.service("alerter")

    def reloads(self) -> int:
        """How often workers reloaded a partition so far: a fault that causes no reload had no effect."""
        logs = (self.pipeline.home / "logs").glob("worker-*.log")
        return sum(log.read_text(errors="replace").count("reloading partition") for log in logs)

    def wait_assigned(self, worker: Child, seconds: float = 60) -> None:
        """Wait until *worker* reports that it reads partitions."""
        deadline = time.monotonic() + patience(seconds)
        while "assigned" not in worker.log.read_text(errors="replace"):
            assert time.monotonic() < deadline and worker.exit_code is None, worker.log_tail()
            time.sleep(0.1)

    def impostor(self) -> Child:
        """A worker of another consumer group in the same namespace: it holds all partitions, and so do the others."""
        before = self.pipeline.env
        self.pipeline.env = {**before, "BRANDPULSE_WORKER_GROUP": f"{self.namespace}-impostor"}
        try:
            return self.pipeline.service("worker")
        finally:
            self.pipeline.env = before

    def close(self) -> None:
        self.pipeline.stop()
        self.store_proxy.close()
        if self.broker_proxy is not None:
            self.broker_proxy.close()
        self.store.stop()
        self.broker.stop()

    def _send(self, records: list[tuple[int, Sent]], codec: str, burst: int) -> None:
        producer = Producer(
            producer_config(self.broker.bootstrap_servers)
            | {"compression.type": codec, "message.max.bytes": ROOM_BYTES, "message.timeout.ms": 120_000}
        )

        def delivered(error: Any, _message: Any) -> None:
            if error is not None:
                self._unsent.append(error.str())

        for at, (partition, sent) in enumerate(records):
            if at >= burst and self._enough.wait(1 / FLOW_A_SECOND):
                break
            self.truth.meanings[sent.value] = sent.meaning
            where = {"partition": partition} if partition >= 0 else {}
            producer.produce(self.pipeline.topic, key=sent.key, value=sent.value, on_delivery=delivered, **where)
            producer.poll(0)
        left = producer.flush(patience(120))
        if left:
            self._unsent.append(f"{left} records were not taken")

    def _make_topics(self) -> None:
        replicas = 3 if self.kind == "kafka3" else 1
        topics = [Topic(self.pipeline.topic, PARTITIONS), Topic(self.pipeline.dlq_topic)]
        ensure_topics(self.broker.bootstrap_servers, topics, replication_factor=replicas)
        if self.kind != "embedded":
            admin = AdminClient({"bootstrap.servers": self.broker.bootstrap_servers})
            room = ConfigEntry("max.message.bytes", str(ROOM_BYTES), incremental_operation=AlterConfigOpType.SET)
            resource = ConfigResource(ConfigResource.Type.TOPIC, self.pipeline.topic, incremental_configs=[room])
            for future in admin.incremental_alter_configs([resource]).values():
                future.result()


def _broker(folder: Path, kind: BrokerKind) -> tuple[Any, Proxy | None]:
    """The broker, and the proxy that its clients go through, where there is one node."""
    folder.mkdir(parents=True)
    if kind == "kafka3":
        return KafkaCluster(folder), None
    port = free_port()
    if kind == "embedded":
        broker: Any = EmbeddedBroker(folder, advertised_port=port)
    else:
        broker = ApacheKafka(folder, {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"})
    proxy = Proxy(int(broker.bootstrap_servers.rsplit(":", 1)[1]), port=port)
    broker.bootstrap_servers = f"127.0.0.1:{port}"
    return broker, proxy
