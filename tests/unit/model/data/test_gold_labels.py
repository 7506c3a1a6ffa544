import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from model.data.gold_labels import GoldRows, read_gold
from model.spec.options import Task


def a_file(folder: Path, rows: Sequence[dict[str, Any] | str]) -> Path:
    path = folder / "rows.jsonl"
    lines = [row if isinstance(row, str) else json.dumps({"text": "a post"} | row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(folder: Path, task: Task, rows: Sequence[dict[str, Any]], labels: Sequence[str] | None = None) -> GoldRows:
    return read_gold(a_file(folder, rows), task, labels)


@pytest.mark.parametrize(
    ("task", "rows", "head", "labels", "values"),
    [
        ("sentiment", [{"sentiment": "pos"}, {"sentiment": "neg"}], "sentiment", ("negative", "positive"), [1, 0]),
        ("sentiment", [{"sentiment": "positive"}, {"sentiment": "neu"}], "sentiment", ("neutral", "positive"), [1, 0]),
        (
            "target_sentiment",
            [{"target": "Aerolux", "target_sentiment": "irr"}, {"target_sentiment": "neg"}],
            "target",
            ("negative", "irrelevant"),
            [1, 0],
        ),
        ("emotion", [{"emotion": "joy"}, {"emotion": "anger"}], "mood", ("anger", "joy"), [1, 0]),
        ("emotion", [{"emotion": "joy"}, {"emotion": "fear"}], "emotion", ("fear", "joy"), [1, 0]),
        ("emotion", [{"emotions": ["joy", "fear"]}, {"emotions": []}], "emotion", ("fear", "joy"), [[1, 1], [0, 0]]),
        ("complaint", [{"complaint": 1}, {"complaint": 0}], "risk", ("0", "1"), [1, 0]),
        ("crisis", [{"disaster": 1}, {"disaster": False}], "risk", ("0", "1"), [1, 0]),
        ("crisis", [{"info": "related"}, {"info": "informative"}], "risk", ("0", "1"), [0, 1]),
        ("sarcasm", [{"irony": 1}], "sarcasm", ("0", "1"), [1]),
        ("sarcasm", [{"sarcasm": 0}], "sarcasm", ("0", "1"), [0]),
    ],
)
def test_a_task_finds_its_labels(
    tmp_path: Path, task: Task, rows: list[dict[str, Any]], head: str, labels: tuple[str, ...], values: list[Any]
) -> None:
    gold = read(tmp_path, task, rows)
    assert (gold.head, gold.labels, gold.values.tolist()) == (head, labels, values)


@pytest.mark.parametrize(("field", "label"), [("disaster", "crisis"), ("info", "informative")])
def test_a_crisis_file_is_compared_with_its_own_label(tmp_path: Path, field: str, label: str) -> None:
    gold = read(tmp_path, "crisis", [{field: 1 if field == "disaster" else "informative"}])
    assert gold.field.label == label


def test_short_labels_select_rows(tmp_path: Path) -> None:
    rows = [{"target_sentiment": label} for label in ("neg", "irr", "neu", "irr")]
    gold = read(tmp_path, "target_sentiment", rows, ["neg", "neutral", "pos"])
    assert gold.labels == ("negative", "neutral", "positive")
    assert (gold.values.tolist(), gold.lines, gold.left_out) == ([0, 1], (1, 3), 2)


def test_only_requested_emotions_are_evaluated(tmp_path: Path) -> None:
    gold = read(tmp_path, "emotion", [{"emotions": ["joy", "fear"]}, {"emotions": ["love"]}], ["joy", "love"])
    assert (gold.labels, gold.values.tolist(), gold.left_out) == (("joy", "love"), [[1, 0], [0, 1]], 0)


def test_blank_lines_are_skipped_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = a_file(tmp_path, ["", {"sentiment": "neg"}, "  ", {"sentiment": "pos"}])
    assert read_gold(path, "sentiment").lines == (2, 4)


def test_a_gzipped_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    plain = a_file(tmp_path, [{"sentiment": "neg"}])
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_gold(packed, "sentiment").labels == ("negative",)


@pytest.mark.parametrize(
    ("task", "rows", "labels", "told"),
    [
        ("sentiment", [{"sentiment": "neg"}, {"sentiment": "meh"}], None, ["line 2", "sentiment", "'meh'"]),
        ("sentiment", [{"sentiment": "irr"}], None, ["line 1", "sentiment", "'irr'"]),
        ("sentiment", [{"sentiment": ["neg"]}], None, ["line 1", "sentiment", "['neg']"]),
        ("sentiment", [{"target": "x"}], None, ["line 1", "sentiment: missing", "target"]),
        ("target_sentiment", [{"target_sentiment": "neg", "target": 7}], None, ["line 1", "target", "7"]),
        ("complaint", [{"complaint": 1}, {"complaint": 2}], None, ["line 2", "complaint", "2"]),
        ("complaint", [{"complaint": "1"}], None, ["line 1", "complaint", "'1'"]),
        ("crisis", [{"info": 1}], None, ["line 1", "info", "1"]),
        ("crisis", [{"disaster": 1}, {"info": "informative"}], None, ["line 2", "disaster: missing"]),
        ("emotion", [{"emotions": "joy"}], None, ["line 1", "emotions", "'joy'"]),
        ("emotion", [{"emotions": ["joy", "glee"]}], None, ["line 1", "emotions", "'glee'"]),
        ("emotion", [{"emotions": []}], None, ["no row with a label"]),
        ("sentiment", [], None, ["no labelled rows"]),
        ("sentiment", ["{broken"], None, ["line 1", "not JSON", "rows.jsonl"]),
        ("sentiment", ['{"sentiment": "neg"}'], None, ["line 1", "text"]),
        ("sentiment", [{"sentiment": "neg"}], ["neg", "bad"], ["--labels", "'bad'"]),
        ("sentiment", [{"sentiment": "neg"}], ["neg"], ["--labels", "at least two"]),
        ("sentiment", [{"sentiment": "neg"}], ["neu", "pos"], ["no row with a label among neutral, positive"]),
    ],
)
def test_invalid_input_names_file_line_field_and_value(
    tmp_path: Path, task: Task, rows: list[Any], labels: list[str] | None, told: list[str]
) -> None:
    with pytest.raises(ValueError) as error:
        read_gold(a_file(tmp_path, rows), task, labels)
    assert [word for word in told if word not in str(error.value)] == []


@pytest.mark.parametrize(
    "content", [b"not a gzip file", gzip.compress(b'{"text": "a"}' * 999)[:-9]], ids=["not gzip", "cut off"]
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"rows\.jsonl\.gz, line 1: cannot be read"):
        read_gold(path, "sentiment")


def test_chosen_rows_keep_their_subsets(tmp_path: Path) -> None:
    rows = [{"sentiment": "pos", "kind": "plain"}, {"sentiment": "neg", "kind": "irony"}]
    gold = read_gold(a_file(tmp_path, rows), "sentiment", by="kind")
    assert gold.rows([1]).subsets == ("irony",)
