import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.checkpoints.whole_post import load_whole_post, truncating_tokenizer, write_manifest
from model.cpu.cpu_info import available_cores, has_int8_instructions
from model.cpu.openvino_classifier import OpenVinoClassifier
from model.inference.scorer import Classifier
from model.inputs.token_batches import LENGTHS, token_batches
from model.spec.weights import WHOLE_POST_WEIGHTS
from tests.support.model.check_posts import CHECK_POSTS

TEXTS = [text for text, _ in CHECK_POSTS]


@pytest.fixture(scope="module")
def int8() -> Classifier:
    return OpenVinoClassifier(WHOLE_POST_WEIGHTS, threads=2, precision="int8")


def test_auto_precision_depends_only_on_the_processors_flags() -> None:
    wanted = "openvino int8" if has_int8_instructions() else "openvino fp32"
    assert OpenVinoClassifier(WHOLE_POST_WEIGHTS, threads=1).name == wanted


def test_int8_support_is_read_from_the_processors_flags(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    for flags, fast in (("fpu avx512_vnni", True), ("fpu avx_vnni sse", True), ("fpu avx512f", False)):
        info.write_text(f"processor: 0\nflags\t\t: {flags}\n")
        assert has_int8_instructions(info) is fast
    assert not has_int8_instructions(tmp_path / "none")


@pytest.mark.skipif(available_cores() < 2, reason="one core is every core")
def test_no_engine_thread_is_pinned_to_a_core() -> None:
    # In a process of its own: this one has the threads of other engines.
    code = """
import os, threading
from model.loader import load_scorer
from model.inputs.target_marking import plain
engine = load_scorer("openvino", None, None)
working = threading.Thread(target=engine.score, args=[[plain(f"{n} some words about it") for n in range(600)]])
working.start()
seen = set()
while working.is_alive():
    for thread in os.listdir("/proc/self/task"):
        try:
            seen.add(len(os.sched_getaffinity(int(thread))))
        except OSError:
            pass
print(seen)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str({len(os.sched_getaffinity(0))})


def test_other_posts_in_a_batch_do_not_change_a_label(int8: Classifier) -> None:
    together = int8.probabilities(TEXTS).argmax(axis=1)
    alone = [int(int8.probabilities([text]).argmax()) for text in TEXTS]
    assert together.tolist() == alone


@pytest.fixture
def openvino() -> OpenVinoClassifier:
    return OpenVinoClassifier(WHOLE_POST_WEIGHTS, threads=2, precision="fp32")


def test_int8_gives_the_check_posts_the_labels_of_fp32(openvino: Classifier, int8: Classifier) -> None:
    exact, short = openvino.probabilities(TEXTS), int8.probabilities(TEXTS)
    assert exact.argmax(axis=1).tolist() == short.argmax(axis=1).tolist()
    assert np.abs(exact - short).mean() < 0.06


def test_int8_has_its_own_version(openvino: Classifier, int8: Classifier) -> None:
    assert int8.version == f"{openvino.version}-int8"


def test_int8_without_measured_ranges_is_a_config_error(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(WHOLE_POST_WEIGHTS, tmp_path / "weights"))
    write_manifest(folder, replace(load_whole_post(folder).manifest, ranges={}))
    with pytest.raises(ConfigError, match="no ranges for int8"):
        OpenVinoClassifier(folder, threads=1, precision="int8")


def test_the_temperature_of_the_manifest_divides_the_logits(tmp_path: Path, openvino: Classifier) -> None:
    folder = Path(shutil.copytree(WHOLE_POST_WEIGHTS, tmp_path / "weights"))
    manifest = load_whole_post(folder).manifest
    write_manifest(folder, replace(manifest, temperature=2 * manifest.temperature))
    warm = OpenVinoClassifier(folder, threads=1, precision="fp32").probabilities(TEXTS[:3])
    roots = np.sqrt(openvino.probabilities(TEXTS[:3]))
    np.testing.assert_allclose(warm, roots / roots.sum(axis=1, keepdims=True), atol=0.02)


def test_scoring_releases_the_gil(openvino: Classifier) -> None:
    turns = 0
    scoring = threading.Event()
    done = threading.Event()

    def count() -> None:
        nonlocal turns
        scoring.wait()
        while not done.is_set():
            turns += 1

    thread = threading.Thread(target=count)
    thread.start()
    scoring.set()
    openvino.probabilities(TEXTS * 4)
    done.set()
    thread.join()
    assert turns > 1_000


def test_calls_of_any_size_use_few_shapes() -> None:
    tokenizer = truncating_tokenizer(WHOLE_POST_WEIGHTS / "tokenizer.json", max_tokens=128)
    texts = ["word " * (number % 130) for number in range(300)]
    calls = [texts[at : at + 1 + at % 70] for at in range(300)]
    shapes = {batch.ids.shape for call in calls for batch in token_batches(call, tokenizer, batch_size=32, streams=2)}
    assert len(shapes) <= 6 * len(LENGTHS)  # each shape costs OpenVINO some MB
