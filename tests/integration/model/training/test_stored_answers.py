"""A teacher's answers: stored once, and learnt by students with another tokenizer, with and without labels."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.data.training_examples import Example
from model.inputs.target_marking import MarkedText, mark, plain
from model.loader import load_scorer, torch_is_installed
from model.training.fit.recipe import HeadsRecipe, Teacher, Unlabelled, find_recipe, read_recipe
from tests.support.model.training_data import (
    a_data_folder,
    a_recipe,
    a_tiny_encoder,
    a_tiny_mpnet,
    sentiment_rows,
    write_rows,
)

pytestmark = pytest.mark.skipif(not torch_is_installed(), reason="torch and transformers are not installed")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder, a trained teacher with another encoder, and its answers for the training posts."""
    from model.training.distillation.answer_writer import store_answers
    from model.training.run import train

    folder = tmp_path_factory.mktemp("world")
    a_data_folder(folder / "data")
    recipe = a_recipe(exit_weight=0.0, pooling="mean", epochs=2, average=1)
    train(folder / "data", folder / "teacher", recipe=recipe, base=a_tiny_mpnet(folder / "mpnet"))
    store_answers(folder / "teacher", folder / "answers", data=folder / "data", recipe=recipe, shard=100)
    a_tiny_encoder(folder / "base")
    return folder


