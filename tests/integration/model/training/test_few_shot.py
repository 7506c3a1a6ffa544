import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from brandpulse.cli.model.model import app
from brandpulse.errors import ConfigError
from model.loader import torch_is_installed
from model.training.fit.recipe import FewShotRecipe, find_recipe, read_recipe
from tests.support.model.helpdesk_posts import JUDGE, LEARN
from tests.support.model.training_data import a_tiny_encoder

pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")


def a_table(path: Path, posts: dict[str, list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["Subject", "Queue"])
        table.writerows((post, label) for label, several in posts.items() for post in several)
    return path


def a_recipe(**changes: object) -> FewShotRecipe:
    return read_recipe(find_recipe("fewshot"), FewShotRecipe).model_copy(update=changes)


def test_eight_examples_per_label_are_enough(tmp_path: Path) -> None:
    import torch

    from model.training.few_shot import CustomLabelClassifier, few_shot, read_examples
    from model.training.fit.initial_weights import default_base

    torch.set_num_threads(1)
    try:
        base = default_base()
    except ConfigError:
        pytest.skip("the encoder's package is not installed")
    examples = read_examples(a_table(tmp_path / "learn.csv", LEARN), text="Subject", label="Queue")
    judged = read_examples(
        a_table(tmp_path / "judge.csv", JUDGE), text="Subject", label="Queue", labels=examples.labels
    )
    recall = few_shot(examples, tmp_path / "out", recipe=a_recipe(pairs=4), base=base, held_out=judged)
    assert recall is not None
    assert recall >= 0.8  # by chance: 0.33
    said = CustomLabelClassifier(tmp_path / "out").probabilities(judged.texts)
    assert np.allclose(said.sum(axis=1), 1, atol=1e-5)


def test_transformers_reads_the_few_shot_folder(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    from model.training.few_shot import CustomLabelClassifier, few_shot, read_examples

    examples = read_examples(a_table(tmp_path / "learn.csv", LEARN), text="Subject", label="Queue")
    few_shot(examples, tmp_path / "out", recipe=a_recipe(pairs=1), base=a_tiny_encoder(tmp_path / "base"))
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert model.config.id2label == {0: "billing", 1: "delivery", 2: "login"}
    assert CustomLabelClassifier(tmp_path / "out").labels == ("billing", "delivery", "login")


def test_the_command_prints_the_label_of_each_line(tmp_path: Path) -> None:
    learn, out = a_table(tmp_path / "learn.csv", LEARN), tmp_path / "out"
    options = ["--text", "Subject", "--label", "Queue", "--base", str(a_tiny_encoder(tmp_path / "base"))]
    ran = CliRunner().invoke(app, ["few-shot", "--data", str(learn), "--out", str(out), *options])
    assert ran.exit_code == 0, ran.output
    ran = CliRunner().invoke(app, ["label", "--weights", str(out)], input="where is it\nwhat a fee\n")
    assert [line.split("  ")[2] for line in ran.stdout.splitlines()] == ["where is it", "what a fee"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("a", "x"), ("b", "x"), ("c", "y")],
            r"at least two labels with at least two posts each, got {'x': 2, 'y': 1}",
        ),
        ([("Same!", "x"), ("b", "x"), ("same", "y"), ("d", "y")], r"lines 2 and 4: one text has two labels, x and y"),
    ],
)
def test_unusable_examples_are_a_config_error(tmp_path: Path, rows: list[tuple[str, str]], message: str) -> None:
    from model.training.few_shot import read_examples

    path = tmp_path / "learn.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    with pytest.raises(ConfigError, match=message):
        read_examples(path, text="text", label="label")


def test_pairs_are_balanced_for_each_example() -> None:
    from model.training.few_shot import example_pairs

    gold = np.array([0, 0, 0, 1, 1, 2, 2])
    pairs = example_pairs(gold, 3, np.random.default_rng(1))
    assert len(pairs) == 7 * 6
    assert all((gold[one] == gold[other]) == bool(like) and one != other for one, other, like in pairs)
