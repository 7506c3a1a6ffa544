"""A scorer that accepts the posts of one call while it scores those of another."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from model.cpu.inference_streams import Streams, cpu_settings, openvino_requests
from model.cpu.openvino_scorer import OpenVinoScorer
from model.inference.score_cache import CachingScorer
from model.inference.scorer import PipelinedScorer, Scores, begin
from model.inputs.target_marking import MarkedText, mark, plain
from model.loader import load_scorer
from tests.support.model.brand_weights import a_brand_folder
from tests.support.patience import patience

FIRST = [mark(f"Acme made my day {number}", ["Acme", "Globex"]) for number in range(40)]
SECOND = [
    plain("nothing"),
    *(mark(f"Globex lost bag {number} " + "again " * number, ["Globex"]) for number in range(30)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_brand_folder(tmp_path_factory.mktemp("brand"), exit_confidence={"sentiment": 0.8, "target": 0.8})


def assert_same(ours: Scores, theirs: Scores) -> None:
    for name, table in ours.heads.items():
        np.testing.assert_allclose(table, theirs.heads[name], atol=1e-4, err_msg=name)
    np.testing.assert_allclose(ours.target, theirs.target, atol=1e-4)


def on_another_thread(finish: Callable[[], Scores]) -> Scores:
    found: list[Scores] = []
    thread = threading.Thread(target=lambda: found.append(finish()))
    thread.start()
    thread.join(patience(60))
    return found[0]


@pytest.mark.parametrize("exit_policy", ["full", "early"])
@pytest.mark.parametrize("entries", [0, 3, 1_000])
def test_concurrent_calls_give_the_scores_of_separate_calls(folder: Path, exit_policy: Any, entries: int) -> None:
    scorer = OpenVinoScorer(folder, threads=2, precision="fp32", exit_policy=exit_policy)
    alone = [scorer.score(posts) for posts in (FIRST, SECOND)]
    scorer.settled = 0
    tried = CachingScorer(scorer, max_entries=entries) if entries else scorer
    assert isinstance(tried, PipelinedScorer)
    first, second = tried.begin(FIRST), tried.begin(SECOND)
    later, sooner = on_another_thread(second), on_another_thread(first)
    assert_same(sooner, alone[0])
    assert_same(later, alone[1])
    assert_same(tried.score(FIRST), alone[0])


def test_begin_returns_before_its_posts_are_scored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = OpenVinoScorer(folder, threads=2, precision="fp32")
    opens = threading.Event()
    work = Streams._run

    def held(self: Streams, inputs: Sequence[Any], keep: Callable[[Any], None]) -> None:
        assert opens.wait(patience(60))
        work(self, inputs, keep)

    monkeypatch.setattr(Streams, "_run", held)
    finish = scorer.begin(FIRST[:2])
    opens.set()
    assert finish().heads["sentiment"].shape == (2, 3)


def test_an_engine_without_begin_scores_in_the_first_step() -> None:
    scorer = load_scorer("keyword")
    assert not isinstance(scorer, PipelinedScorer)
    assert_same(begin(scorer, FIRST)(), scorer.score(FIRST))


def test_a_failed_batch_raises_only_in_its_own_call(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = OpenVinoScorer(folder, threads=2, precision="fp32")
    alone = scorer.score(SECOND)
    work = Streams._run
    broken: list[MarkedText] = list(FIRST)

    def failing(self: Streams, inputs: Sequence[Any], keep: Callable[[Any], None]) -> None:
        def fails(_request: Any) -> None:
            raise RuntimeError("kernel panic")

        work(self, inputs, fails if broken else keep)

    monkeypatch.setattr(Streams, "_run", failing)
    first = scorer.begin(FIRST)
    with pytest.raises(RuntimeError, match="kernel panic"):
        first()
    broken.clear()
    for _ in range(3):  # no stream is lost
        assert_same(scorer.begin(SECOND)(), alone)


@pytest.mark.parametrize("precision", ["fp32", "int8-onnxruntime"])
def test_large_calls_need_no_more_memory_than_the_first(precision: str) -> None:
    # In a process of its own: memory that other tests freed would hide allocations.
    code = """
import os
import sys
from brandpulse.runtime.process_memory import resident_bytes
from model.loader import load_scorer
from model.inputs.target_marking import mark, plain

def resident() -> int:
    return resident_bytes(os.getpid()) // 2**20

scorer = load_scorer("openvino", threads=2, precision=sys.argv[1])
for call in range(20):
    scorer.score([plain(f"the bag is lost again {call} {post}") for post in range(15)])
before = resident()
for texts in (["some words " * 12] * 80, ["a post of many words " * 40] * 40, ["Acme is late. " * 12] * 40):
    scorer.score([mark(f"{text} {number}", ["Acme"]) for number, text in enumerate(texts)])
print(resident() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, precision], capture_output=True, text=True, timeout=patience(120), check=True
    )
    assert int(done.stdout) < 15, "MB; it was 55"


def test_streams_queue_one_batch_more_than_they_run() -> None:
    number = ops.parameter([-1], np.float32)
    graph = ov.Model([ops.result(ops.add(number, np.float32(1)))], [number], "one more")
    streams = Streams(openvino_requests(graph, cpu_settings("f32", streams=2, threads=2), 2))
    opens, found = threading.Event(), []

    def keep(request: Any) -> None:
        assert opens.wait(patience(60))
        found.append(float(request.output(0)[0]))

    running = [streams.start([np.array([at], dtype=np.float32)], keep) for at in range(3)]
    handed = threading.Event()

    def one_more() -> None:
        running.append(streams.start([np.array([3], dtype=np.float32)], keep))
        handed.set()

    threading.Thread(target=one_more).start()
    assert not handed.wait(0.3)
    opens.set()
    assert handed.wait(patience(60))
    for batch in running:
        batch.result(patience(60))
    assert sorted(found) == [1, 2, 3, 4]
