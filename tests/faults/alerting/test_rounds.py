"""The short part of `make soak-alerts`: one of each kind of kill."""

import random
from pathlib import Path

import pytest

from brandpulse.devstack.mock_receiver import MockReceiver
from tests.faults.alerting import rounds


@pytest.mark.timeout(600)
async def test_sigkill_loses_doubles_and_leaves_open_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = list(rounds.FAULTS)
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    async with MockReceiver() as mock:
        world = rounds.World(tmp_path, mock)
        try:
            pick = random.Random(seed)
            for _ in range(3):
                world.add_hours(pick, crisis=False)
            for number, kind in enumerate(kinds, 1):
                monkeypatch.setattr(rounds, "FAULTS", (kind,))
                seen = await rounds.one_round(world, random.Random(f"{seed}-{number}"), number, kills=1)
                assert seen["wrong"] == [], seen
        finally:
            world.close()
