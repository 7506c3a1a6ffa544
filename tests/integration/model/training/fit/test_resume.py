import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from brandpulse.errors import ConfigError
from model.loader import torch_is_installed
from tests.support.model.training_data import a_data_folder, a_recipe, a_tiny_encoder

pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")

RECIPE = a_recipe(epochs=2, save_every=5, weights={"sentiment": 1.0})
"""Of twelve steps an epoch."""

KILLED = """
import json, os, signal, sys
from pathlib import Path
import torch
from model.training.run import train
from model.training.fit import loop, run_state
from model.training.fit.recipe import HeadsRecipe

torch.set_num_threads(1)
when, step = sys.argv[2], int(sys.argv[3])
def die(): os.kill(os.getpid(), signal.SIGKILL)
if when == "between states":
    rate = loop.learning_rate_share
    loop.learning_rate_share = lambda at, steps, warm_up: die() if at == step else rate(at, steps, warm_up)
else:
    replace = run_state._replace
    written = []
    def dying(scratch, path):
        if path.name == run_state.STATE:
            written.append(path)
        if len(written) == step:
            die()
        replace(scratch, path)
    run_state._replace = dying
folder = Path(sys.argv[1])
recipe = HeadsRecipe.model_validate_json((folder / "recipe.json").read_text())
train(folder / "data", folder / "out", recipe=recipe, base=folder / "base")
"""


def a_world(folder: Path) -> Path:
    a_data_folder(folder / "data", train=120, validation=30)
    a_tiny_encoder(folder / "base")
    (folder / "recipe.json").write_text(RECIPE.model_dump_json())
    return folder


def run_to_the_end(folder: Path) -> str:
    from model.training.run import train

    return train(folder / "data", folder / "out", recipe=RECIPE, base=folder / "base")


def digests(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((folder / "out.run" / "snap").iterdir()):
        yield path.name, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[tuple[str, str]]]:
    folder = a_world(tmp_path_factory.mktemp("whole"))
    return run_to_the_end(folder), list(digests(folder))


@pytest.mark.parametrize(
    ("when", "step"),
    [
        pytest.param("between states", 17, id="in the second epoch"),
        pytest.param("while writing", 2, id="half a state is on disk"),
    ],
)
def test_a_killed_run_resumes_with_the_same_result(
    tmp_path: Path, uninterrupted: tuple[str, list[tuple[str, str]]], when: str, step: int
) -> None:
    folder = a_world(tmp_path)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder), when, str(step)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (folder / "out").exists()
    assert run_to_the_end(folder) == uninterrupted[0]
    assert list(digests(folder)) == uninterrupted[1]


def test_a_completed_run_is_not_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_world(tmp_path)
    version = run_to_the_end(folder)
    capsys.readouterr()
    assert run_to_the_end(folder) == version
    assert "step" not in {json.loads(line)["event"] for line in capsys.readouterr().err.splitlines() if line[:1] == "{"}


def test_a_folder_of_another_run_is_a_config_error(tmp_path: Path) -> None:
    from model.training.run import train

    folder = a_world(tmp_path)
    run_to_the_end(folder)
    with pytest.raises(ConfigError, match=r"out\.run contains a run with another recipe"):
        train(folder / "data", folder / "out", recipe=a_recipe(epochs=3), base=folder / "base")
