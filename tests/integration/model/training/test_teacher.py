"""A teacher: another encoder, which learns with frozen layers and reads the mean of its tokens."""

import json
from pathlib import Path

import pytest

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import load_heads
from model.inputs.target_marking import plain
from model.loader import load_scorer, torch_is_installed
from model.training.fit.recipe import find_recipe, read_recipe
from tests.support.model.training_data import (
    BAD,
    GOOD,
    PLAIN,
    a_data_folder,
    a_recipe,
    a_tiny_encoder,
    a_tiny_mpnet,
    sentiment_rows,
    write_rows,
)

pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")

TEACHER = {"exit_weight": 0.0, "pooling": "mean", "frozen_layers": 1, "heads_rate": 2.0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from model.training.run import train

    folder = tmp_path_factory.mktemp("teacher")
    recipe = a_recipe(**TEACHER)
    train(a_data_folder(folder / "data"), folder / "out", recipe=recipe, base=a_tiny_mpnet(folder / "base"))
    return folder / "out"


def test_a_trained_teacher_classifies_in_torch(trained: Path) -> None:
    said = load_scorer("torch", trained, threads=1).score([plain(" ".join(words[:3])) for words in (BAD, PLAIN, GOOD)])
    assert said.heads["sentiment"].argmax(axis=1).tolist() == [0, 1, 2]


def test_frozen_layers_keep_their_weights(trained: Path) -> None:
    from safetensors.torch import load_file

    snapshots = sorted((trained.with_name("out.run") / "snap").iterdir())
    first, last = load_file(snapshots[0]), load_file(snapshots[-1])
    changed = {name.rpartition(".")[0] for name in first if not first[name].equal(last[name])}
    frozen = [name for name in changed if name.startswith(("bert.embeddings", "bert.encoder.layer.0."))]
    assert frozen == []
    assert any(name.startswith("bert.encoder.layer.1.") for name in changed)
    assert "heads.out.sentiment" in changed


def test_a_teacher_has_neither_early_heads_nor_int8_ranges(trained: Path) -> None:
    manifest = json.loads((trained / "model.json").read_text())
    assert (manifest["exit_layer"], manifest["ranges"]) == (0, {})


def test_another_engine_refuses_a_teacher_with_the_reason(trained: Path) -> None:
    with pytest.raises(ConfigError, match="only torch runs them"):
        load_scorer("openvino", trained, threads=1, precision="fp32")


def test_an_export_refuses_a_teacher_with_the_reason(trained: Path) -> None:
    from model.graphs.onnx_packed import packed_onnx_model
    from model.graphs.onnx_padded import padded_onnx_model

    for graph in (packed_onnx_model, padded_onnx_model):
        with pytest.raises(ConfigError, match="only torch runs them"):
            graph(load_heads(trained))


def test_a_mean_does_not_depend_on_the_padding(trained: Path) -> None:
    scorer = load_scorer("torch", trained, threads=1)
    short, long = plain("lovely great"), plain(" ".join(["platform nine monday"] * 8))
    alone = scorer.score([short]).heads["sentiment"][0]
    assert scorer.score([short, long]).heads["sentiment"][0] == pytest.approx(alone, abs=1e-5)


def test_more_frozen_layers_than_the_encoder_has_are_refused(tmp_path: Path) -> None:
    from model.training.run import train

    recipe, data = a_recipe(frozen_layers=9), a_data_folder(tmp_path / "data")
    with pytest.raises(ConfigError, match="frozen_layers: 9, but the encoder has 4 layers"):
        train(data, tmp_path / "out", recipe=recipe, base=a_tiny_encoder(tmp_path / "base"))


def test_posts_of_a_held_out_set_are_not_trained_on(tmp_path: Path) -> None:
    from model.training.run import prepare

    data = a_data_folder(tmp_path / "data")
    base = a_tiny_encoder(tmp_path / "base")
    write_rows(data / "unseen.val.jsonl.gz", sentiment_rows(240, seed=1)[:50])
    before = prepare(data, a_recipe(), base=base).texts
    after = prepare(data, a_recipe(held_out=("unseen",)), base=base).texts
    assert len(after.validation["unseen"]) == 50
    assert before.checked.kept - after.checked.kept == 50


def test_a_missing_held_out_set_is_named(tmp_path: Path) -> None:
    from model.training.run import prepare

    with pytest.raises(ConfigError, match=r"held_out: .*absent\.val\.jsonl\.gz"):
        prepare(a_data_folder(tmp_path / "data"), a_recipe(held_out=("absent",)), base=tmp_path / "base")


def test_the_heads_learn_at_a_multiple_of_the_rate(tmp_path: Path) -> None:
    from model.training.fit.initial_weights import initial_network
    from model.training.fit.loop import _optimisers, _set_rate

    recipe = a_recipe(heads_rate=5.0, warm_up=0.0)
    model = initial_network(a_tiny_encoder(tmp_path / "base"), (), seed=1).model
    optimisers = _optimisers(model, recipe, sparse=False)
    _set_rate(optimisers, recipe, 0, 100)
    rates = {round(group["lr"] / recipe.learning_rate, 6) for one in optimisers for group in one.param_groups}
    assert rates == {1.0, 5.0}


def test_the_shipped_recipe_of_the_teacher_is_valid() -> None:
    from model.training.fit.recipe import HeadsRecipe

    recipe = read_recipe(find_recipe("teacher"), HeadsRecipe)
    assert (recipe.pooling, recipe.exit_weight, recipe.epochs) == ("mean", 0.0, 1)
    assert set(recipe.judged_by) <= set(recipe.held_out)
