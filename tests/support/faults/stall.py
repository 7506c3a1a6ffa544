"""How long a partition stalls when one of two workers is killed: `python -m tests.support.faults.stall`.

    FAULT_BROKER=embedded|kafka FAULT_PROTOCOL=classic|consumer STALL_TRIALS=10 python -m tests.support.faults.stall

Posts flow all the time; the stall is the time from `kill -9` to the first write on the slowest of the dead worker's
partitions, seen in the store. Session timeout 6 s, with group protocol `consumer` as the broker's setting. The default
is `classic`, as the workers'; the embedded broker knows no other.
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import cast

from brandpulse.state.pane_reader import PaneReader
from tests.support.faults.environment import BrokerKind, World
from tests.support.patience import patience

POLL_SECONDS = 0.02
LIMIT_SECONDS = 90.0


def stalls(world: World, trials: int) -> Iterator[float]:
    """Seconds of each trial."""
    reader = PaneReader(world.client, world.namespace)
    for number in range(1, trials + 1):
        world.produce(Random(number), number, 200)
        _wait_shared(reader)
        time.sleep(Random(number).uniform(1, 3))  # anywhere between two heartbeats
        yield _one(world, reader)
        differences = world.settle(LIMIT_SECONDS)
        assert not differences, differences


def _one(world: World, reader: PaneReader) -> float:
    dead = world.workers[0]
    [port] = {line.rsplit(":", 1)[1].split("/")[0] for line in _ready_lines(world)}
    mine = {one.partition: one.next for one in reader.partitions() if one.owner.endswith(f":{port}")}
    assert mine, "the worker to be killed owns nothing"
    dead.kill()
    killed = time.monotonic()
    before = {one.partition: one.next for one in reader.partitions() if one.partition in mine}
    while before:
        assert time.monotonic() - killed < LIMIT_SECONDS, f"partitions {sorted(before)} make no progress"
        time.sleep(POLL_SECONDS)
        for one in reader.partitions():
            if one.next > before.get(one.partition, one.next):
                del before[one.partition]
    return time.monotonic() - killed


def _ready_lines(world: World) -> list[str]:
    text = world.workers[0].log.read_text(errors="replace")
    return [line.split("metrics=")[1].split()[0] for line in text.splitlines() if "worker ready" in line]


def _wait_shared(reader: PaneReader) -> None:
    """Wait until two workers own partitions and have reported it recently."""
    deadline = time.monotonic() + patience(LIMIT_SECONDS)
    while True:
        now_ms = time.time() * 1_000
        fresh = [one for one in reader.partitions() if now_ms - one.seen_wall_ms < 3_000]
        if len(fresh) == len(reader.partitions()) and len({one.owner for one in fresh}) == 2:
            return
        assert time.monotonic() < deadline, "the partitions are not shared"
        time.sleep(0.2)


def main() -> int:
    kind = cast("BrokerKind", os.environ.get("FAULT_BROKER", "kafka"))
    protocol = os.environ.get("FAULT_PROTOCOL", "classic")
    if protocol not in ("classic", "consumer") or (protocol == "consumer" and kind == "embedded"):
        raise SystemExit(f"FAULT_PROTOCOL={protocol!r}: classic, or consumer with FAULT_BROKER=kafka")
    trials = int(os.environ.get("STALL_TRIALS", "10"))
    folder = Path(tempfile.mkdtemp(prefix="stall-"))
    seen: list[float] = []
    world = World(folder, kind, f"s{uuid.uuid4().hex[:10]}", protocol=protocol)
    try:
        for stall in stalls(world, trials):
            seen.append(stall)
            print(json.dumps({"trial": len(seen), "stall_seconds": round(stall, 2)}), flush=True)
    finally:
        world.close()
    shutil.rmtree(folder)
    found = f"n {len(seen)}, least {min(seen):.1f}, median {statistics.median(seen):.1f}, most {max(seen):.1f} s"
    print(f"{kind}, {protocol}: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
