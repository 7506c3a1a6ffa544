import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from model.checkpoints.multi_head import HeadsCheckpoint, load_heads
from model.cpu import precision_selection
from model.cpu.cpu_info import has_int8_instructions
from model.cpu.onnxruntime_requests import onnx_is_installed
from model.cpu.openvino_scorer import OpenVinoScorer
from model.cpu.precision_selection import (
    ONNXRUNTIME_INT8,
    best_precision,
    machine_key,
    measure_speeds,
    select_precision,
)
from tests.support.model.brand_weights import LAYERS, a_brand_folder

RANGES = {
    f"bert.encoder.layer.{layer}.{part}": (-4.0, 4.0)
    for layer in range(LAYERS)
    for part in ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense")
}
INT8_WINS = {"fp32": 100.0, "bf16": 90.0, "int8": 300.0}
FP32_WINS = {"fp32": 300.0, "bf16": 90.0, "int8": 100.0}
Trials = Callable[[dict[str, float] | None], list[str]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> HeadsCheckpoint:
    return load_heads(a_brand_folder(tmp_path_factory.mktemp("weights"), ranges=RANGES))


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Trials:
    """Replaces the measurement by fixed speeds; returns a list with one entry per measurement."""
    held: list[str] = []

    def find(speeds: dict[str, float] | None) -> list[str]:
        def trial(checkpoint: HeadsCheckpoint) -> dict[str, float] | None:
            held.append(checkpoint.manifest.version)
            return speeds

        monkeypatch.setattr(precision_selection, "measure_speeds", trial)
        return held

    return find


def test_a_restart_uses_the_precision_of_the_first_start(
    checkpoint: HeadsCheckpoint, tmp_path: Path, trials: Trials
) -> None:
    held = trials(INT8_WINS)
    assert select_precision(checkpoint, threads=2, cache=tmp_path / "deep" / "cache") == "int8"
    trials(FP32_WINS)
    assert select_precision(checkpoint, threads=2, cache=tmp_path / "deep" / "cache") == "int8"
    assert len(held) == 1


def test_of_two_concurrent_starts_the_first_write_wins(
    checkpoint: HeadsCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trial(checkpoint: HeadsCheckpoint) -> dict[str, float]:
        monkeypatch.setattr(precision_selection, "measure_speeds", lambda checkpoint: INT8_WINS)
        assert select_precision(checkpoint, threads=2, cache=tmp_path) == "int8"  # another worker at the same time
        return FP32_WINS

    monkeypatch.setattr(precision_selection, "measure_speeds", trial)
    assert select_precision(checkpoint, threads=2, cache=tmp_path) == "int8"


def test_other_weights_cores_or_packages_are_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, other = tmp_path / "plain", tmp_path / "other"
    plain.write_text("processor : 0\nmodel name : Some CPU\nflags : a b\n")
    other.write_text("processor : 0\nmodel name : Some CPU\nflags : a b avx512_vnni\n")
    named = tmp_path / "named"
    named.write_text("processor : 0\nmodel name : Another CPU\nflags : a b\n")
    keys = [
        machine_key("w1", 2, plain),
        machine_key("w2", 2, plain),
        machine_key("w1", 4, plain),
        machine_key("w1", 2, other),
        machine_key("w1", 2, named),
        machine_key("w1", 2, tmp_path / "none"),
    ]
    monkeypatch.setattr(precision_selection, "version", lambda package: "9999.1")
    keys.append(machine_key("w1", 2, plain))
    assert len(set(keys)) == len(keys)
    monkeypatch.undo()
    assert machine_key("w1", 2, plain) == keys[0]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"precision": "fp8"}', "\x00" * 99])
def test_a_damaged_cache_causes_one_warning_and_a_measurement(
    checkpoint: HeadsCheckpoint, tmp_path: Path, trials: Trials, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    trials(INT8_WINS)
    select_precision(checkpoint, threads=2, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text(content)
    with caplog.at_level(logging.WARNING):
        assert select_precision(checkpoint, threads=2, cache=tmp_path) == "int8"
    assert len(caplog.records) == 1
    assert json.loads(path.read_text())["precision"] == "int8"


def test_an_unwritable_cache_causes_one_warning(
    checkpoint: HeadsCheckpoint, tmp_path: Path, trials: Trials, caplog: pytest.LogCaptureFixture
) -> None:
    trials(INT8_WINS)
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        assert select_precision(checkpoint, threads=2, cache=tmp_path / "file" / "cache") == "int8"
    assert len(caplog.records) == 1


def test_without_time_to_measure_flags_decide_and_nothing_is_stored(
    checkpoint: HeadsCheckpoint, tmp_path: Path, trials: Trials
) -> None:
    trials(None)
    assert select_precision(checkpoint, threads=2, cache=tmp_path) in ("fp32", "int8", ONNXRUNTIME_INT8)
    assert not list(tmp_path.iterdir())
    assert measure_speeds(checkpoint, budget=-1.0) is None


@pytest.mark.parametrize(("with_bytes", "installed"), [(True, False), (False, True), (False, False)])
def test_missing_packages_for_faster_int8_are_logged_once(
    checkpoint: HeadsCheckpoint,
    trials: Trials,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    with_bytes: bool,
    installed: bool,
) -> None:
    trials(FP32_WINS)
    monkeypatch.setattr(precision_selection, "has_int8_instructions", lambda: with_bytes)
    monkeypatch.setattr(precision_selection, "onnx_is_installed", lambda: installed)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            select_precision(checkpoint, threads=2, cache=tmp_path)
    logged = [record for record in caplog.records if "brandpulse[int8]" in str(getattr(record, "remedy", ""))]
    assert len(logged) == int(not with_bytes and not installed)


@pytest.mark.parametrize(
    ("with_bytes", "installed", "precision"),
    [(True, True, "int8"), (True, False, "int8"), (False, True, ONNXRUNTIME_INT8), (False, False, "fp32")],
)
def test_flags_and_packages_decide_the_int8_engine(
    checkpoint: HeadsCheckpoint,
    trials: Trials,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    with_bytes: bool,
    installed: bool,
    precision: str,
) -> None:
    trials(None)
    monkeypatch.setattr(precision_selection, "has_int8_instructions", lambda: with_bytes)
    monkeypatch.setattr(precision_selection, "onnx_is_installed", lambda: installed)
    assert select_precision(checkpoint, threads=2, cache=tmp_path) == precision
    offered = precision_selection._candidates(checkpoint)
    assert (ONNXRUNTIME_INT8 in offered) == (precision == ONNXRUNTIME_INT8)
    assert offered[:3] == ["fp32", "bf16", "int8"]


@pytest.mark.parametrize(
    ("speeds", "precision"),
    [
        ({"fp32": 100, "bf16": 110, "int8": 114}, "fp32"),
        ({"fp32": 100, "bf16": 116, "int8": 120}, "bf16"),
        ({"fp32": 100, "bf16": 50, "int8": 116}, "int8"),
        ({"fp32": 100, "bf16": 200, "int8": 300}, "int8"),
        ({"fp32": 100, "bf16": 300, "int8": 200}, "bf16"),
        ({"fp32": 100}, "fp32"),
        ({"fp32": 100, "bf16": 20, "int8": 100, ONNXRUNTIME_INT8: 160}, ONNXRUNTIME_INT8),
        ({"fp32": 100, "bf16": 20, "int8": 150, ONNXRUNTIME_INT8: 160}, "int8"),
    ],
)
def test_a_less_exact_precision_must_be_clearly_faster(speeds: dict[str, float], precision: str) -> None:
    assert best_precision(speeds) == precision


def test_the_measurement_covers_the_supported_precisions(checkpoint: HeadsCheckpoint, tmp_path: Path) -> None:
    speeds = measure_speeds(checkpoint, budget=60.0)
    assert speeds is not None
    assert {"fp32", "bf16", "int8"} <= set(speeds) <= {"fp32", "bf16", "int8", ONNXRUNTIME_INT8}
    assert (ONNXRUNTIME_INT8 in speeds) == (onnx_is_installed() and not has_int8_instructions())
    assert all(speed > 0 for speed in speeds.values())
    without = measure_speeds(load_heads(a_brand_folder(tmp_path)), budget=60.0)
    assert without is not None
    assert set(without) == {"fp32", "bf16"}


def test_an_explicit_precision_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trials: Trials) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    held = trials(INT8_WINS)
    folder = a_brand_folder(tmp_path / "weights", ranges=RANGES)
    assert OpenVinoScorer(folder, threads=1, precision="fp32").name == "openvino fp32"
    assert not held
    assert OpenVinoScorer(folder, threads=1).name == "openvino int8"
    assert OpenVinoScorer(folder, threads=1).name == "openvino int8"
    assert len(held) == 1