def sentiments(weights: Path, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return load_scorer("torch", weights, threads=1).score([plain(text) for text in texts]).heads["sentiment"]


def encoded(world: Path, texts: list[MarkedText], max_tokens: int = 32) -> tuple[Any, list[Any]]:
    from model.training.data.batches import encode_examples
    from model.training.distillation.stored_answers import StoredAnswers
    from model.training.fit.initial_weights import tokenizer_of

    answers = StoredAnswers(world / "answers")
    tokenizer = tokenizer_of((world / "teacher" / "tokenizer.json").read_text(encoding="utf-8"))
    return answers, encode_examples([Example(text, {}) for text in texts], tokenizer, max_tokens, answers.row)


def test_stored_answers_are_those_of_the_teacher(world: Path) -> None:
    rows = sentiment_rows(30, seed=1)
    answers, batch = encoded(world, [plain(row["text"]) for row in rows])
    logits = answers.logits(batch)["sentiment"]
    expected = sentiments(world / "teacher", [row["text"] for row in rows])
    temperature = json.loads((world / "teacher" / "model.json").read_text())["temperatures"]["sentiment"]
    assert np.allclose((logits / temperature).softmax(dim=1).numpy(), expected, atol=2e-3)


def test_each_marker_has_the_answer_for_its_own_place(world: Path) -> None:
    from tests.support.model.training_data import target_rows

    texts = [row["text"] for row in target_rows(120, seed=1)[:20:2]]
    marked = [mark(text, ["Acme", "Bolt"]) for text in texts]
    answers, batch = encoded(world, marked)
    expected = load_scorer("torch", world / "teacher", threads=1).score(marked).target
    ours = answers.logits(batch)["target"].argmax(dim=1).numpy().reshape(-1, 2)
    order = [text.mentions for text in marked]
    by_target = np.array(
        [[row[numbers.index(0)], row[numbers.index(1)]] for row, numbers in zip(ours, order, strict=True)]
    )
    assert (by_target.reshape(-1) == expected.argmax(axis=1)).all()


def test_a_text_without_an_answer_gives_nan(world: Path) -> None:
    answers, batch = encoded(world, [plain("never answered"), plain(sentiment_rows(1, seed=1)[0]["text"])])
    assert answers.logits(batch)["sentiment"].isnan().any(dim=1).tolist() == [True, False]


def test_heads_that_the_teacher_lacks_are_not_stored(world: Path) -> None:
    from model.training.distillation.stored_answers import StoredAnswers

    assert set(StoredAnswers(world / "answers").manifest.heads) == {"sentiment", "target"}


def test_a_killed_pass_continues_after_its_last_shard(world: Path, tmp_path: Path) -> None:
    from model.training.distillation import answer_writer
    from model.training.distillation.stored_answers import read_answers_manifest, shard_paths

    settings: dict[str, Any] = {"data": world / "data", "recipe": a_recipe(), "shard": 100}
    written = []
    with pytest.MonkeyPatch.context() as patch:

        def stop_after_two(out: Path, number: int, tensors: Any) -> None:
            if number == 2:
                raise KeyboardInterrupt
            written.append(number)
            write(out, number, tensors)

        write = answer_writer._write_shard
        patch.setattr(answer_writer, "_write_shard", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            answer_writer.store_answers(world / "teacher", tmp_path / "out", **settings)
    assert not read_answers_manifest(tmp_path / "out").complete
    before = [path.stat().st_mtime_ns for path in shard_paths(tmp_path / "out")]
    manifest = answer_writer.store_answers(world / "teacher", tmp_path / "out", **settings)
    after = [path.stat().st_mtime_ns for path in shard_paths(tmp_path / "out")]
    assert (written, after[:2]) == ([0, 1], before)
    assert manifest.complete
    assert manifest.texts == read_answers_manifest(world / "answers").texts


def test_a_removed_shard_is_answered_again_beside_the_others(world: Path, tmp_path: Path) -> None:
    from model.training.distillation.answer_writer import store_answers
    from model.training.distillation.stored_answers import read_keys, shard_paths

    shutil.copytree(world / "answers", tmp_path / "out")
    expected = read_keys(tmp_path / "out")
    shard_paths(tmp_path / "out")[0].unlink()
    store_answers(world / "teacher", tmp_path / "out", data=world / "data", recipe=a_recipe())
    assert read_keys(tmp_path / "out") == expected


def test_a_run_is_not_resumed_with_another_teachers_answers(world: Path, tmp_path: Path) -> None:
    from model.training.run import train

    shutil.copytree(world / "answers", tmp_path / "answers")
    settings: dict[str, Any] = {"recipe": a_recipe(teacher=Teacher(), epochs=1, average=1), "base": world / "base"}
    train(world / "data", tmp_path / "out", teacher=tmp_path / "answers", **settings)
    manifest = json.loads((tmp_path / "answers" / "answers.json").read_text())
    (tmp_path / "answers" / "answers.json").write_text(json.dumps(manifest | {"version": "another"}))
    with pytest.raises(ConfigError, match="contains a run with another recipe, base or data"):
        train(world / "data", tmp_path / "out", teacher=tmp_path / "answers", **settings)


def test_answers_of_other_weights_are_refused(world: Path, tmp_path: Path) -> None:
    from model.training.distillation.answer_writer import store_answers
    from model.training.run import train

    train(world / "data", tmp_path / "other", recipe=a_recipe(epochs=1, average=1), base=world / "base")
    with pytest.raises(ConfigError, match="contains answers of weights tiny, version"):
        store_answers(tmp_path / "other", world / "answers", data=world / "data", recipe=a_recipe())


def test_a_damaged_shard_is_named(world: Path, tmp_path: Path) -> None:
    from model.training.distillation.stored_answers import StoredAnswers

    (tmp_path / "answers.json").write_text((world / "answers" / "answers.json").read_text())
    (tmp_path / "answers-00000.safetensors").write_bytes(b"broken")
    with pytest.raises(ConfigError, match=r"answers-00000\.safetensors cannot be read"):
        StoredAnswers(tmp_path)


def test_a_teacher_with_another_tokenizer_needs_stored_answers(world: Path, tmp_path: Path) -> None:
    from model.training.run import prepare

    text = (world / "teacher" / "tokenizer.json").read_text(encoding="utf-8")
    description = json.loads(text)
    words = description["model"]["vocab"]
    words["train"], words["notice"] = words["notice"], words["train"]
    (world / "base" / "tokenizer.json").write_text(json.dumps(description), encoding="utf-8")
    try:
        with pytest.raises(ConfigError, match="brandpulse model answers"):
            prepare(world / "data", a_recipe(teacher=Teacher()), base=world / "base", teacher=world / "teacher")
    finally:
        a_tiny_encoder(world / "base")


def test_a_student_learns_from_stored_answers(world: Path, tmp_path: Path) -> None:
    """60 % of the few labels are wrong; the answers are those of the trained teacher."""
    from model.training.distillation.answer_writer import store_answers
    from model.training.run import train

    generator = np.random.default_rng(7)
    for part, count, seed in (("train", 150, 11), ("val", 60, 12)):
        rows = sentiment_rows(count, seed)
        for row in rows:
            if part == "train" and generator.random() < 0.6:
                row["sentiment"] = "neu"
        write_rows(tmp_path / f"tiny.{part}.jsonl.gz", rows)
    settings: dict[str, Any] = {
        "weights": {"sentiment": 1.0, "target": 1.0},
        "exit_weight": 0.0,
        "epochs": 16,
        "layers": (0, 2),
    }
    store_answers(world / "teacher", tmp_path / "answers", data=tmp_path, recipe=a_recipe(**settings))
    train(tmp_path, tmp_path / "labels", recipe=a_recipe(**settings), base=world / "base")
    taught = a_recipe(**settings, teacher=Teacher(weight=1.0, labels=0.1))
    train(tmp_path, tmp_path / "taught", recipe=taught, base=world / "base", teacher=tmp_path / "answers")
    texts = [row["text"] for row in sentiment_rows(90, seed=21)]
    teacher = sentiments(world / "teacher", texts).argmax(axis=1)
    equal = {
        name: (sentiments(tmp_path / name, texts).argmax(axis=1) == teacher).mean() for name in ("labels", "taught")
    }
    assert equal["taught"] > equal["labels"] + 0.15, equal


def test_unlabelled_posts_train_with_answers_only(world: Path, tmp_path: Path) -> None:
    from model.training.distillation.answer_writer import store_answers
    from model.training.run import prepare

    posts = [row["text"] for row in sentiment_rows(40, seed=31)]
    held_out = sentiment_rows(1, seed=2)[0]["text"]  # also in the validation part
    data = a_data_folder(tmp_path / "data")
    (data / "posts.txt").write_text("\n".join([*posts, posts[0].upper(), held_out, ""]))
    (data / "more.txt").write_text("never answered\n")
    recipe = a_recipe(teacher=Teacher(), unlabelled=(Unlabelled(file="posts.txt", share=2.0),))
    store_answers(world / "teacher", tmp_path / "answers", data=data, recipe=recipe)
    recipe = recipe.model_copy(update={"unlabelled": (*recipe.unlabelled, Unlabelled(file="more.txt"))})
    labelled, ours, unanswered = prepare(data, recipe, base=world / "base", teacher=tmp_path / "answers").sources
    assert all(row.gold or row.mentions for row in labelled.bare)
    assert len(ours.bare) == len(posts)
    assert not any(row.gold for row in ours.bare)
    assert unanswered.bare == []


def test_texts_of_a_test_file_are_not_answered(world: Path, tmp_path: Path) -> None:
    from model.training.distillation.answer_writer import store_answers

    (tmp_path / "posts.txt").write_text("one post\nkept apart!\none post\n\n")
    test = write_rows(tmp_path / "test.jsonl.gz", [{"text": "Kept apart", "sentiment": "neu"}])
    manifest = store_answers(world / "teacher", tmp_path / "out", files=[tmp_path / "posts.txt"], tests=[test])
    assert manifest.texts == 1


def test_unlabelled_posts_without_a_teacher_are_refused() -> None:
    with pytest.raises(ValueError, match="unlabelled: posts without labels need a teacher"):
        a_recipe(unlabelled=(Unlabelled(file="posts.txt"),))


def test_a_limited_pass_answers_the_posts_of_a_limited_run(world: Path, tmp_path: Path) -> None:
    from model.training.distillation.answer_writer import store_answers
    from model.training.run import prepare

    settings: dict[str, Any] = {"data": world / "data", "recipe": a_recipe(seed=4, start_seed=9), "rows": 100}
    store_answers(world / "teacher", tmp_path / "out", **settings)
    recipe = a_recipe(seed=5, start_seed=9, teacher=Teacher())
    [source] = prepare(world / "data", recipe, base=world / "base", teacher=tmp_path / "out", rows=100).sources
    assert all(row.answer >= 0 for row in source.bare)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 80, 160), (1.0, 220, 260)])
