"""LoRA, distillation, masked words and MLflow on small encoders."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.inputs.target_marking import plain
from model.loader import load_scorer, torch_is_installed
from model.training.fit.recipe import CustomFile, Lora, MlmRecipe, Teacher
from tests.support.model.training_data import a_data_folder, a_recipe, a_tiny_encoder, sentiment_rows, write_rows

pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder, and packed weights trained on it in `teacher`."""
    from model.training.run import train

    folder = tmp_path_factory.mktemp("world")
    a_data_folder(folder / "data")
    train(folder / "data", folder / "teacher", recipe=a_recipe(languages=("en",)), base=a_tiny_encoder(folder / "base"))
    return folder


def sentiments(weights: Path, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    scorer = load_scorer("openvino", weights, threads=1, precision="fp32")
    return scorer.score([plain(text) for text in texts]).heads["sentiment"]


def test_adapters_train_few_weights_and_leave_plain_tensors(world: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    from model.training.fit import lora
    from model.training.fit.initial_weights import packed_model

    model = packed_model(world / "teacher")
    plain_names = set(model.state_dict())
    lora.add_adapters(model, Lora(rank=2, alpha=4))
    counts = lora.count_weights(model.bert)
    assert 0 < counts["trained"] < 0.02 * counts["all"]
    assert set(lora.merged_weights(model)) == plain_names


def test_merged_adapters_give_the_same_answers(world: Path) -> None:
    pytest.importorskip("peft")
    import torch

    from model.training.fit import lora
    from model.training.fit.initial_weights import packed_model

    model = packed_model(world / "teacher").eval()
    lora.add_adapters(model, Lora(rank=2, alpha=4))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    ids = torch.tensor([[101, 2785, 8403, 102]])
    inputs = ids, torch.ones_like(ids), torch.zeros((0, 2), dtype=torch.long)
    merged = packed_model(world / "teacher").eval()
    before = merged(*inputs)[0]["sentiment"]
    merged.load_state_dict(lora.merged_weights(model))
    assert torch.allclose(merged(*inputs)[0]["sentiment"], model(*inputs)[0]["sentiment"], atol=1e-5)
    assert not torch.allclose(merged(*inputs)[0]["sentiment"], before, atol=1e-2)


def test_adapters_train_packed_weights_on_custom_words(world: Path, tmp_path: Path) -> None:
    """Words that are new to the weights; other heads stay unchanged."""
    pytest.importorskip("peft")
    from model.checkpoints.multi_head import load_heads
    from model.training.run import train

    words = {"good": ["zig", "zag", "zog"], "meh": ["flim", "flam", "flum"], "bad": ["wib", "wob", "wub"]}
    generator = np.random.default_rng(3)
    labels = [["good", "meh", "bad"][at % 3] for at in range(180)]
    texts = [" ".join(generator.permutation(words[label])) + f" {at}" for at, label in enumerate(labels)]
    (tmp_path / "own.csv").write_text("post,mark\n" + "".join(f"{t},{m}\n" for t, m in zip(texts, labels, strict=True)))
    own = CustomFile(
        file="own.csv",
        text="post",
        labels={"sentiment": "mark"},
        values={"mark": {"good": "positive", "meh": "neutral", "bad": "negative"}},
    )
    recipe = a_recipe(
        sources=(),
        own=(own,),
        weights={"sentiment": 1.0},
        lora=Lora(rank=4),
        judged_by={"own": "sentiment_recall"},
        epochs=6,
    )
    train(tmp_path, tmp_path / "out", recipe=recipe, base=world / "teacher")
    gold = [{"bad": 0, "meh": 1, "good": 2}[label] for label in labels]
    before, after = (sentiments(folder, texts).argmax(axis=1) for folder in (world / "teacher", tmp_path / "out"))
    assert (before == gold).mean() < 0.6
    assert (after == gold).mean() > 0.9
    kept, was = (load_heads(folder).manifest for folder in (tmp_path / "out", world / "teacher"))
    assert kept.temperatures["target"] == was.temperatures["target"]
    # The recipe sets no languages: those of the weights are kept.
    assert kept.languages == was.languages == ("en",)


def test_a_distilled_student_agrees_more_with_its_teacher(world: Path, tmp_path: Path) -> None:
    """The teacher is trained; a third of the few labels for both students is wrong."""
    from model.training.run import train

    generator = np.random.default_rng(7)
    for part, count, seed in (("train", 150, 11), ("val", 60, 12)):
        rows = sentiment_rows(count, seed)
        for row in rows:
            if part == "train" and generator.random() < 0.6:
                row["sentiment"] = "neu"
        write_rows(tmp_path / f"tiny.{part}.jsonl.gz", rows)
    settings = {"layers": (0, 2), "weights": {"sentiment": 1.0, "target": 1.0}, "exit_weight": 0.0, "epochs": 10}
    base = a_tiny_encoder(tmp_path / "base")
    train(tmp_path, tmp_path / "labels", recipe=a_recipe(**settings), base=base)
    taught = a_recipe(**settings, teacher=Teacher(weight=1.0, labels=0.1))
    train(tmp_path, tmp_path / "taught", recipe=taught, base=base, teacher=world / "teacher")
    texts = [row["text"] for row in sentiment_rows(90, seed=21)]
    teacher = sentiments(world / "teacher", texts)
    far = {name: np.abs(sentiments(tmp_path / name, texts) - teacher).mean() for name in ("labels", "taught")}
    assert far["taught"] < 0.5 * far["labels"]
    assert load_scorer("openvino", tmp_path / "taught", threads=1).score([plain("x")]).heads["sentiment"].shape == (
        1,
        3,
    )


def test_teacher_and_recipe_setting_must_be_set_together(world: Path, tmp_path: Path) -> None:
    from model.training.run import train

    with pytest.raises(ConfigError, match="teacher"):
        train(world / "data", tmp_path / "out", recipe=a_recipe(teacher=Teacher()), base=world / "base")


MASKED = MlmRecipe(
    name="tiny-mlm", epochs=12, batch_size=16, learning_rate=5e-3, warm_up=0.1, max_tokens=32, seed=13, validation=0.1
)


def test_an_encoder_learns_masked_words(tmp_path: Path) -> None:
    from model.training.masked_lm import adapt

    posts = tmp_path / "posts.txt"
    posts.write_text("\n".join(row["text"] for row in sentiment_rows(200, seed=1)))
    base = a_tiny_encoder(tmp_path / "base", layers=1)
    before, after = adapt([posts], tmp_path / "out", recipe=MASKED, base=base)
    assert after < before - 2  # nats a word; the vocabulary's ln 30522 is 10.3
    from model.training.fit.initial_weights import initial_network

    assert initial_network(tmp_path / "out", ["😡"], seed=1).model.bert.config.num_hidden_layers == 1


def test_masking_skips_special_tokens_and_keeps_the_share() -> None:
    from model.training.masked_lm import mask_tokens

    generator = np.random.default_rng(1)
    ids = generator.integers(1000, 30000, size=(200, 50))
    ids[:, 0], ids[:, -1] = 101, 102
    shown, gold = mask_tokens(ids, 0.15, generator, mask=103, special=[0, 101, 102], words=30522)
    asked = gold != -100
    assert abs(asked[:, 1:-1].mean() - 0.15) < 0.01
    assert not asked[:, [0, -1]].any()
    assert (shown[~asked] == ids[~asked]).all()
    assert (gold[asked] == ids[asked]).all()
    assert abs((shown[asked] == 103).mean() - 0.8) < 0.03
    assert abs((shown[asked] == ids[asked]).mean() - 0.1) < 0.03


def test_posts_of_a_test_set_are_not_adapted_to(tmp_path: Path) -> None:
    from model.training.masked_lm import distinct_texts

    (tmp_path / "posts.txt").write_text("one post\nkept apart!\none post\n\n")
    test = write_rows(tmp_path / "test.jsonl.gz", [{"text": "Kept apart", "sentiment": "neu"}])
    assert distinct_texts([tmp_path / "posts.txt"], [test]) == ["one post"]


def test_a_resumed_run_continues_its_mlflow_run(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    from model.training.fit.mlflow_tracking import tracked
    from model.training.fit.progress_log import log_progress

    out = tmp_path / "out"
    out.mkdir()
    (out / "training.json").write_text("{}")
    for step in (50, 100):
        with tracked("local", name="tiny", settings={"epochs": 2}, out=out):
            log_progress("step", step=step, of=100, loss=3.0 / step, rows_per_second=70.0)
    log_progress("step", step=150, of=100, loss=0.0, rows_per_second=70.0)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("brandpulse").experiment_id])
    assert [(one.value, one.step) for one in client.get_metric_history(run.info.run_id, "loss")] == [
        (0.06, 50),
        (0.03, 100),
    ]
    assert run.data.params["epochs"] == "2"
    [artifact] = (tmp_path / "mlruns").rglob("training.json")
    assert artifact.read_text() == "{}"
