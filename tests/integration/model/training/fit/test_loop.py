import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from model.loader import torch_is_installed
from tests.support.patience import patience

pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")

TOY = """
import sys
from pathlib import Path
import torch
from model.training.fit.loop import fit
from model.training.fit.recipe import Schedule

torch.set_num_threads(1)


class Toy:
    # Only every other batch uses the second layer, as with heads.
    def __init__(self, batch):
        torch.manual_seed(1)
        self.model = torch.nn.ModuleDict({"one": torch.nn.Linear(4, 3), "other": torch.nn.Linear(4, 3)})
        self.rows, self.batch = torch.randn(48, 4, generator=torch.Generator().manual_seed(2)), batch

    def batches(self, epoch):
        return list(self.rows.split(self.batch))

    def size(self, batch):
        return len(batch)

    def loss(self, batch, step):
        total = self.model["one"](batch).square().mean()
        return total + self.model["other"](batch).square().mean() if step % 2 else total

    def weights(self):
        return self.model.state_dict()

    def figure(self):
        return 0.0


run = Path(sys.argv[1])
recipe = Schedule(
    name="toy", epochs=3, batch_size=1, learning_rate=0.05, warm_up=0.1, max_tokens=8, seed=1, precision="float32"
)
task = Toy(int(sys.argv[2]))
run.mkdir(exist_ok=True)
progress = fit(task, recipe, run)
from safetensors.torch import save_file
save_file(task.model.state_dict(), sys.argv[3], metadata={"rows": str(progress.rows)})
"""


def test_two_processes_train_what_one_does_with_twice_the_batch(tmp_path: Path) -> None:
    """With gloo on the CPU; torchrun uses nccl on two GPUs."""
    from safetensors.torch import load_file

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = [sys.executable, "-c", TOY]
    shared = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    running = [
        subprocess.Popen(
            [*script, str(tmp_path / "two"), "4", str(tmp_path / f"rank-{rank}")], env=shared | {"RANK": rank}
        )
        for rank in ("0", "1")
    ]
    running.append(subprocess.Popen([*script, str(tmp_path / "one"), "8", str(tmp_path / "single")]))
    assert [process.wait(timeout=patience(150)) for process in running] == [0, 0, 0]
    single, *ranks = (load_file(tmp_path / name) for name in ("single", "rank-0", "rank-1"))
    for found in ranks:
        assert all((found[name] - tensor).abs().max() < 1e-5 for name, tensor in single.items())


@pytest.mark.parametrize(
    ("figures", "patience", "stops"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.6], 1, False),
        ([0.6, 0.5], 1, True),
        ([0.6, 0.5], 2, False),
        ([0.6, 0.5, 0.55], 2, True),
        ([0.6, 0.5, 0.4], 0, False),
    ],
)
def test_a_run_stops_when_its_patience_is_exceeded(figures: list[float], patience: int, stops: bool) -> None:
    from model.training.fit.loop import has_stalled

    assert has_stalled(figures, patience) is stops


def test_the_learning_rate_rises_and_falls_linearly() -> None:
    from model.training.fit.loop import learning_rate_share

    shares = [learning_rate_share(step, 100, 0.1) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[9] == shares[10] == pytest.approx(1.0)
    assert shares[55] == pytest.approx(0.5)
    assert shares[99] == pytest.approx(1 / 90)