def test_posts_without_an_answer_are_used_by_share(
    world: Path, tmp_path: Path, share: float, least: int, most: int
) -> None:
    """About a third of 360 posts are answered."""
    from model.training.distillation.answer_writer import store_answers
    from model.training.multi_head_task import HeadsTask
    from model.training.run import prepare

    recipe = a_recipe(teacher=Teacher(unanswered=share))
    store_answers(world / "teacher", tmp_path / "out", data=world / "data", recipe=recipe, rows=200)
    ready = prepare(world / "data", recipe, base=world / "base", teacher=tmp_path / "out")
    task = HeadsTask(ready.start.model, recipe, ready.sources, ready.validation, ready.teacher)
    rows = [row for batch in task.batches(0) for row in batch]
    assert sum(row.answer >= 0 for row in rows) >= 100
    assert least <= sum(row.answer < 0 for row in rows) <= most


def test_the_shipped_recipe_is_judged_by_parts_that_choose() -> None:
    recipe = read_recipe(find_recipe("brand-distilled"), HeadsRecipe)
    trained = {name for source in recipe.sources for name in source.names}
    chosen = {name.removesuffix("+words") for name in recipe.judged_by}
    assert recipe.teacher is not None
    assert all(name.endswith("_choose") or name in trained for name in chosen)
    assert not chosen & {"sentiment_semeval", "target_semeval"}
