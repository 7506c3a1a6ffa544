import gzip
import json
from pathlib import Path

import pytest

from model.data.labelled_posts import LabelledPost, leak_key, read_labelled, read_texts


def a_file(path: Path, *rows: dict[str, object]) -> Path:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.jsonl.gz"])
def test_plain_and_gzipped_rows_are_read_in_order_and_normalized(tmp_path: Path, name: str) -> None:
    path = a_file(tmp_path / name, {"text": "@ann hi", "sentiment": "neu"}, {"text": "awful", "sentiment": "negative"})
    assert read_labelled(path) == [LabelledPost("@user hi", 1), LabelledPost("awful", 0)]


@pytest.mark.parametrize(
    "row", [{"text": "a"}, {"sentiment": "neg"}, {"text": "a", "sentiment": "sad"}, {"text": 3, "sentiment": "neg"}]
)
def test_a_row_without_text_or_known_label_is_named(tmp_path: Path, row: dict[str, object]) -> None:
    path = a_file(tmp_path / "posts.jsonl", {"text": "fine", "sentiment": "pos"}, row)
    with pytest.raises(ValueError, match=r"posts\.jsonl, line 2"):
        read_labelled(path)


def test_the_leak_key_ignores_handles_links_case_and_punctuation() -> None:
    assert leak_key("RT @ann: So, what? https://t.co/x") == leak_key("so what")


def test_texts_are_read_up_to_the_limit(tmp_path: Path) -> None:
    path = a_file(tmp_path / "posts.jsonl", {"text": "one"}, {"text": "two"}, {"text": "three"})
    assert read_texts(path, limit=2) == ["one", "two"]
