"""From cells to posts."""

import shlex
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brandpulse.schema.posts import Post
from ingest.files.reading.row import MISSING, InputError, Reject, Row
from ingest.files.reading.row_mapping import OutgoingPost, PostMaker, map_option, parse_map, resolve

RIGHT: dict[str, Any] = {"id": "7", "text": "hi", "created_at": "2026-03-02T12:00:00+01:00", "author_id": "ann"}


def make(**cells: Any) -> OutgoingPost | Reject:
    row = RIGHT | cells
    return PostMaker(tuple(row), source="file").make(Row(3, list(row.values())))


def test_valid_row_becomes_a_post() -> None:
    made = make(lang="en", url="")
    assert isinstance(made, OutgoingPost)
    assert msgspec.json.decode(made.payload) == {
        "schema_version": 1,
        "id": "7",
        "text": "hi",
        "created_at": "2026-03-02T11:00:00Z",
        "author_id": "ann",
        "source": "file",
        "lang": "en",
    }
    assert Post.model_validate_json(made.payload).created_at == made.created_at


def test_number_ids_become_text() -> None:
    made = make(id=569748316776325001, author_id=12)
    assert isinstance(made, OutgoingPost)
    post = Post.model_validate_json(made.payload)
    assert (made.id, post.id, post.author_id) == ("569748316776325001", "569748316776325001", "12")


@pytest.mark.parametrize(
    "dress", ["123", 123, 123.0, '="123"', " 123", "123.0", "'123", "\u200b123", "１２３", "\xa0123"]
)
def test_decorated_id_is_cleaned(dress: object) -> None:
    made = make(id=dress, author_id=dress)
    assert isinstance(made, OutgoingPost)
    post = Post.model_validate_json(made.payload)
    assert (made.id, post.id, post.author_id) == ("123", "123", "123")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lang", "English (United Kingdom)"),
        ("lang", 7),
        ("lang", ["en"]),
        ("lang", "\udce9"),
        ("url", "https://x/" + "y" * 2_100),
        ("url", {"href": "https://x"}),
        ("url", False),
    ],
)
def test_invalid_optional_value_is_dropped_and_reported(field: str, value: object) -> None:
    row = RIGHT | {field: value}
    maker = PostMaker(tuple(row), source="file")
    made = maker.make(Row(3, list(row.values())))
    assert isinstance(made, OutgoingPost)
    assert field not in msgspec.json.decode(made.payload)
    assert [(drop.line, drop.field) for drop in maker.dropped] == [(3, field)]
    maker.make(Row(4, [*RIGHT.values(), "en"]))
    assert maker.dropped == []


@pytest.mark.parametrize("value", [None, "", MISSING])
def test_missing_optional_value_is_not_reported_as_dropped(value: object) -> None:
    row = RIGHT | {"lang": value}
    maker = PostMaker(tuple(row), source="file")
    assert isinstance(maker.make(Row(3, list(row.values()))), OutgoingPost)
    assert maker.dropped == []


def test_source_of_the_row_is_the_source_of_the_post() -> None:
    for own, source in (("reddit", "reddit"), ("", "file"), (None, "file"), (MISSING, "file"), (" x ", "x")):
        made = make(source=own)
        assert isinstance(made, OutgoingPost)
        assert made.source == Post.model_validate_json(made.payload).source == source
    for wrong in ("x" * 65, 7, ["reddit"]):
        refused = make(source=wrong)
        assert isinstance(refused, Reject)
        assert refused.field == "source"


