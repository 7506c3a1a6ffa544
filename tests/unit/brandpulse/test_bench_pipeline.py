"""The bench of the pipeline: what its arithmetic makes of what it saw, and a short run of the real thing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brandpulse.bench import app
from brandpulse.bench_pipeline import Figure, _waits


@pytest.mark.parametrize(
    ("created", "seen", "waits"),
    [
        ([(0, 10.0), (1, 10.5)], [(1, 10.2), (2, 11.0)], [0.2, 0.5]),
        ([(0, 10.0), (1, 10.1)], [(2, 10.4)], [0.4, 0.3]),
        # A post that was never seen has no wait, and one before the steady state does not count.
        ([(0, 10.0), (1, 10.1)], [(1, 10.2)], [0.2]),
        ([(0, 9.0), (1, 10.0)], [(2, 10.5)], [0.5]),
    ],
)
def test_a_wait_ends_at_the_first_look_past_the_posts_offset(
    created: list[tuple[int, float]], seen: list[tuple[int, float]], waits: list[float]
) -> None:
    assert _waits(created, seen, since=9.5) == pytest.approx(waits)


def test_a_figure_is_posts_over_seconds() -> None:
    assert Figure("x", posts=300, seconds=1.5).posts_per_second == 200


def test_the_bench_puts_posts_through_real_processes(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    arguments = ["pipeline", "--posts", "3000", "--engines", "null", "--no-peers", "--json", str(out)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    [figure] = json.loads(out.read_text())["figures"]
    assert figure["posts"] >= 1_000
    assert 10 < figure["posts_per_second"] < 1_000_000
    assert set(figure["used"]) == {"worker", "broker", "store"}
    assert all(used["peak_bytes"] > 1_000_000 for used in figure["used"].values())
    assert {"decode", "score", "fold", "write"} <= set(figure["stages"])
