"""Where the fields of a post are in a record."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from brandpulse.errors import ConfigError
from ingest.sources.events import NewPost
from ingest.sources.records.field_mapping import OpenedRecord, RecordError, load_mapping

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
FACTS = {"key": "k7", "timestamp": NOON, "topic": "crm", "partition": 0, "offset": 5}


def mapped(folder: Path, fields: str, value: Any, *, more: str = "", **headers: str) -> NewPost:
    path = folder / "crm.yaml"
    path.write_text(f"fields:\n  author_id: by\n{fields}\n{more}")
    record = OpenedRecord({"by": "ann", "text": "acme"} | value, FACTS, headers)
    return load_mapping(path).post(record, default_id="log:0:5")


@pytest.mark.parametrize(
    ("text", "value", "found"),
    [
        ("text", {}, "acme"),
        ("[body, text]", {"body": ""}, "acme"),
        ("a.b[1].c", {"a": {"b": [{}, {"c": "deep"}]}}, "deep"),
        ("a.1", {"a": ["x", "y"]}, "y"),
        ("'a[-1]'", {"a": ["x", "y"]}, "y"),
        ("{join: [title, none, text]}", {"title": "late"}, "late\nacme"),
        ("{constant: always}", {}, "always"),
        ("'@header.say'", {}, "said"),
        ("'@key'", {}, "k7"),
        ("number", {"number": 12}, "12"),
    ],
)
def test_a_path_finds_its_value(tmp_path: Path, text: str, value: dict[str, Any], found: str) -> None:
    assert mapped(tmp_path, f"  text: {text}", value, say="said").text == found


@pytest.mark.parametrize(
    ("created_at", "value", "hour"),
    [
        ("{first: at, unit: ms}", 1_796_126_400_000, 12),
        ("{first: at, unit: s}", "1796126400", 12),
        ("at", 1_796_126_400, 12),
        ("{first: at, zone: Europe/Berlin}", "2026-12-01 12:00:00", 11),
        ("at", datetime(2026, 12, 1, 8, tzinfo=UTC), 8),
        ("{first: at, zone: Europe/Berlin}", datetime.fromisoformat("2026-12-01T08:00"), 7),
        ("[missing, '@timestamp']", None, 12),
    ],
)
def test_times_are_read_with_unit_and_zone(tmp_path: Path, created_at: str, value: object, hour: int) -> None:
    post = mapped(tmp_path, f"  text: text\n  created_at: {created_at}", {"at": value})
    assert post.created_at == NOON.replace(hour=hour)


@pytest.mark.parametrize(
    ("fields", "value", "reason"),
    [
        ("  text: body", {}, "no_text"),
        ("  text: text", {"by": None}, "no_author"),
        ("  text: text", {"by": {"name": "ann"}}, "no_author"),
        ("  text: text\n  id: none", {}, "no_id"),
        ("  text: text\n  created_at: at", {}, "no_time"),
        ("  text: text\n  created_at: at", {"at": "2026-12-01 12:00:00"}, "bad_time"),
        ("  text: text\n  created_at: {first: at, unit: s}", {"at": 1e300}, "bad_time"),
        ("  text: text", {"by": "a" * 300}, "bad_id"),
        ("  text: text", {"text": "a" * 20_001}, "too_long"),
    ],
)
def test_a_record_without_a_field_has_a_reason(tmp_path: Path, fields: str, value: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        mapped(tmp_path, fields, value)
    assert caught.value.reason == reason


def test_html_and_the_default_id_are_applied(tmp_path: Path) -> None:
    post = mapped(tmp_path, "  text: text", {"text": "<p>acme &amp; co</p>"}, more="html: true\n")
    assert (post.id, post.text, post.created_at) == ("log:0:5", "acme & co", NOON)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ("", "text: is missing"),
        ("  text: '@nothing'", "'@nothing' is none of @key"),
        ("  text: 'a['", "'a[' is no path"),
        ("  text: text\n  created_at: {first: at, zone: Mars/X}", "Mars/X"),
    ],
)
def test_a_wrong_mapping_file_names_line_and_value(tmp_path: Path, fields: str, named: str) -> None:
    with pytest.raises(ConfigError, match="the mapping file is wrong") as caught:
        mapped(tmp_path, fields, {})
    assert named in str(caught.value)
    assert "crm.yaml:" in str(caught.value)
