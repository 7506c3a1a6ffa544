"""An engine of the bench has a process of its own: its memory is its own, and its crash ends nothing else."""

import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from brandpulse.bench.model import engines
from brandpulse.bench.model.engine_process import EngineCrashedError, EngineProcess
from brandpulse.bench.model.engines import Contestant, run

MB = 1_000_000
Score = Callable[[Sequence[str]], object]
Made = tuple[Score, Callable[[], int]]


def holds(megabytes: int) -> Made:
    held: list[bytes] = []

    def score(_: Sequence[str]) -> None:
        if not held:
            held.append(os.urandom(megabytes * MB))

    return score, lambda: 0


def crashes() -> Made:
    os._exit(3)


def crashes_when_it_scores_again() -> Made:
    rounds: list[None] = []

    def score(_: Sequence[str]) -> None:
        rounds.append(None)
        if len(rounds) > 1:
            os.kill(os.getpid(), signal.SIGKILL)  # unlike SIGSEGV it leaves no core file

    return score, lambda: 0


def settles_two() -> Made:
    settled = [0]

    def score(texts: Sequence[str]) -> None:
        settled[0] += 2

    return score, lambda: settled[0]


def test_the_memory_of_an_engine_is_that_of_its_process_alone() -> None:
    ours = os.urandom(400 * MB)
    little, much = (EngineProcess(partial(holds, size), ["a post"]).end() for size in (1, 201))
    assert little is not None and much is not None
    assert 150 * MB < much - little < 250 * MB
    assert little < 300 * MB < len(ours)


def test_a_round_reports_the_posts_that_the_early_exit_settled_in_it() -> None:
    process = EngineProcess(settles_two, ["a", "b", "c"])
    assert [process.round().settled for _ in range(2)] == [2, 2]
    assert process.round().seconds >= 0
    process.end()


def test_an_engine_that_crashes_on_loading_raises_with_its_exit_code() -> None:
    with pytest.raises(EngineCrashedError, match="exit code 3"):
        EngineProcess(crashes, ["a post"])


def test_an_engine_that_crashes_on_scoring_raises_with_its_signal() -> None:
    process = EngineProcess(crashes_when_it_scores_again, ["a post"])
    with pytest.raises(EngineCrashedError, match=str(-signal.SIGKILL)):
        process.round()


def test_the_bench_leaves_out_an_engine_that_crashes_and_reports_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "posts.jsonl"
    data.write_text('{"text": "good morning"}\n')
    sound, broken = Contestant("sound", "openvino"), Contestant("broken", "openvino", "int8")
    monkeypatch.setattr(engines, "CONTESTANTS", (broken, sound))
    monkeypatch.setattr(engines, "_make", lambda contestant, *_: None)
    monkeypatch.setattr(engines, "partial", lambda _, contestant, *__: crashes if contestant is broken else settles_two)
    assert [speed.name for speed in run(data, posts=1, rounds=1, threads=1)] == ["sound"]
    assert "broken is left out: the engine's process ended with exit code 3." in capsys.readouterr().out
