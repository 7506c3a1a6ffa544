"""`brandpulse backtest` on the shipped sample, with the shipped model, as a new user runs it."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from brandpulse.sample.generate import CRISIS_BEGIN, CRISIS_END
from tests.support.patience import patience

SAMPLE = Path("brandpulse/sample")


def backtest(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "brandpulse", "backtest", "posts", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=patience(120), check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of one run on the sample; its output is in `output.txt`."""
    folder = tmp_path_factory.mktemp("backtest")
    done = backtest(
        *("--in", SAMPLE / "posts.jsonl.gz", "--brands", SAMPLE / "brands.yaml", "--out", folder / "episodes.jsonl"),
        *("--scores", folder / "scores.npz", "--picture", folder / "pictures"),
    )
    assert done.returncode == 0, done.stderr
    (folder / "output.txt").write_text(done.stdout)
    return folder


def episodes(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_sample_has_one_episode_that_fires_in_the_crisis(folder: Path) -> None:
    [episode] = episodes(folder / "episodes.jsonl")
    assert (episode["brand"], episode["rule"]) == ("Aerolux", "negative_share")
    fired, resolved = (datetime.fromisoformat(episode[name]) for name in ("fired_at", "resolved_at"))
    assert CRISIS_BEGIN < fired <= CRISIS_BEGIN + timedelta(minutes=60)
    assert CRISIS_END < resolved <= CRISIS_END + timedelta(hours=3)
    assert "queue" in {term["term"] for term in episode["terms"]}
    assert sum(episode["sources_of_kept_posts"].values()) > 10


def test_backtest_reports_what_it_read(folder: Path) -> None:
    output = (folder / "output.txt").read_text()
    assert "3026 lines: 2967 posts counted, 2 of them late, 14 duplicates, 45 without a brand, 0 invalid." in output
    assert "Aerolux" in output


def test_backtest_draws_every_brand_and_its_episode(folder: Path) -> None:
    pictures = sorted((folder / "pictures").glob("*.svg"))
    assert [picture.stem for picture in pictures] == ["Aerolux", "Bankora", "Cafetto"]
    marks = [
        sum(shape.tag.endswith("title") for shape in ElementTree.parse(picture).getroot().iter())
        for picture in pictures
    ]
    assert marks == [1, 0, 0]


def test_second_run_reuses_scores_with_the_same_result(folder: Path) -> None:
    done = backtest(
        *("--in", SAMPLE / "posts.jsonl.gz", "--brands", SAMPLE / "brands.yaml", "--out", folder / "again.jsonl"),
        *("--scores", folder / "scores.npz"),
    )
    assert " 0 texts scored" in done.stdout
    assert episodes(folder / "again.jsonl") == episodes(folder / "episodes.jsonl")


def test_score_file_has_separate_scores_of_whole_posts(folder: Path) -> None:
    done = backtest(
        *("--in", SAMPLE / "posts.jsonl.gz", "--brands", SAMPLE / "brands.yaml", "--out", folder / "whole.jsonl"),
        *("--scores", folder / "scores.npz", "--sentiment", "post"),
    )
    assert done.returncode == 0, done.stderr
    assert " 0 texts scored" not in done.stdout
    assert [episode["brand"] for episode in episodes(folder / "whole.jsonl")] == ["Aerolux"]


def test_score_file_of_an_older_version_is_rejected(tmp_path: Path) -> None:
    np.savez(tmp_path / "old.npz", digests=np.zeros((0, 16)), probabilities=np.zeros((0, 3)), version=np.array("m@1"))
    done = backtest(
        *("--in", SAMPLE / "posts.jsonl.gz", "--brands", SAMPLE / "brands.yaml", "--out", tmp_path / "episodes.jsonl"),
        *("--scores", tmp_path / "old.npz", "--engine", "keyword"),
    )
    assert done.returncode != 0
    assert "old.npz" in done.stderr
    assert "Traceback" not in done.stderr
