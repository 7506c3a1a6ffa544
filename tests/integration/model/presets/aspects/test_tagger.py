"""The tagger of aspect terms: trained, stored, and loaded without torch."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.presets.aspects.data import Sentence
from model.presets.aspects.tagger import Tagger
from tests.support.model.brand_weights import a_brand_folder

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

TERMS = ("soup", "waiter", "wine list", "terrace")
FILLERS = ("was", "cold", "and", "we", "liked", "nothing", "but", "very", "loud")


def some_sentences(count: int, seed: int) -> list[Sentence]:
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        terms = generator.permutation(TERMS)[:2].tolist()
        fill = generator.permutation(FILLERS)[:5].tolist()
        text = " ".join([fill[0], terms[0], fill[1], fill[2], terms[1], *fill[3:]])
        found.append(Sentence(text, dict.fromkeys(terms, "neutral")))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from model.presets.aspects.train_tagger import train_tagger
    from model.training.fit.recipe import Schedule

    # On a busy machine two threads would wait for each other at each of a thousand small products.
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("tagger")
    schedule = Schedule(name="t", epochs=6, batch_size=16, learning_rate=5e-3, warm_up=0.1, max_tokens=32, seed=13)
    base = a_brand_folder(place / "base")
    train_tagger(some_sentences(160, 1), place / "out", schedule=schedule, base=base, facts={"publish": True})
    return place / "out"


def found_in(tagger: Tagger, given: Sequence[Sentence]) -> list[bool]:
    spans = tagger.spans([sentence.text for sentence in given])
    return [found == sentence.spans() for found, sentence in zip(spans, given, strict=True)]


def test_trained_terms_are_found_in_new_sentences(folder: Path) -> None:
    right = found_in(Tagger(folder, threads=1), some_sentences(60, 2))

    assert np.mean(right) > 0.95


def test_other_texts_do_not_change_the_terms(folder: Path) -> None:
    tagger = Tagger(folder, threads=1)
    texts = [sentence.text for sentence in some_sentences(40, 3)] + ["", "soup " * 60, "👍"]

    together = tagger.spans(texts)

    assert together == [tagger.spans([text])[0] for text in texts]
    assert tagger.spans([]) == []


def test_terms_are_returned_as_written(folder: Path) -> None:
    assert Tagger(folder, threads=1).terms("Was  SOUP cold and wine&#32;list nothing") == ["SOUP", "wine list"]


def test_the_graph_computes_what_torch_does(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    from model.checkpoints.tensor_files import read_tensors
    from model.presets.aspects.tagger import tagger_graph
    from model.presets.aspects.train_tagger import TaggerNet

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = read_tensors(folder / "model.safetensors")
    net = TaggerNet(BertModel(BertConfig(**config), add_pooling_layer=False), config["hidden_size"]).eval()
    net.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    ids = np.random.default_rng(5).integers(1_000, 2_000, (3, 16)).astype(np.int32)
    mask = (np.arange(16) < np.array([[16], [9], [2]])).astype(np.float32)

    from model.cpu.openvino_core import openvino_core

    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    ours = openvino_core().compile_model(tagger_graph(tensors, config), "CPU", settings)([ids, mask])[0]
    with torch.inference_mode():
        theirs = net(torch.from_numpy(ids).long(), torch.from_numpy(mask).long()).numpy()

    assert np.abs(ours - theirs)[mask > 0].max() < 1e-3


def test_no_torch_is_needed_to_find_terms(folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from pathlib import Path; "
        "from model.presets.aspects.tagger import Tagger;"
        f"print(Tagger(Path({str(folder)!r}), threads=1).terms('was soup cold and terrace nothing'))"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "['soup', 'terrace']"


def test_similar_words_have_near_vectors(folder: Path) -> None:
    vector = Tagger(folder, threads=1).vector

    assert np.allclose(vector("soup waiter"), (vector("soup") + vector("waiter")) / 2, atol=1e-6)
    assert np.isfinite(vector("")).all()


def test_other_weights_are_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a tagger"):
        Tagger(a_brand_folder(tmp_path / "brand"))
    with pytest.raises(ConfigError, match="nowhere"):
        Tagger(tmp_path / "nowhere")
