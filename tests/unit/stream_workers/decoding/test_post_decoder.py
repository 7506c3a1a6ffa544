import json

import pytest

from brandpulse.schema.identity import AuthorHasher, author_hex
from stream_workers.decoding.post_decoder import MAX_RECORD_BYTES, DeadRecord, DecodedPost
from stream_workers.decoding.records import Record
from tests.support.builders import NOON_MS, a_post, a_record, decode


def only(value: bytes | None) -> DecodedPost | DeadRecord:
    [item] = decode([Record(5, NOON_MS, b"k", value)])
    return item


def with_field(name: str, value: object) -> bytes:
    return json.dumps(a_post() | {name: value}).encode()


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (None, "empty", "no value"),
        (b"", "empty", "no value"),
        (b"nope", "not_json", "invalid"),
        (b'{"id": ', "not_json", ""),
        (b'{"text": "\xff"}', "not_utf8", "utf-8"),
        (with_field("schema_version", 2), "wrong_field", "schema_version"),
        (with_field("id", ""), "wrong_field", "id"),
        (with_field("id", 7), "wrong_field", "id"),
        (with_field("text", None), "wrong_field", "text"),
        (with_field("text", "x" * 20_001), "wrong_field", "text"),
        (with_field("created_at", "2026-03-02T12:00:00"), "wrong_field", "timezone"),
        (with_field("created_at", "yesterday"), "wrong_field", "created_at"),
        (with_field("author_id", ""), "wrong_field", "author_id"),
        (b"[1]", "wrong_field", ""),
        (b'{"extra": ' + b"[" * 3_000 + b"]" * 3_000 + b"}", "not_json", "nested too deeply"),
        (b"x" * (MAX_RECORD_BYTES + 1), "too_large", "262145"),
    ],
)
def test_invalid_record_is_dead_with_its_reason(value: bytes | None, reason: str, message: str) -> None:
    item = only(value)
    assert isinstance(item, DeadRecord)
    assert item.reason == reason
    assert message in item.message


def test_invalid_record_does_not_fail_others() -> None:
    items = decode([a_record(a_post("1")), Record(1, 0, None, b"junk"), a_record(a_post("2"), 2)])
    assert [type(item) for item in items] == [DecodedPost, DeadRecord, DecodedPost]


def test_further_fields_and_odd_characters_are_read() -> None:
    item = only(with_field("text", "nul \x00 emoji \U0001f600").replace(b'"id"', b'"extra": {"a": [1]}, "id"'))
    assert isinstance(item, DecodedPost)
    assert item.post.text == "nul   emoji \U0001f600"


def test_event_time_is_read_with_its_zone() -> None:
    item = only(with_field("created_at", "2026-03-02T04:00:00-08:00"))
    assert isinstance(item, DecodedPost)
    assert item.event_ms == NOON_MS


def test_author_hashes_depend_on_the_key() -> None:
    first, second = AuthorHasher("one key"), AuthorHasher("another")
    assert first("x", "ann") == AuthorHasher("one key")("x", "ann")
    assert first("x", "ann") != first("y", "ann")
    assert first("x", "ann") != second("x", "ann")
    assert len(author_hex(first("x", "ann"))) == 16
