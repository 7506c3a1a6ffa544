"""The mean of several runs, and the runs that have none."""

import json
from pathlib import Path

import pytest

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import load_heads
from model.loader import torch_is_installed
from tests.support.model.training_data import a_data_folder, a_recipe, a_tiny_encoder

pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs with the same new heads and posts in another order."""
    from model.training.run import train

    folder = tmp_path_factory.mktemp("runs")
    data, base = a_data_folder(folder / "data"), a_tiny_encoder(folder / "base")
    for seed in (1, 2, 3):
        train(data, folder / f"run{seed}", recipe=a_recipe(seed=seed, start_seed=13, epochs=2), base=base)
    return folder


def test_runs_of_other_orders_have_a_mean(world: Path, tmp_path: Path) -> None:
    from model.training.averaging import average, mean_candidates

    runs = [world / f"run{seed}" for seed in (1, 2, 3)]
    version = average(runs, tmp_path / "out", data=world / "data", recipe=a_recipe())
    tried = json.loads((tmp_path / "out" / "training.json").read_text())["candidates"]
    names = ["mean of 3", "mean without run1", "mean without run2", "mean without run3", "run1", "run2", "run3"]
    assert [one["weights"] for one in tried] == names
    manifest = load_heads(tmp_path / "out").manifest
    assert manifest.version == version
    assert set(manifest.recipe["averaged"]) == {"run1", "run2", "run3"}
    name = "heads.out.sentiment.weight"
    mean = dict(mean_candidates(runs))["mean of 3"][name].numpy()
    assert mean == pytest.approx(sum(load_heads(run).tensors[name] for run in runs) / 3, abs=1e-6)


def test_runs_with_other_heads_at_the_start_are_refused(world: Path, tmp_path: Path) -> None:
    from model.training.averaging import average
    from model.training.run import train

    train(world / "data", tmp_path / "other", recipe=a_recipe(seed=1, epochs=1, average=1), base=world / "base")
    with pytest.raises(ConfigError, match="it began with base, heads of seed 1, not with base, heads of seed 13"):
        average([world / "run1", tmp_path / "other"], tmp_path / "out", data=world / "data", recipe=a_recipe())


def test_runs_of_other_depth_are_refused(world: Path, tmp_path: Path) -> None:
    from model.training.averaging import average
    from model.training.run import train

    recipe = a_recipe(seed=1, start_seed=13, layers=(0, 1), epochs=1, average=1)
    train(world / "data", tmp_path / "other", recipe=recipe, base=world / "base")
    with pytest.raises(ConfigError, match=r"has shape none, not \("):
        average([world / "run1", tmp_path / "other"], tmp_path / "out", data=world / "data", recipe=a_recipe())


def test_a_single_run_is_refused(world: Path, tmp_path: Path) -> None:
    from model.training.averaging import average

    with pytest.raises(ConfigError, match="at least two"):
        average([world / "run1"], tmp_path / "out", data=world / "data", recipe=a_recipe())
