import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import load_heads
from model.inputs.target_marking import mark, plain
from model.loader import load_classifier, load_scorer, torch_is_installed
from model.spec.options import Engine
from model.spec.weights import MULTI_HEAD
from tests.support.model.training_data import (
    BAD,
    GOOD,
    PLAIN,
    a_data_folder,
    a_recipe,
    a_tiny_encoder,
    sentiment_rows,
    target_rows,
)

pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")


WEIGHTS = ("weight", "bias")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of one short run on all labelled heads."""
    from model.training.run import train

    folder = tmp_path_factory.mktemp("trained")
    recipe = a_recipe(fitted_offsets=("sentiment",))
    train(a_data_folder(folder / "data"), folder / "out", recipe=recipe, base=a_tiny_encoder(folder / "base"))
    return folder / "out"


def test_the_report_of_a_run_contains_its_fitted_offsets(trained: Path) -> None:
    report = json.loads((trained / "training.json").read_text(encoding="utf-8"))
    assert report["fitted_offsets"].keys() == {"sentiment"}


def test_a_new_model_adds_the_sentiment_of_the_post_to_the_target(trained: Path) -> None:
    assert load_heads(trained).from_sentiment


def test_a_trained_model_classifies_in_the_serving_engine(trained: Path) -> None:
    scorer = load_scorer("openvino", trained, threads=1, precision="fp32")
    said = scorer.score([plain(" ".join(words[:3])) for words in (BAD, PLAIN, GOOD)])
    assert said.heads["sentiment"].argmax(axis=1).tolist() == [0, 1, 2]


def test_a_trained_model_distinguishes_targets(trained: Path) -> None:
    scorer = load_scorer("openvino", trained, threads=1, precision="fp32")
    rows = target_rows(40, seed=3)
    posts = [mark(row["text"], ["Acme", "Bolt"]) for row in rows[::2]]
    gold = [{"neg": 0, "pos": 2}[row["target_sentiment"]] for row in rows]
    assert (scorer.score(posts).target.argmax(axis=1) == gold).mean() > 0.9


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_an_untrained_head_gives_no_answer(trained: Path, engine: Engine) -> None:
    scorer = load_scorer(engine, trained, threads=1, precision="fp32")
    assert set(scorer.heads) == {"sentiment", "target"}
    assert scorer.score([plain("lovely great")]).heads.keys() == {"sentiment"}


def test_a_sentiment_only_run_is_packed_as_whole_post_weights(tmp_path: Path) -> None:
    from model.training.run import train

    recipe = a_recipe(weights={"sentiment": 1.0}, exit_weight=0.0)
    version = train(
        a_data_folder(tmp_path / "data"), tmp_path / "out", recipe=recipe, base=a_tiny_encoder(tmp_path / "base")
    )
    classifier = load_classifier("openvino", tmp_path / "out", threads=1, precision="fp32")
    gold = [{"neg": 0, "neu": 1, "pos": 2}[row["sentiment"]] for row in sentiment_rows(30, seed=5)]
    said = classifier.probabilities([row["text"] for row in sentiment_rows(30, seed=5)])
    assert (said.argmax(axis=1) == gold).mean() > 0.9
    assert classifier.version == version


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_sentiment_only_run_answers_alike_packed_and_in_training(tmp_path: Path, pooling: str) -> None:
    """Whole-post weights read the first token: weights that read the mean must not be packed as such."""
    from model.training.run import train

    recipe = a_recipe(weights={"sentiment": 1.0}, exit_weight=0.0, pooling=pooling)
    train(a_data_folder(tmp_path / "data"), tmp_path / "out", recipe=recipe, base=a_tiny_encoder(tmp_path / "base"))
    said = load_classifier("torch", tmp_path / "out", threads=1).probabilities(
        [row["text"] for row in sentiment_rows(60, seed=2)]
    )
    gold = [{"neg": 0, "neu": 1, "pos": 2}[row["sentiment"]] for row in sentiment_rows(60, seed=2)]
    report = json.loads((tmp_path / "out" / "training.json").read_text(encoding="utf-8"))
    recall = np.mean([(said.argmax(axis=1)[np.array(gold) == label] == label).mean() for label in range(3)])
    assert recall == pytest.approx(report["full"]["tiny"]["sentiment_recall"], abs=1e-3)
    assert (json.loads((tmp_path / "out" / "model.json").read_text()).get("kind") == MULTI_HEAD) is (pooling == "mean")


def test_a_sentiment_only_run_is_stored_as_its_recipe_asks(tmp_path: Path) -> None:
    from model.training.run import train

    data, base = a_data_folder(tmp_path / "data"), a_tiny_encoder(tmp_path / "base")
    for stored in ("float16", "int8"):
        recipe = a_recipe(weights={"sentiment": 1.0}, exit_weight=0.0, epochs=1, average=1, stored=stored)
        train(data, tmp_path / stored, recipe=recipe, base=base)
    sizes = [sum(tensor.nbytes for tensor in _layers(tmp_path / stored)) for stored in ("float16", "int8")]
    assert sizes[1] < 0.75 * sizes[0]


def _layers(weights: Path) -> list[np.ndarray[Any, Any]]:
    from safetensors.numpy import load_file

    return [tensor for name, tensor in load_file(weights / "model.safetensors").items() if ".layer." in name]


def test_a_run_without_sentiment_labels_predicts_no_sentiment(tmp_path: Path) -> None:
    from model.training.run import train

    recipe = a_recipe(weights={"target": 1.0}, judged_by={"tiny": "target_recall"}, epochs=1, average=1)
    train(a_data_folder(tmp_path / "data"), tmp_path / "out", recipe=recipe, base=a_tiny_encoder(tmp_path / "base"))
    tensors = load_heads(tmp_path / "out").tensors
    assert not any(tensors[f"{side}.out.sentiment.{part}"].any() for side in ("heads", "exit") for part in WEIGHTS)
    assert tensors["heads.out.target.weight"].any()


def test_a_stalled_run_stops_and_uses_its_best_snapshot(tmp_path: Path) -> None:
    """The metric falls after the third snapshot: the next two are trained and left out."""
    from model.training.multi_head_task import HeadsTask
    from model.training.run import train

    figures = iter([0.5, 0.6, 0.7, 0.65, 0.6])
    recipe = a_recipe(patience=2, epochs=9, weights={"sentiment": 1.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HeadsTask, "figure", lambda task: next(figures))
        train(a_data_folder(tmp_path / "data"), tmp_path / "out", recipe=recipe, base=a_tiny_encoder(tmp_path / "base"))
    assert len(list((tmp_path / "out.run" / "snap").iterdir())) == 5
    tried = json.loads((tmp_path / "out" / "training.json").read_text())["candidates"]
    assert [candidate["weights"] for candidate in tried] == ["last", "mean of last 2", "mean of last 3"]


def test_a_missing_validation_set_is_named_before_training(tmp_path: Path) -> None:
    from model.training.run import train

    recipe = a_recipe(judged_by={"other": "sentiment_recall"})
    with pytest.raises(ConfigError, match=r"judged_by\.other: unknown validation set; known sets are tiny"):
        train(a_data_folder(tmp_path / "data"), tmp_path / "out", recipe=recipe, base=tmp_path / "base")
