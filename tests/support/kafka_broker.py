"""Real Apache Kafka (KRaft) without Docker, one node or three: jars through Maven once, then seconds a start."""

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from brandpulse.config.settings import KAFKA_VERSION
from brandpulse.devstack.apache_kafka_node import LOGGING
from brandpulse.devstack.embedded_servers import broker_answers
from brandpulse.devstack.kafka_jars import fetch
from brandpulse.runtime.child_process import Child, StartError, free_port
from tests.support.patience import patience

CACHE = Path(os.environ.get("BRANDPULSE_TEST_CACHE", Path.home() / ".cache" / "brandpulse-tests"))
JARS = CACHE / f"apache-kafka-{KAFKA_VERSION}"
NODES = (1, 2, 3)
LIGHT = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Three JVMs on two cores: tuned for a quick start, not for throughput."""


def why_not() -> str:
    """Why Apache Kafka cannot run here; empty when it can."""
    if shutil.which("java") is None:
        return "no JVM here: install Java 17 to run the tests on Apache Kafka"
    if not JARS.is_dir() and shutil.which("mvn") is None:
        return "no Maven here to fetch Apache Kafka's jars"
    return ""


class KafkaNode:
    """One process, broker and controller; its log survives `kill` and `start`."""

    def __init__(self, number: int, folder: Path, *, cluster_id: str, settings: Mapping[str, object]) -> None:
        """*settings*: lines of server.properties that go beyond, or overrule, what every node has."""
        self.number = number
        self.port = int(str(settings["port"]))
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self.folder = folder
        fetch(JARS)
        self._config = folder / "server.properties"
        folder.mkdir(parents=True, exist_ok=True)
        lines = {
            "process.roles": "broker,controller",
            "node.id": number,
            "controller.listener.names": "CONTROLLER",
            "log.dirs": folder / "data",
            "offsets.topic.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            "auto.create.topics.enable": "false",
            # As short as our own session timeout, for the suite runs with group.protocol=consumer too (KIP-848).
            "group.consumer.session.timeout.ms": 6_000,
            "group.consumer.min.session.timeout.ms": 1_000,
            "group.consumer.heartbeat.interval.ms": 1_000,
            "group.consumer.min.heartbeat.interval.ms": 500,
            **{name: value for name, value in settings.items() if name != "port"},
        }
        self._config.write_text("\n".join(f"{name}={value}" for name, value in lines.items()) + "\n")
        format_it = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._config)]
        done = subprocess.run(
            ["java", *LIGHT, "-cp", f"{JARS}/*", *format_it],
            check=False,
            capture_output=True,
            text=True,
            timeout=patience(120),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.child: Child | None = None

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.exit_code is None

    def launch(self) -> None:
        """Start the process, on the same ports and the same log, and return at once."""
        assert not self.running, f"node {self.number} runs already"
        self.child = Child(
            f"kafka-{self.number}",
            ["java", *LIGHT, LOGGING, "-cp", f"{JARS}/*", "kafka.Kafka", str(self._config)],
            log=self.folder / "kafka.log",
        )

    def wait_ready(self) -> None:
        assert self.child is not None
        self.child.wait_ready(lambda: broker_answers(self.bootstrap_servers), timeout_seconds=90)

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def kill(self) -> None:
        """SIGKILL, at once. What it wrote is in the page cache: the host lives on."""
        assert self.child is not None
        self.child.kill()

    def pause(self) -> None:
        assert self.child is not None
        self.child.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.child is not None
        self.child.signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.child is not None and self.running:
            self.go_on()
            self.child.stop(grace_seconds=10)


class ApacheKafka:
    """One node; its log survives `child.kill` and `start`."""

    def __init__(self, folder: Path, settings: Mapping[str, object] | None = None) -> None:
        port, controller = free_port(), free_port()
        lines = {
            "port": port,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
        }
        self._node = KafkaNode(1, folder, cluster_id=str(uuid.uuid4()), settings=lines | dict(settings or {}))
        self.bootstrap_servers = self._node.bootstrap_servers
        self.start()

    @property
    def child(self) -> Child:
        assert self._node.child is not None
        return self._node.child

    def start(self) -> None:
        self._node.start()

    def kill(self) -> None:
        self._node.kill()

    def stop(self) -> None:
        self._node.stop()


class KafkaCluster:
    """Three nodes, each broker and controller: replication 3, min.insync.replicas 2. Nodes are numbered 1, 2, 3.

    One node down: everything goes on, after the dead one's leaders moved (its broker session, 6 s). Two down: no
    quorum, nothing is written, nothing acknowledged is lost.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object] | None = None) -> None:
        ports = {number: (free_port(), free_port()) for number in NODES}
        cluster_id = str(uuid.uuid4())
        common = {
            "controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{c}" for n, (_, c) in ports.items()),
            "default.replication.factor": 3,
            "min.insync.replicas": 2,
            "offsets.topic.replication.factor": 3,
            "transaction.state.log.replication.factor": 3,
            "transaction.state.log.min.isr": 2,
            "broker.session.timeout.ms": 6_000,
            "controller.quorum.election.timeout.ms": 1_000,
            **(settings or {}),
        }

        def node(number: int) -> KafkaNode:
            port, controller = ports[number]
            own = {
                "port": port,
                "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            }
            return KafkaNode(number, folder / f"node-{number}", cluster_id=cluster_id, settings=common | own)

        with ThreadPoolExecutor(len(NODES)) as threads:  # three JVMs that format take as long as one
            self.nodes = dict(zip(NODES, threads.map(node, NODES), strict=True))
        self.bootstrap_servers = ",".join(node.bootstrap_servers for node in self.nodes.values())
        self.start()

    def start(self) -> None:
        """Start the nodes that are down, all at once: a single node answers no client before there is a quorum."""
        down = [node for node in self.nodes.values() if not node.running]
        for node in down:
            node.launch()
        for node in down:
            node.wait_ready()
        self._until(lambda: len(self._admin().list_topics(timeout=patience(5)).brokers) == len(NODES), "three brokers")

    def kill(self, *numbers: int) -> None:
        """SIGKILL of these nodes, in this order and without a pause between."""
        for number in numbers:
            self.nodes[number].kill()

    def restart(self, *numbers: int) -> None:
        """Start these again on their logs; returns when they answer. They may still be catching up."""
        for number in numbers:
            self.nodes[number].launch()
        for number in numbers:
            try:
                self.nodes[number].wait_ready()
            except StartError:
                # Where processor is short a broker gives up waiting for its controller; a supervisor starts it again.
                self.nodes[number].start()

    def leader_of(self, topic: str, partition: int) -> int:
        """The node that leads the partition now; -1 without a leader."""
        return int(self._admin().list_topics(topic, timeout=patience(10)).topics[topic].partitions[partition].leader)

    def wait_in_sync(self, topics: Sequence[str], *, seconds: float = 60) -> None:
        """Until every replica of *topics* is in sync on all three nodes: the next kill finds a whole cluster."""

        def in_sync() -> bool:
            known = self._admin().list_topics(timeout=patience(5)).topics
            return all(
                len(partition.isrs) == len(NODES) for topic in topics for partition in known[topic].partitions.values()
            )

        self._until(in_sync, f"{list(topics)} in sync", seconds=seconds)

    def stop(self) -> None:
        for node in self.nodes.values():
            node.stop()

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0, "socket.timeout.ms": 5_000})

    @staticmethod
    def _until(true: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
        deadline = time.monotonic() + patience(seconds)
        while True:
            try:
                if true():
                    return
            except (KafkaException, KeyError):
                pass  # no node answers while a new leader is elected
            assert time.monotonic() < deadline, f"no {what} within {seconds:g} s"
            time.sleep(0.1)
