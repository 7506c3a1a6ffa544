"""`brandpulse model split` on invented posts."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from brandpulse.errors import ConfigError
from model.data.parts_manifest import file_hash, read_parts_manifest
from model.data.training_examples import read_rows
from model.training.fit.recipe import read_recipe
from model.training.parts.folder import split_folder
from model.training.parts.rule import RULES, SplitRule, find_rule
from model.training.parts.split import percentile

TOPICS = [f"Brand{number}" for number in range(40)]


def post(number: int, **more: Any) -> dict[str, Any]:
    topic = TOPICS[number % len(TOPICS)]
    return {
        "text": f"post {number} about {topic}",
        "target": topic,
        "target_sentiment": ("neg", "neu", "pos")[number % 3],
        "ts": f"2025-{number % 12 + 1:02}-03T10:00:00Z",
    } | more


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def rule(*parts: dict[str, Any], **more: Any) -> SplitRule:
    sets = {"reviews": {"topic": "target", "time": "ts"}}
    return SplitRule.model_validate({"sets": sets, "parts": parts} | more)


NEWEST = {"name": "newest", "of": "reviews", "since": "2025-11"}
TOPIC_PART = {"name": "topics", "of": "reviews", "topics": [0, 30]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write(folder, "reviews.train", [post(number) for number in range(240)])
    write(folder, "reviews.val", [post(1000)])
    return folder


def test_a_held_out_topic_has_no_row_in_the_training_file(data: Path, tmp_path: Path) -> None:
    split_folder(data, tmp_path / "out", rule(TOPIC_PART))
    held_out = {row["target"] for row in read_rows(tmp_path / "out" / "topics.val.jsonl.gz")}
    left = {row["target"] for row in read_rows(tmp_path / "out" / "reviews.train.jsonl.gz")}
    assert held_out == {topic for topic in TOPICS if percentile("topic", topic) < 30}
    assert held_out | left == set(TOPICS)
    assert not held_out & left


def test_rows_of_a_period_leave_the_training_file(data: Path, tmp_path: Path) -> None:
    manifest = split_folder(data, tmp_path / "out", rule({**NEWEST, "before": "2025-12"}, TOPIC_PART))
    assert {row["ts"][:7] for row in read_rows(tmp_path / "out" / "newest.val.jsonl.gz")} == {"2025-11"}
    assert (manifest.parts["newest"].first, manifest.parts["newest"].rows) == ("2025-11-03T10:00:00Z", 20)
    months = {row["ts"][:7] for row in read_rows(tmp_path / "out" / "reviews.train.jsonl.gz")}
    assert "2025-12" in months
    assert "2025-11" not in months


def test_each_row_is_in_exactly_one_file(data: Path, tmp_path: Path) -> None:
    split_folder(data, tmp_path / "out", rule(NEWEST, TOPIC_PART, {"name": "some", "of": "reviews", "posts": [0, 10]}))
    files = ("newest.val", "topics.val", "some.val", "reviews.train")
    texts = [row["text"] for name in files for row in read_rows(tmp_path / "out" / f"{name}.jsonl.gz")]
    assert sorted(texts) == sorted(row["text"] for row in read_rows(data / "reviews.train.jsonl.gz"))


def test_copies_of_a_part_leave_every_training_file(data: Path, tmp_path: Path) -> None:
    copied = next(post(number) for number in range(40) if percentile("topic", TOPICS[number]) < 30)
    other = {"text": "@someone " + copied["text"].upper(), "sentiment": "neg"}
    write(data, "whole.train", [other, {"text": "an unrelated post", "sentiment": "pos"}])
    removed = split_folder(data, tmp_path / "removed", rule(TOPIC_PART))
    assert [row["text"] for row in read_rows(tmp_path / "removed" / "whole.train.jsonl.gz")] == ["an unrelated post"]
    kept = split_folder(data, tmp_path / "kept", rule(TOPIC_PART, copies="kept"))
    assert len(read_rows(tmp_path / "kept" / "whole.train.jsonl.gz")) == 2
    assert removed.copied_texts == kept.copied_texts == {"reviews": 0, "whole": 1}


def test_equal_input_gives_equal_bytes_as_the_manifest_states(data: Path, tmp_path: Path) -> None:
    first = split_folder(data, tmp_path / "first", rule(TOPIC_PART))
    second = split_folder(data, tmp_path / "second", rule(TOPIC_PART))
    assert first == second == read_parts_manifest(tmp_path / "second")
    assert first.files["topics.val.jsonl.gz"].sha256 == file_hash(tmp_path / "second" / "topics.val.jsonl.gz")
    assert first.files["topics.val.jsonl.gz"].rows == first.parts["topics"].rows
    assert first.parts["topics"].topics == len([topic for topic in TOPICS if percentile("topic", topic) < 30])


def test_a_second_rule_leaves_no_part_of_the_first(data: Path, tmp_path: Path) -> None:
    split_folder(data, tmp_path / "out", rule(NEWEST))
    (tmp_path / "out" / "mine.val.jsonl.gz").write_bytes((data / "reviews.val.jsonl.gz").read_bytes())
    manifest = split_folder(data, tmp_path / "out", rule(TOPIC_PART))
    assert not (tmp_path / "out" / "newest.val.jsonl.gz").exists()
    assert (tmp_path / "out" / "mine.val.jsonl.gz").exists()
    assert "topics.val.jsonl.gz" in manifest.files


@pytest.mark.parametrize("since", ["2025-11-03T12", "'2025-11-03 12'", "2025-11-03 12:00:00"])
@pytest.mark.parametrize("separator", ["T", " "])
def test_an_hour_is_compared_alike_in_each_form(tmp_path: Path, since: str, separator: str) -> None:
    times = [f"2025-11-03{separator}{hour}:00:00Z" for hour in ("08", "12", "16")]
    write(tmp_path / "data", "reviews.train", [post(number, ts=time) for number, time in enumerate(times)])
    path = tmp_path / "rule.yaml"
    path.write_text(f"sets: {{reviews: {{time: ts}}}}\nparts: [{{name: newest, of: reviews, since: {since}}}]")
    split_folder(tmp_path / "data", tmp_path / "out", read_recipe(path, SplitRule))
    assert [row["ts"] for row in read_rows(tmp_path / "out" / "newest.val.jsonl.gz")] == times[1:]


@pytest.mark.parametrize("time", ["2025/11/05", "20251105", "1762300800", "2025-1-5", "5.11.2025"])
def test_a_time_of_another_order_is_named(tmp_path: Path, time: str) -> None:
    write(tmp_path / "data", "reviews.train", [post(1), post(2, ts=time)])
    with pytest.raises(ConfigError, match=f"line 2: ts: expected a time such as 2015-10-05T12:00, got '{time}'"):
        split_folder(tmp_path / "data", tmp_path / "out", rule(NEWEST))


@pytest.mark.parametrize("time", ["2025", "2025-11-05", "2025-11-05 10:00:00+00:00", "2025-11-05T10:00:00.123Z"])
def test_a_time_in_the_order_of_its_text_is_read(tmp_path: Path, time: str) -> None:
    write(tmp_path / "data", "reviews.train", [post(10), post(11), post(2, ts=time)])
    assert split_folder(tmp_path / "data", tmp_path / "out", rule(NEWEST)).sets["reviews"].without_time == 0


def test_a_topic_with_half_a_surrogate_pair_is_drawn_like_others(data: Path, tmp_path: Path) -> None:
    write(data, "reviews.train", [post(number) for number in range(240)] + [post(1, target="Bro\ud83dken")])
    manifest = split_folder(data, tmp_path / "out", rule(TOPIC_PART))
    assert manifest.parts["topics"].rows + manifest.sets["reviews"].kept == 241


def test_another_seed_draws_other_topics(data: Path, tmp_path: Path) -> None:
    drawn = [
        {row["target"] for row in read_rows(tmp_path / seed / "topics.val.jsonl.gz")}
        for seed in ("one", "two")
        if split_folder(data, tmp_path / seed, rule(TOPIC_PART, seed=seed))
    ]
    assert drawn[0] != drawn[1]


def test_an_own_csv_file_becomes_a_standard_set(tmp_path: Path) -> None:
    lines = ["Body,Product,Verdict,Date,Channel"]
    lines += [f"text {n},Product{n % 9},bad,2026-0{n % 3 + 1}-05,{'shop' if n % 2 else 'web'}" for n in range(60)]
    (tmp_path / "tickets.csv").write_text("\n".join(lines), encoding="utf-8")
    tickets = {
        **{"file": "tickets.csv", "text": "Body", "target": "Product", "labels": {"target": "Verdict"}},
        **{"values": {"Verdict": {"bad": "negative"}}, "topic": "Product", "time": "Date"},
    }
    parts = [
        {"name": "newest", "of": "tickets", "since": "2026-03"},
        {"name": "shop", "of": "tickets", "where": {"Channel": ["shop"]}},
    ]
    given = SplitRule.model_validate({"sets": {"tickets": tickets}, "parts": parts})
    manifest = split_folder(tmp_path, tmp_path / "out", given)
    row = read_rows(tmp_path / "out" / "newest.val.jsonl.gz")[0]
    expected = {"text": "text 2", "target_sentiment": "negative", "target": "Product2", "ts": "2026-03-05"}
    assert row == expected
    assert {name: part.kind for name, part in manifest.parts.items()} == {"newest": "time", "shop": "column"}
    assert manifest.parts["shop"].rows == 20


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"ts": "yesterday"}, r"reviews\.train\.jsonl\.gz, line 2: ts: expected a time .*'yesterday'"),
        ({"target": 7}, r"line 2: target: expected a topic as text, got 7"),
        ({"text": None}, r"line 2: expected an object with a text"),
    ],
)
def test_an_unreadable_row_is_named_by_line_and_value(row: dict[str, Any], expected: str, tmp_path: Path) -> None:
    write(tmp_path / "data", "reviews.train", [post(1), post(2, **row)])
    with pytest.raises(ConfigError, match=expected):
        split_folder(tmp_path / "data", tmp_path / "out", rule(NEWEST))
    assert not (tmp_path / "out").exists()


def test_a_part_without_rows_is_an_error_with_the_dates(data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"parts\.newest: takes no row of reviews\. .*from 2025-01-03.* to 2025-12-03"
    ):
        split_folder(data, tmp_path / "out", rule({**NEWEST, "since": "2026-01"}))


def test_a_missing_column_is_an_error_with_the_known_ones(data: Path, tmp_path: Path) -> None:
    wrong = SplitRule.model_validate({"sets": {"reviews": {"topic": "brand"}}, "parts": [TOPIC_PART]})
    with pytest.raises(ConfigError, match=r"sets\.reviews\.topic: no row has the column 'brand'.*target_sentiment"):
        split_folder(data, tmp_path / "out", wrong)


def test_the_folder_of_the_data_is_never_overwritten(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--out"):
        split_folder(data, data, rule(NEWEST))
    write(tmp_path / "mine", "other.train", [post(1)])
    with pytest.raises(ConfigError, match=r"it holds files but no parts\.json"):
        split_folder(data, tmp_path / "mine", rule(NEWEST))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("parts: [{name: a, of: b, posts: [0, 5]}]\nsets: {c: {}}", r"parts\.a\.of: unknown set 'b'; known are c"),
        ("parts: [{name: a, of: c, topics: [0, 5]}]\nsets: {c: {}}", r"parts\.a\.topics: set `topic`"),
        ("parts: [{name: a, of: c, since: 2015}]\nsets: {c: {}}", r"parts\.a\.since: set `time`"),
        ("parts: [{name: a, of: c, posts: [5, 5]}]\nsets: {c: {}}", r"posts: expected \[from, below\)"),
        ("parts: [{name: a, of: c, postz: [5, 5]}]\nsets: {c: {}}", r"parts\.0\.postz is not a setting .*are name, of"),
        ("parts: [{name: a, of: c}, {name: a, of: c}]\nsets: {c: {}}", r"the name 'a' occurs twice"),
        ("parts: []\nsets: {c: {}}", r"parts: set at least one"),
    ],
)
def test_an_invalid_rule_is_an_error_that_names_the_field(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=expected):
        read_recipe(path, SplitRule)


def test_an_unknown_rule_is_an_error_with_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match=r"'nothing' is neither a file nor a shipped rule \(.*semeval"):
        find_rule("nothing")


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_shipped_rule_is_valid(path: Path) -> None:
    assert read_recipe(path, SplitRule).parts
