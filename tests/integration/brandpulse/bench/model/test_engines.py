"""The bench of engines, each in a process of its own."""

from pathlib import Path

import pytest

from brandpulse.bench.model.engines import PEER, run
from model.loader import torch_is_installed


def test_the_bench_names_every_engine_and_its_speed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "posts.jsonl"
    data.write_text('{"text": "good morning"}\n{"text": "bad day"}\n')
    speeds = {speed.name: speed.posts_per_second for speed in run(data, posts=2, rounds=1, threads=1)}
    assert {"openvino fp32", "openvino bf16", "openvino int8"} <= speeds.keys()
    assert all(speed > 0 for speed in speeds.values())
    shown = capsys.readouterr().out
    assert (PEER in speeds) == torch_is_installed()
    assert "posts/s" in shown
