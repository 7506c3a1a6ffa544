"""`brandpulse model leave-out`: one short run without each source, and the comparison on its posts."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from brandpulse.errors import ConfigError
from model.data.training_examples import read_rows
from model.loader import torch_is_installed
from model.training.fit.recipe import HeadsRecipe, Source
from tests.support.model.training_data import (
    a_data_folder,
    a_recipe,
    a_tiny_encoder,
    sentiment_rows,
    target_rows,
    write_rows,
)

pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")

ENDS = ("train.jsonl.gz", "val.jsonl.gz")


def two_sources(**changes: Any) -> HeadsRecipe:
    sources = (Source(names=("tiny",)), Source(names=("other",)))
    return a_recipe(**{"sources": sources, "epochs": 1, "average": 1, "exit_weight": 0.0} | changes)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """(data, output of a completed command, its report)."""
    from model.training.leave_one_out import leave_one_out

    folder = tmp_path_factory.mktemp("leave_out")
    data = a_data_folder(folder / "data", train=60, validation=30)
    # The first 5 validation posts of the other source are also training posts of the first one.
    copied = [row for row in read_rows(data / f"tiny.{ENDS[0]}") if "target" in row][:10]
    write_rows(data / f"other.{ENDS[0]}", target_rows(20, 7))
    write_rows(data / f"other.{ENDS[1]}", [*copied, *target_rows(10, 8)])
    base = a_tiny_encoder(folder / "base")
    report = leave_one_out(data, folder / "out", recipe=two_sources(), base=base, sources=["other"], threads=1)
    return data, folder / "out", report


def test_a_source_is_compared_without_and_with_its_posts(folders: tuple[Path, Path, dict[str, Any]]) -> None:
    _, out, report = folders
    assert list(report["sources"]) == ["other"]
    found = report["sources"]["other"]
    assert found["rows"] == 30
    gap = found["unseen"]["target"]["macro_recall"][0] - found["seen"]["target"]["macro_recall"][0]
    assert found["unseen_minus_seen"]["target"]["macro_recall"][0] == pytest.approx(gap, abs=2e-4)
    assert report["mean"] == {name: found[name] for name in report["mean"]}
    assert json.loads((out / "leave_out.json").read_text()) == report


def test_the_run_without_a_source_neither_names_nor_reads_it(folders: tuple[Path, Path, dict[str, Any]]) -> None:
    _, out, _ = folders
    recipe = json.loads((out / "without-other" / "model.json").read_text())["recipe"]
    assert [source["names"] for source in recipe["sources"]] == [["tiny"]]
    # 10 rows of 5 texts of `tiny` are compared posts too: they left the training.
    assert recipe["checks"]["leaked"] == 10


def test_a_second_call_trains_no_completed_run(folders: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    from model.training.leave_one_out import leave_one_out

    data, out, report = folders
    shutil.copytree(out, tmp_path / "out")
    before = (tmp_path / "out" / "all" / "model.json").stat().st_mtime_ns
    again = leave_one_out(
        data, tmp_path / "out", recipe=two_sources(), base=out.parent / "base", sources=["other"], threads=1
    )
    assert again == report
    assert (tmp_path / "out" / "all" / "model.json").stat().st_mtime_ns == before


def test_a_folder_with_other_settings_is_refused(folders: tuple[Path, Path, dict[str, Any]]) -> None:
    from model.training.leave_one_out import leave_one_out

    data, out, _ = folders
    with pytest.raises(ConfigError, match=r"--out .*another recipe, base or data"):
        leave_one_out(data, out, recipe=two_sources(seed=14), base=out.parent / "base", sources=["other"])


def test_a_recipe_without_targets_stops_before_the_first_run(tmp_path: Path) -> None:
    from model.training.leave_one_out import leave_one_out

    write_rows(tmp_path / f"tiny.{ENDS[1]}", sentiment_rows(3, 1))
    with pytest.raises(ConfigError, match="no source with a sentiment towards a target: set --source"):
        leave_one_out(tmp_path, tmp_path / "out", recipe=a_recipe(), base=tmp_path)
    assert not (tmp_path / "out").exists()


def test_offsets_without_a_set_to_fit_on_stop_before_the_first_run(tmp_path: Path) -> None:
    from model.training.leave_one_out import leave_one_out

    recipe = two_sources(judged_by={"tiny": "sentiment_recall", "other": "target_recall"}, fitted_offsets=("target",))
    with pytest.raises(ConfigError, match="to fit the offsets of target on"):
        leave_one_out(tmp_path, tmp_path / "out", recipe=recipe, base=tmp_path, sources=["other"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nothing", "--source nothing: the recipe tiny has no such source, only tiny, other"),
        ("tiny", "--source tiny: without it the recipe tiny has nothing left in `judged_by`"),
    ],
)
def test_a_wrong_source_stops_before_the_first_run(source: str, expected: str, tmp_path: Path) -> None:
    from model.training.leave_one_out import leave_one_out

    with pytest.raises(ConfigError, match=expected):
        leave_one_out(tmp_path, tmp_path / "out", recipe=two_sources(), base=tmp_path, sources=[source])
    assert not (tmp_path / "out").exists()
