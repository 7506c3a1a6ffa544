import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from brandpulse.schema.posts import MAX_TEXT_CHARS, POST_DECODER, Post
from tests.support.builders import a_post

FIELDS = st.sampled_from(["schema_version", "id", "text", "created_at", "author_id", "source", "lang", "url"])
VALUES = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.booleans(),
    st.just(1.5),
    st.text(max_size=70),
    st.sampled_from(
        [
            "2026-03-02T12:00:00Z",
            "2026-03-02T12:00:00+05:30",
            "2026-03-02T12:00:00",
            "2026-02-30T12:00:00Z",
            "2026-03-02 12:00:00z",
            "2026-03-02T12:00:00.123456789+05:30",
            "20260302T120000Z",
            "2026-03-02",
            "0",
            "x" * 257,
        ]
    ),
    st.lists(st.integers(), max_size=2),
)


def pydantic_takes(value: bytes) -> bool:
    try:
        Post.model_validate_json(value)
    except ValidationError:
        return False
    return True


def hot_path_takes(value: bytes) -> bool:
    try:
        POST_DECODER.decode(value)
    except msgspec.DecodeError:
        return False
    return True


@given(FIELDS, VALUES)
def test_hot_path_accepts_exactly_what_the_model_accepts(field: str, value: Any) -> None:
    encoded = json.dumps(a_post() | {field: value}).encode()
    assert hot_path_takes(encoded) == pydantic_takes(encoded), encoded


@given(FIELDS)
def test_hot_path_requires_the_same_fields(field: str) -> None:
    post = a_post()
    post.pop(field, None)
    encoded = json.dumps(post).encode()
    assert hot_path_takes(encoded) == pydantic_takes(encoded)


def test_limits_are_the_same_at_the_limit() -> None:
    for length, taken in ((MAX_TEXT_CHARS, True), (MAX_TEXT_CHARS + 1, False)):
        encoded = json.dumps(a_post(text="é" * length)).encode()
        assert hot_path_takes(encoded) is taken
        assert pydantic_takes(encoded) is taken


@pytest.mark.parametrize("field", ["lang", "url"])
@pytest.mark.parametrize("value", ["x" * 2_049, 7, True, 1.5, [1, {"a": None}], {"code": "en"}])
def test_invalid_optional_value_is_dropped_alone(field: str, value: Any) -> None:
    encoded = json.dumps(a_post() | {"lang": "en", "url": "https://x"} | {field: value}).encode()
    of_model, of_hot_path = Post.model_validate_json(encoded), POST_DECODER.decode(encoded)
    assert getattr(of_model, field) is getattr(of_hot_path, field) is None
    other = {"lang": "url", "url": "lang"}[field]
    assert getattr(of_model, other) == getattr(of_hot_path, other) is not None


def test_wrong_field_besides_a_dropped_one_is_named() -> None:
    for post in (a_post(text="") | {"lang": 7}, {"lang": 7} | a_post(text="")):
        with pytest.raises(msgspec.ValidationError, match=r"\$\.text"):
            POST_DECODER.decode(json.dumps(post).encode())
