"""The network in onnxruntime equals that in OpenVINO; int8 costs little accuracy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import HeadsCheckpoint, load_heads
from model.cpu import openvino_scorer
from model.cpu.inference_streams import cpu_settings, openvino_requests
from model.cpu.onnxruntime_requests import onnx_is_installed, onnx_requests
from model.cpu.openvino_scorer import OpenVinoScorer
from model.graphs.onnx_packed import packed_onnx_model
from model.graphs.openvino_multihead import multi_head_graph
from model.inference.scorer import Scores
from model.inputs.packed_batches import packed_batches
from model.inputs.target_marking import mark, plain
from model.loader import load_classifier
from model.spec.weights import WEIGHTS
from tests.integration.model.cpu.test_precision_selection import RANGES
from tests.support.model.brand_weights import EXIT_LAYER, WIDTH, a_brand_folder
from tests.support.model.check_posts import CHECK_POSTS

pytestmark = pytest.mark.skipif(not onnx_is_installed(), reason="onnx and onnxruntime are not installed")

LENGTHS = [3, 9, 17, 5, 30, 1, 12]
TEXTS = [text for text, _ in CHECK_POSTS]
POSTS = [*map(plain, TEXTS), *(mark(f"Acme {text}", ["Acme", "Globex"]) for text in TEXTS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_brand_folder(tmp_path_factory.mktemp("weights"), ranges=RANGES)


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> HeadsCheckpoint:
    return load_heads(folder)


def a_batch(*, states: bool) -> Sequence[Any]:
    rng = np.random.default_rng(3)
    [batch, *_] = packed_batches(LENGTHS, [[length // 2] for length in LENGTHS], limit=48)
    begin: list[Any] = [rng.integers(0, 30_000, batch.positions.shape, dtype=np.int32), batch.positions]
    if states:
        begin = [rng.standard_normal((*batch.positions.shape, WIDTH)).astype(np.float32)]
    return [*begin, batch.segments, batch.wanted, batch.firsts, batch.marks]


@pytest.mark.parametrize("from_sentiment", [True, False])
@pytest.mark.parametrize(("first", "last"), [(0, None), (0, EXIT_LAYER), (EXIT_LAYER - 1, None), (0, 1)])
def test_each_part_of_the_network_equals_openvino(
    tmp_path: Path, first: int, last: int | None, from_sentiment: bool
) -> None:
    checkpoint = load_heads(a_brand_folder(tmp_path, from_sentiment=from_sentiment))
    batch = a_batch(states=first > 0)
    [ours] = onnx_requests(packed_onnx_model(checkpoint, first=first, last=last), 1)
    [theirs] = openvino_requests(
        multi_head_graph(checkpoint, first=first, last=last), cpu_settings("f32", streams=1, threads=1), 1
    )
    ours.infer(batch)
    theirs.infer(batch)
    for number in range(2 if last is None else 3):
        assert np.abs(theirs.output(number)).max() > 0.01
        np.testing.assert_allclose(ours.output(number), theirs.output(number), atol=1e-4)


def test_requests_of_one_session_keep_their_own_outputs(checkpoint: HeadsCheckpoint) -> None:
    first, second = onnx_requests(packed_onnx_model(checkpoint), 2)
    batch = a_batch(states=False)
    first.infer(batch)
    before = first.output(0).copy()
    second.infer([np.zeros_like(batch[0]), *batch[1:]])
    np.testing.assert_array_equal(first.output(0), before)
    assert np.abs(second.output(0) - before).max() > 1e-3


def test_onnxruntime_int8_gives_the_check_posts_the_labels_of_fp32() -> None:
    exact, short = (
        OpenVinoScorer(WEIGHTS, threads=2, precision=precision).score(POSTS)
        for precision in ("fp32", "int8-onnxruntime")
    )
    assert labels(short) == labels(exact)
    for name in ("sentiment", "emotion"):
        assert 1e-4 < np.abs(short.heads[name] - exact.heads[name]).max() < 0.15


def test_other_posts_do_not_change_a_posts_labels() -> None:
    scorer = OpenVinoScorer(WEIGHTS, threads=2, precision="int8-onnxruntime", exit_policy="early")
    together = scorer.score(POSTS)
    assert [labels(scorer.score([post]))[0] for post in POSTS] == labels(together)[: len(POSTS)]


def labels(scores: Scores) -> list[int]:
    return [*scores.heads["sentiment"].argmax(axis=1).tolist(), *scores.target.argmax(axis=1).tolist()]


def test_the_engine_has_its_own_name_and_version(folder: Path) -> None:
    exact = OpenVinoScorer(folder, threads=3, precision="fp32")
    short = OpenVinoScorer(folder, threads=3, precision="int8-onnxruntime")
    assert short.name == "onnxruntime int8"
    assert short.version == f"{exact.version}-int8-onnxruntime"


def test_missing_packages_are_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no ranges for int8"):
        OpenVinoScorer(a_brand_folder(tmp_path), threads=1, precision="int8-onnxruntime")
    with pytest.raises(ConfigError, match="one head do not support int8-onnxruntime"):
        load_classifier("openvino", WEIGHTS.parent / "minilm-sentiment", 1, precision="int8-onnxruntime")
    monkeypatch.setattr(openvino_scorer, "onnx_is_installed", lambda: False)
    with pytest.raises(ConfigError, match=r"pip install 'brandpulse\[int8\]'"):
        OpenVinoScorer(folder, threads=1, precision="int8-onnxruntime")
