"""Pipeline benchmarks: their arithmetic, and a short real run."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brandpulse.bench.competitors.runner import Stopwatch
from brandpulse.bench.growth import run as run_growth
from brandpulse.bench.pipeline import Latency, Measurement, _median, _median_latency, _ratios, _waits
from brandpulse.bench.soak import Sample, evaluate_soak
from brandpulse.cli.bench import app
from brandpulse.errors import BrandpulseError, ConfigError


@pytest.mark.parametrize(
    ("created", "readings", "waits"),
    [
        ([(0, 10.0), (1, 10.5)], [(1, 10.2), (2, 11.0)], [0.2, 0.5]),
        ([(0, 10.0), (1, 10.1)], [(2, 10.4)], [0.4, 0.3]),
        # A post that no reading passed has no wait; a post before the steady state does not count.
        ([(0, 10.0), (1, 10.1)], [(1, 10.2)], [0.2]),
        ([(0, 9.0), (1, 10.0)], [(2, 10.5)], [0.5]),
    ],
)
def test_a_wait_ends_at_the_first_reading_past_the_offset(
    created: list[tuple[int, float]], readings: list[tuple[int, float]], waits: list[float]
) -> None:
    assert _waits(created, readings, since=9.5) == pytest.approx(waits)


def test_speed_is_posts_over_seconds() -> None:
    assert Measurement("x", posts=300, seconds=1.5).posts_per_second == 200


def test_of_several_rounds_the_median_is_reported() -> None:
    rounds = [Measurement("x", posts=posts, seconds=1.0) for posts in (300, 100, 200)]
    assert _median(rounds).posts == 200
    assert _median(rounds[:2]).posts == 100


def test_of_several_latencies_the_median_p99_is_reported() -> None:
    rounds = [Latency("auto", 100.0, {"p50": 0.1, "p95": 0.2, "p99": p99}) for p99 in (2.0, 0.5, 0.9)]
    assert _median_latency(rounds).quantiles["p99"] == 0.9
    assert _median_latency(rounds[:2]).quantiles["p99"] == 2.0  # of an even number, the slower


def test_ratios_use_the_bare_engine_of_the_same_name() -> None:
    speeds = {"brandpulse, auto": 90, "bare engine, auto:early": 200, "bare engine, auto": 100, "plain loop, x": 10}
    figures = [Measurement(path, posts, seconds=1.0) for path, posts in speeds.items()]
    assert [_ratios(figure, figures) for figure in figures[:2]] == [
        ["9.00", "-", "-", "0.90"],
        ["20.00", "-", "-", "-"],
    ]


def test_bench_pipeline_measures_real_processes(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    arguments = ["pipeline", "--posts", "20000", "--engines", "null", "--no-peers", "--rounds", "2", "--json", str(out)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    [figure], [rounds] = report["figures"], report["rounds"].values()
    assert (len(rounds), figure["posts_per_second"]) == (2, min(rounds))
    assert 1_000 <= figure["posts"] <= 18_000
    assert 10 < figure["posts_per_second"] < 1_000_000
    assert set(figure["used"]) == {"worker", "broker", "store"}
    assert all(used["peak_bytes"] > 1_000_000 for used in figure["used"].values())
    assert {"decode", "score", "fold", "write"} <= set(figure["stages"])


def samples(worker: list[int], lags: list[int] | None = None) -> list[Sample]:
    return [
        Sample(5.0 * at, {"worker": bytes_, "store": 100 * (at + 1)}, lag)
        for at, (bytes_, lag) in enumerate(zip(worker, lags or [0] * len(worker), strict=True))
    ]


@pytest.mark.parametrize(
    ("worker", "lags", "failure"),
    [
        # Growth during warm-up or within 2 % is allowed, and so is a growing store, which holds the counts.
        ([50, 80, *[100] * 18], None, None),
        ([100] * 15 + [101] * 5, None, None),
        ([*range(100, 120)], None, "memory of worker grew"),
        ([100] * 20, [0] * 10 + [1_001] + [0] * 9, "the lag reached 1,001 posts"),
        ([100] * 20, [5_000] + [0] * 19, None),
    ],
)
def test_soak_fails_if_memory_grows_or_lag_exceeds_its_limit(
    worker: list[int], lags: list[int] | None, failure: str | None
) -> None:
    failures = evaluate_soak(samples(worker, lags), posts_per_second=100).failures
    assert (failures == []) if failure is None else failure in failures[0]


def test_soak_with_too_few_samples_is_an_error() -> None:
    with pytest.raises(BrandpulseError, match="too few samples"):
        evaluate_soak(samples([100]), posts_per_second=100)


def test_stopwatch_excludes_the_first_batch(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Stopwatch()
    for posts in (256, 100, 44):
        watch.add(posts)
    watch.report()
    report = json.loads(capsys.readouterr().out)
    assert (report["posts"], watch.posts) == (144, 400)
    assert 0 < report["seconds"] < 60
    with pytest.raises(ValueError, match="no posts were measured"):
        Stopwatch().report()


def test_stopwatch_started_by_hand_counts_every_batch(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Stopwatch()
    watch.start()
    watch.add(512)
    watch.report()
    assert json.loads(capsys.readouterr().out)["posts"] == 512


def test_unknown_growth_curve_is_an_error_that_lists_the_curves(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bands: no such curve\. Curves: brands,memory,kept,partitions,workers,gpu"):
        run_growth(out=tmp_path / "growth", only=["bands"], posts=10_000, broker="embedded")
    assert list(tmp_path.iterdir()) == []
