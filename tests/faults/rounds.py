"""`make faults`: rounds of posts, poison and a random fault each; after each the counts must be exact.

    FAULT_ROUNDS=100 FAULT_SEED=1 FAULT_SECONDS=3600 python -m tests.faults.rounds

FAULT_BROKER is embedded, kafka or kafka3, FAULT_PROTOCOL (of the consumer group) classic or consumer.

One JSON line a round; a table at the end; exit code 1 if anything was lost or doubled. A seed gives the same faults and
posts again, though not the same timing.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from tests.support.faults.environment import BrokerKind, World
from tests.support.faults.fault_kinds import Fault, kinds_for
from tests.support.patience import patience

POSTS = 1_500
PATIENCE_SECONDS = 120.0


def rounds(world: World, *, seed: int, count: int, posts: int = POSTS) -> Iterator[dict[str, Any]]:
    """The result of each round. Every kind comes once before any comes twice."""
    pick = random.Random(seed)
    waiting: list[Fault] = []
    for number in range(1, count + 1):
        if not waiting:
            waiting = list(kinds_for(world))
            pick.shuffle(waiting)
        yield one_round(world, waiting.pop(), random.Random(f"{seed}-{number}"), number, posts)


def one_round(world: World, fault: Fault, pick: random.Random, number: int, posts: int) -> dict[str, Any]:
    """Send posts, cause a fault, repair it, compare the counts."""
    began = time.monotonic()
    reloads = world.reloads()
    codec = world.produce(pick, number, posts)
    time.sleep(pick.uniform(0, 1.5))
    fault(world, pick)
    broken = time.monotonic()
    differences = world.settle(PATIENCE_SECONDS)
    now = time.monotonic()
    return {
        "round": number,
        "fault": fault.__name__,
        "codec": codec,
        "records": world.truth.records,
        "dead": len(world.truth.dead),
        "seconds": round(now - began, 1),
        "reloads": world.reloads() - reloads,
        "healed_after": round(now - broken, 1),
        "differences": differences,
    }


def main() -> int:
    kind = cast("BrokerKind", os.environ.get("FAULT_BROKER", "embedded"))
    count = int(os.environ.get("FAULT_ROUNDS", "100"))
    seed = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(1_000_000))
    protocol = os.environ.get("FAULT_PROTOCOL", "classic")
    bound = float(os.environ.get("FAULT_SECONDS", "3600"))
    print(
        f"FAULT_BROKER={kind} FAULT_PROTOCOL={protocol} FAULT_ROUNDS={count} FAULT_SEED={seed} FAULT_SECONDS={bound:g}",
        flush=True,
    )
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    deadline = time.monotonic() + patience(bound)
    seen: list[dict[str, Any]] = []
    world = World(folder, kind, f"f{uuid.uuid4().hex[:10]}", protocol=protocol)
    try:
        for one in rounds(world, seed=seed, count=count):
            seen.append(one)
            print(json.dumps(one, default=str), flush=True)
            if one["differences"] or time.monotonic() > deadline:
                break
    finally:
        world.close()
    wrong = [one for one in seen if one["differences"]]
    if wrong:
        print(f"what was left for a look: {folder}")
    else:
        shutil.rmtree(folder)
    print(table(seen))
    print(f"{len(seen)} rounds of {count}, seed {seed}, {kind}: {len(wrong)} with something lost, doubled or stuck")
    return 1 if wrong or not seen else 0


def table(seen: list[dict[str, Any]]) -> str:
    """Markdown, by kind: rounds, partitions that were reloaded, the longest time to exact counts after the fault."""
    times = Counter(one["fault"] for one in seen)
    lines = ["| fault | rounds | not exact | reloads | exact again after, worst |", "|---|---|---|---|---|"]
    for fault, number in sorted(times.items()):
        mine = [one for one in seen if one["fault"] == fault]
        wrong = sum(bool(one["differences"]) for one in mine)
        worst = max(one["healed_after"] for one in mine)
        reloads = sum(one["reloads"] for one in mine)
        lines.append(f"| {fault.replace('_', ' ')} | {number} | {wrong} | {reloads} | {worst:.0f} s |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
