from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.training.data.corpus import CheckedTexts, check_sources, read_sources, read_texts
from model.training.data.custom_file import custom_rows, split
from model.training.fit.recipe import CustomFile, Source, Teacher, Unlabelled
from tests.support.model.training_data import a_recipe, write_rows


def post(text: str, label: str = "pos", **more: Any) -> dict[str, Any]:
    return {"text": text, "sentiment": label} | more


def checked(
    folder: Path, train: list[dict[str, Any]], validation: list[dict[str, Any]], *, tests: list[Path] | None = None
) -> CheckedTexts:
    write_rows(folder / "tiny.train.jsonl.gz", train)
    write_rows(folder / "tiny.val.jsonl.gz", validation)
    return check_sources(read_sources(folder, a_recipe()), tests or ())


def kept_texts(texts: CheckedTexts) -> list[str]:
    return [example.marked.text for _, examples, _ in texts.sources for example in examples]


def test_a_training_post_in_validation_is_left_out(tmp_path: Path) -> None:
    texts = checked(tmp_path, [post("Same post!"), post("another one")], [post("RT @someone same POST")])
    assert kept_texts(texts) == ["another one"]
    assert (texts.checked.rows, texts.checked.leaked, texts.checked.kept) == (2, 1, 1)


def test_a_training_post_in_a_test_set_is_left_out(tmp_path: Path) -> None:
    test = write_rows(tmp_path / "test.jsonl.gz", [post("kept apart")])
    texts = checked(tmp_path, [post("Kept apart."), post("another one")], [post("a third")], tests=[test])
    assert kept_texts(texts) == ["another one"]
    assert texts.checked.leaked == 1


def test_a_validation_post_in_a_test_set_stops_the_run(tmp_path: Path) -> None:
    test = write_rows(tmp_path / "test.jsonl.gz", [post("kept apart")])
    validation = [post("a third"), post("Kept apart."), post("a fourth"), post("kept apart http://x.y")]
    with pytest.raises(ConfigError, match=r"2 rows of the validation set tiny .*test\.jsonl\.gz.*lines 2, 4"):
        checked(tmp_path, [post("another one")], validation, tests=[test])


def test_empty_texts_are_left_out_and_counted(tmp_path: Path) -> None:
    texts = checked(tmp_path, [post(" \n"), post("another one")], [post("a third"), post("")])
    assert kept_texts(texts) == ["another one"]
    assert texts.checked.empty == 1
    assert len(texts.validation["tiny"]) == 1


def test_texts_in_two_sources_are_counted_and_used(tmp_path: Path) -> None:
    for name, text in (("one", "the same"), ("two", "The same!")):
        write_rows(tmp_path / f"{name}.train.jsonl.gz", [post(text), post(f"only in {name}")])
        write_rows(tmp_path / f"{name}.val.jsonl.gz", [post(f"to judge {name}")])
    texts = check_sources(read_sources(tmp_path, a_recipe(sources=(Source(names=("one",)), Source(names=("two",))))))
    assert (texts.checked.shared, texts.checked.kept) == (1, 4)


@pytest.mark.parametrize(("names", "kept"), [(("sentiment_semeval",), 2), (("sentiment_semeval", "target_semeval"), 1)])
def test_rows_of_the_target_validation_set_are_left_out(tmp_path: Path, names: tuple[str, ...], kept: int) -> None:
    for name in names:
        rows = [post("near copy", in_target_val=True), post("new")] if name == "sentiment_semeval" else []
        write_rows(tmp_path / f"{name}.train.jsonl.gz", rows)
        write_rows(tmp_path / f"{name}.val.jsonl.gz", [post(f"judged {name}")])
    assert check_sources(read_sources(tmp_path, a_recipe(sources=(Source(names=names),)))).checked.kept == kept


def test_near_copies_of_a_tested_target_set_are_left_out(tmp_path: Path) -> None:
    """`model leave-out` compares on a file of the target set that the recipe no longer names."""
    write_rows(tmp_path / "sentiment_semeval.train.jsonl.gz", [post("near copy", in_target_val=True), post("new")])
    write_rows(tmp_path / "sentiment_semeval.val.jsonl.gz", [post("judged")])
    test = write_rows(tmp_path / "target_semeval.posts.jsonl.gz", [post("a copy that is near")])
    texts = check_sources(read_sources(tmp_path, a_recipe(sources=(Source(names=("sentiment_semeval",)),))), [test])
    assert (texts.checked.kept, texts.checked.leaked) == (1, 1)


