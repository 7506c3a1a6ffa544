"""The short part of `make faults`: a round of each kind that takes no long wait, on the embedded broker."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.rounds import one_round
from tests.support.faults import fault_kinds as kinds
from tests.support.faults.environment import World

QUICK = (
    kinds.store_tail_cut,
    kinds.worker_killed,
    kinds.store_disk_full,
    kinds.store_connections_cut,
    kinds.broker_connections_cut,
    kinds.two_owners,
)


@pytest.fixture
def world(tmp_path: Path, namespace: str) -> Iterator[World]:
    world = World(tmp_path, "embedded", namespace)
    yield world
    world.close()


@pytest.mark.timeout(420)
def test_after_each_fault_panes_and_dead_letters_match_the_log(world: World) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"FAULT_SEED={seed}")
    for number, fault in enumerate(QUICK, 1):
        seen = one_round(world, fault, random.Random(f"{seed}-{number}"), number, posts=800)
        assert not seen["differences"], f"seed {seed}: {seen}"
