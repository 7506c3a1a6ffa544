"""`brandpulse backtest counts` and `bench volume`, as an operator calls them."""

import csv
import gzip
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from brandpulse.cli.alerting.backtest import app
from brandpulse.cli.bench import app as bench
from tests.unit.alerting.detection.test_volume_score import DAY, MONDAY, STEP, a_series

SURGE = 10 * DAY


def stamp(row: int) -> str:
    return f"{datetime.fromtimestamp(MONDAY + STEP * row, UTC):%Y-%m-%d %H:%M:%S}"


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Two weeks with one surge, gzipped."""
    counts = a_series(14)
    counts[SURGE : SURGE + 36] += np.random.default_rng(2).poisson(90, 36)
    path = tmp_path / "acme.csv.gz"
    rows = "".join(f"{stamp(row)},{count:g}\n" for row, count in enumerate(counts))
    path.write_bytes(gzip.compress(f"timestamp,value\n{rows}".encode()))
    return path


def counts(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["counts", *map(str, arguments)])


def test_every_row_gets_a_score_and_only_the_surge_scores_one(series: Path, tmp_path: Path) -> None:
    done = counts("--in", series, "--out", tmp_path / "scores.csv", "--picture", tmp_path / "acme.svg")
    assert done.exit_code == 0, done.output
    assert f"{14 * DAY} rows of 300 s, 0 missing" in done.output
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["timestamp", "value", "anomaly_score"]
    with gzip.open(series, "rt") as file:
        assert [(row["timestamp"], row["value"]) for row in rows] == [
            (row["timestamp"], row["value"]) for row in csv.DictReader(file)
        ]
    sure = [place for place, row in enumerate(rows) if float(row["anomaly_score"]) == 1.0 and place > 2 * DAY]
    assert len(sure) == 1
    assert SURGE <= sure[0] < SURGE + 3
    titles = [shape.text or "" for shape in ElementTree.parse(tmp_path / "acme.svg").iter() if "title" in shape.tag]
    assert any(stamp(sure[0]) in title and "posts in 30 minutes where" in title for title in titles)


def test_scores_are_gzipped_if_the_path_ends_in_gz(series: Path, tmp_path: Path) -> None:
    counts("--in", series, "--out", tmp_path / "scores.csv")
    counts("--in", series, "--out", tmp_path / "scores.csv.gz")
    assert gzip.decompress((tmp_path / "scores.csv.gz").read_bytes()) == (tmp_path / "scores.csv").read_bytes()


def test_a_smaller_budget_gives_fewer_onsets(series: Path, tmp_path: Path) -> None:
    onsets = []
    for budget in ("0.001", "50"):
        counts("--in", series, "--out", tmp_path / "scores.csv", "--false-alarms", budget)
        onsets.append(sum(not line.endswith(",0") for line in (tmp_path / "scores.csv").read_text().splitlines()))
    assert onsets[0] < onsets[1]


def test_a_missing_folder_is_rejected_before_anything_is_read(series: Path, tmp_path: Path) -> None:
    done = counts("--in", series, "--out", tmp_path / "no" / "scores.csv")
    assert "does not exist" in str(done.exception)


def test_bench_volume_prints_both_scores_of_labelled_series(series: Path, tmp_path: Path) -> None:
    (tmp_path / "bolt.csv.gz").write_bytes(series.read_bytes())
    window = [[stamp(SURGE), stamp(SURGE + 99)]]
    (tmp_path / "windows.json").write_text(json.dumps({"acme.csv": window, "bolt.csv": window, "absent.csv": []}))
    done = CliRunner().invoke(bench, ["volume", "--series", str(tmp_path), "--labels", str(tmp_path / "windows.json")])
    assert done.exit_code == 0, done.output
    assert "chosen on these series" in done.output
    assert "2 of 2 windows" in done.output


@pytest.mark.skipif("BRANDPULSE_TEST_NAB" not in os.environ, reason="BRANDPULSE_TEST_NAB names no folder of series")
def test_the_score_on_real_mentions_beats_published_detectors() -> None:
    folder = Path(os.environ["BRANDPULSE_TEST_NAB"])
    done = CliRunner().invoke(bench, ["volume", "--series", str(folder), "--labels", str(folder / "windows.json")])
    scores = [float(score) for score in re.findall(r"score ([\d.]+),", done.output)]
    assert len(scores) == 2
    assert all(score > 81.9 for score in scores), done.output