@pytest.mark.parametrize(
    ("cells", "field", "reason"),
    [
        ({"id": MISSING}, "id", "is missing"),
        ({"text": None}, "text", "is missing"),
        ({"id": ""}, "id", "an empty id"),
        ({"id": "x" * 257}, "id", "length <= 256"),
        ({"id": 5.7e17}, "id", "lost its last digits"),
        ({"id": "nan"}, "id", "missing value"),
        ({"id": "1.9E+18"}, "id", "a spreadsheet rounded it"),
        ({"author_id": "1,9E+18"}, "author_id", "a spreadsheet rounded it"),
        ({"author_id": ["ann"]}, "author_id", "expected `str`"),
        ({"text": ""}, "text", "is blank"),
        ({"text": " \n"}, "text", "is blank"),
        ({"text": "x" * 20_001}, "text", "length <= 20000"),
        ({"text": "a\0b"}, "text", "NUL"),
        ({"author_id": "a\0b"}, "author_id", "NUL"),
        ({"text": "caf\udce9"}, "text", "not UTF-8"),
        ({"created_at": "2026-03-02 12:00:00"}, "created_at", "--assume-utc"),
        ({"created_at": "soon"}, "created_at", "not a date"),
    ],
)
def test_invalid_cell_rejects_the_row_with_its_field(cells: dict[str, Any], field: str, reason: str) -> None:
    made = make(**cells)
    assert isinstance(made, Reject)
    assert (made.line, made.field) == (3, field)
    assert reason in made.reason


@given(st.fixed_dictionaries({name: st.text(max_size=4) | st.integers() | st.none() | st.floats() for name in RIGHT}))
def test_accepted_row_is_a_valid_post(cells: dict[str, Any]) -> None:
    made = make(**cells)
    if isinstance(made, OutgoingPost):
        Post.model_validate_json(made.payload)


def test_moved_post_differs_only_in_its_time() -> None:
    made = make()
    assert isinstance(made, OutgoingPost)
    moved = made.moved(timedelta(days=1))
    assert moved.created_at - made.created_at == timedelta(days=1)
    before, after = msgspec.json.decode(made.payload), msgspec.json.decode(moved.payload)
    assert after == before | {"created_at": "2026-03-03T11:00:00Z"}


COLUMNS = st.text(min_size=1, max_size=8).filter(
    lambda name: name == name.strip() and "\0" not in name
) | st.sampled_from(["tweet id", "a,b", "a=b", 'say "hi"', "it's", "text=x,id", '"', "$(x)", "`x`", "ü ß"])


@given(
    st.dictionaries(
        st.sampled_from(["id", "text", "created_at", "author_id", "lang", "url", "source"]), COLUMNS, min_size=1
    )
)
def test_printed_map_can_be_pasted_into_a_shell(mapping: dict[str, str]) -> None:
    option, value = shlex.split(map_option(mapping))
    assert option == "--map"
    assert parse_map(value) == mapping


def test_suggested_map_is_quoted_for_the_shell() -> None:
    with pytest.raises(InputError) as caught:
        resolve({}, ["tweet id", "name, full", "text", "created_at"])
    assert """--map 'id=tweet id,author_id="name, full"'""" in str(caught.value)


def test_map_is_parsed_into_fields_and_columns() -> None:
    assert parse_map("text=body, id = tweet id") == {"text": "body", "id": "tweet id"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text", "FIELD=COLUMN"),
        ("text=", "FIELD=COLUMN"),
        ("=body", "FIELD=COLUMN"),
        ("text=a,", "FIELD=COLUMN"),
        ("body=text", "unknown field 'body'"),
        ("text=a,text=b", "is set twice"),
    ],
)
def test_invalid_map_is_explained(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_map(text)


def test_unmapped_fields_use_columns_of_the_same_name() -> None:
    assert resolve({"text": "body"}, ["id", "body", "created_at", "author_id", "lang"]) == {
        "id": "id",
        "text": "body",
        "created_at": "created_at",
        "author_id": "author_id",
        "lang": "lang",
    }


def test_missing_column_error_lists_columns_and_suggests_a_map() -> None:
    columns = ["tweet_id", "name", "text", "tweet_created"]
    with pytest.raises(InputError) as caught:
        resolve({}, columns)
    message = str(caught.value)
    assert "tweet_id, name, text, tweet_created" in message
    assert "--map id=tweet_id,created_at=tweet_created,author_id=name" in message
    with pytest.raises(InputError, match=r"no column .*'nowhere' for text"):
        resolve({"text": "nowhere"}, columns)


def test_requested_column_that_appears_twice_is_rejected() -> None:
    with pytest.raises(InputError, match="2 columns named 'text'"):
        resolve({}, ["id", "text", "text", "created_at", "author_id"])