def test_a_limit_of_validation_rows_holds_for_every_reader(tmp_path: Path) -> None:
    write_rows(tmp_path / "tiny.train.jsonl.gz", [post("another post")])
    write_rows(tmp_path / "tiny.val.jsonl.gz", [post(f"post number {number}") for number in range(20)])
    drawn = [
        [example.marked.text for example in read_texts(tmp_path, recipe).validation["tiny"]]
        for recipe in (a_recipe(validation_rows=4, start_seed=9, seed=seed) for seed in (1, 2))
    ]
    assert len(drawn[0]) == 4
    assert drawn[0] == drawn[1]


def test_an_unknown_set_to_judge_by_is_named(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_rows(tmp_path / f"tiny.{part}.jsonl.gz", [post(f"a post of {part}")])
    with pytest.raises(ConfigError, match=r"judged_by\.other: unknown validation set; known sets are tiny"):
        read_texts(tmp_path, a_recipe(judged_by={"other": "sentiment_recall"}))


def test_unlabelled_posts_of_other_emoji_are_no_copies(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_rows(tmp_path / f"tiny.{part}.jsonl.gz", [post(f"a post of {part}")])
    (tmp_path / "posts.txt").write_text("😍\n👎\n😍\nSo good\nso GOOD!\n", encoding="utf-8")
    recipe = a_recipe(teacher=Teacher(), unlabelled=(Unlabelled(file="posts.txt"),))
    _, unlabelled = read_sources(tmp_path, recipe)
    assert [row["text"] for _, row in unlabelled.train] == ["😍", "👎", "So good"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tiny\.train\.jsonl\.gz"):
        read_sources(tmp_path, a_recipe())


def own_set(folder: Path, name: str, *, parts: tuple[str, ...]) -> None:
    for part in parts:
        write_rows(folder / f"{name}.{part}.jsonl.gz", [post(f"my own {name}, {part}")])


def test_a_set_missing_in_the_data_folder_is_read_from_the_package(tmp_path: Path) -> None:
    (source,) = read_sources(tmp_path, a_recipe(sources=(Source(names=("kinds",)),)))
    assert len(source.train) > 1000
    assert 50 < len(source.validation["kinds"]) < len(source.train) / 4


def test_a_set_in_the_data_folder_hides_the_shipped_one(tmp_path: Path) -> None:
    own_set(tmp_path, "kinds", parts=("train", "val"))
    (source,) = read_sources(tmp_path, a_recipe(sources=(Source(names=("kinds",)),)))
    assert [row["text"] for _, row in source.train] == ["my own kinds, train"]
    assert [row["text"] for _, row in source.validation["kinds"]] == ["my own kinds, val"]


@pytest.mark.parametrize(("own", "missing"), [("train", "val"), ("val", "train")])
def test_half_a_set_in_the_data_folder_is_a_config_error(tmp_path: Path, own: str, missing: str) -> None:
    own_set(tmp_path, "kinds", parts=(own,))
    with pytest.raises(ConfigError, match=rf"kinds\.{missing}\.jsonl\.gz"):
        read_sources(tmp_path, a_recipe(sources=(Source(names=("kinds",)),)))


def test_an_emoji_in_validation_keeps_other_emoji_in_training(tmp_path: Path) -> None:
    texts = checked(tmp_path, [post("😍"), post("@someone 🔥")], [post("👎", "neg")])
    assert kept_texts(texts) == ["😍", "@user 🔥"]


CSV = 'Body,Verdict,About\n"Great, really",5,Acme\nso so,3,Acme\nbad,1,Bolt\n'
MAPPED = {"Verdict": {"5": "positive", "3": "neutral", "1": "negative"}}


def test_a_csv_with_any_columns_is_converted(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(CSV, encoding="utf-8-sig")
    source = CustomFile(file="own.csv", text="Body", target="About", labels={"target": "Verdict"}, values=MAPPED)
    rows = custom_rows(tmp_path / "own.csv", source)
    assert rows[0] == (2, {"text": "Great, really", "target": "Acme", "target_sentiment": "positive"})
    assert [row["target_sentiment"] for _, row in rows] == ["positive", "neutral", "negative"]


def test_json_lines_with_any_fields_are_converted(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"body": "oh no", "angry": 1}\n\n{"body": "well", "angry": null}\n')
    source = CustomFile(file="own.jsonl", text="body", labels={"complaint": "angry"})
    assert custom_rows(tmp_path / "own.jsonl", source) == [(1, {"text": "oh no", "complaint": 1})]


@pytest.mark.parametrize(
    ("text", "settings", "told"),
    [
        (CSV, {"labels": {"sentiment": "Mark"}}, r"line 2: no column 'Mark'; the columns are Body, Verdict, About"),
        (CSV, {"labels": {"complaint": "Verdict"}}, r"line 2, Verdict: expected 0 or 1, got '5'"),
        (CSV, {"labels": {"mod": "Verdict"}}, r"own\.labels\.mod: unknown label; known labels are sentiment"),
        (CSV, {"labels": {"target": "Verdict"}}, r"own\.target: set the column"),
        ("Body,Verdict\none\n", {}, r"own\.csv, after line 0: a row with more or fewer columns"),
        ("Body,Verdict\n\xff", {}, r"own\.csv.*decode"),
    ],
)
def test_an_invalid_custom_file_is_a_config_error(
    tmp_path: Path, text: str, settings: dict[str, Any], told: str
) -> None:
    (tmp_path / "own.csv").write_bytes(text.encode("latin-1"))
    source = CustomFile(**{"file": "own.csv", "text": "Body", "labels": {"sentiment": "Verdict"}} | settings)
    with pytest.raises(ConfigError, match=told):
        custom_rows(tmp_path / "own.csv", source)


def test_an_unknown_label_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(CSV)
    own = CustomFile(file="own.csv", text="Body", labels={"sentiment": "Verdict"})
    with pytest.raises(ConfigError, match=r"own\.csv.*sentiment.*'5'"):
        check_sources(read_sources(tmp_path, a_recipe(sources=(), own=(own,))))


def test_a_split_is_stratified_and_keeps_copies_together() -> None:
    labels = ["common"] * 80 + ["rare"] * 20
    texts = [f"post number {at}" for at in range(100)] + ["Post number 0!", "RT post number 85"]
    labels += ["common", "rare"]
    order = np.random.default_rng(1).permutation(len(texts)).tolist()
    rows = [(texts[at], labels[at]) for at in order]
    train, held_out = split(rows, texts=[row[0] for row in rows], labels=[row[1] for row in rows], share=0.1, seed=13)
    counts = {
        label: len({text.strip("!").removeprefix("RT ").casefold() for text, its in held_out if its == label})
        for label in ("common", "rare")
    }
    assert counts == {"common": 8, "rare": 2}
    assert len(train) + len(held_out) == len(rows)
    for copy, original in (("Post number 0!", "post number 0"), ("RT post number 85", "post number 85")):
        held = [text for text, _ in held_out]
        assert (copy in held) == (original in held)


def test_a_rare_label_has_a_post_in_both_parts() -> None:
    rows = ["a", "b", "c", "d"]
    train, held_out = split(rows, texts=rows, labels=["x", "x", "y", "y"], share=0.1, seed=13)
    assert sorted("xy"["abcd".index(row) // 2] for row in held_out) == ["x", "y"]
    assert len(train) == 2


def test_a_limit_of_validation_rows_still_holds_all_texts_out(tmp_path: Path) -> None:
    rows = [{"text": f"post number {number}", "sentiment": "neg"} for number in range(20)]
    write_rows(tmp_path / "tiny.train.jsonl.gz", [*rows, {"text": "another post", "sentiment": "pos"}])
    write_rows(tmp_path / "tiny.val.jsonl.gz", rows)
    texts = check_sources(read_sources(tmp_path, a_recipe()), validation_limit=4)
    assert len(texts.validation["tiny"]) == 4
    assert (texts.checked.kept, texts.checked.leaked) == (1, 20)
