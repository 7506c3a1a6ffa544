import json
from typing import Any

import pytest

from brandpulse.schema.posts import POST_DECODER
from ingest.webhook.post_batch import BatchReader, BodyError, BodyFormat, RefusedPost, TooManyPostsError

READER = BatchReader("helpdesk", most_posts=5)
POST = {"id": "p1", "text": "acme is awful", "created_at": "2026-03-02T12:00:00Z", "author_id": "kim"}


def bad(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**POST, **changes}.items() if value is not ...}


def lines(*parts: object) -> bytes:
    return b"\n".join(part if isinstance(part, bytes) else json.dumps(part).encode() for part in parts)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps(POST).encode(), "json"),
        (b" \n[" + json.dumps(POST).encode() + b"]\n", "json"),
        (json.dumps(POST).encode(), "ndjson"),
        (b"\r\n" + json.dumps(POST).encode() + b"\r\n\r\n", "ndjson"),
    ],
)
def test_post_of_each_format_gets_the_sender_as_its_source(body: bytes, kind: BodyFormat) -> None:
    batch = READER.read(body, kind)
    [(key, record)] = batch.posts
    post = POST_DECODER.decode(record)
    assert (key, post.id, post.text, post.source, post.lang) == ("p1", "p1", "acme is awful", "helpdesk", None)
    assert batch.refused == []


def test_source_that_a_post_names_is_kept_and_other_fields_are_not() -> None:
    [(_, record)] = READER.read(
        json.dumps([{**POST, "source": "forum", "lang": "de", "email": "k@x"}]).encode(), "json"
    ).posts
    assert json.loads(record) == {
        **POST,
        "schema_version": 1,
        "source": "forum",
        "lang": "de",
        "url": None,
    }


@pytest.mark.parametrize("kind", ["json", "ndjson"])
def test_bad_posts_are_named_and_the_others_are_taken(kind: BodyFormat) -> None:
    parts = [POST, bad(text=...), {**POST, "id": "p2"}, bad(id=7), 5]
    body = lines(*parts) if kind == "ndjson" else json.dumps(parts).encode()
    batch = READER.read(body, kind)
    assert [key for key, _ in batch.posts] == ["p1", "p2"]
    assert batch.refused == [
        RefusedPost(1, "text", "is missing"),
        RefusedPost(3, "id", "must be text: put the value in quotes"),
        RefusedPost(4, "", "must be a JSON object"),
    ]


@pytest.mark.parametrize(
    ("post", "field", "reason"),
    [
        (bad(id=""), "id", "is empty"),
        (bad(id="x" * 257), "id", "must have at most 256 characters"),
        (bad(text=" \n"), "text", "has only spaces"),
        (bad(text="x" * 20_001), "text", "must have at most 20,000 characters"),
        (
            bad(created_at="yesterday"),
            "created_at",
            "expected an RFC 3339 time with a zone, for example 2026-03-02T12:00:00Z",
        ),
        (
            bad(created_at="2026-03-02T12:00:00"),
            "created_at",
            "expected an RFC 3339 time with a zone, for example 2026-03-02T12:00:00Z",
        ),
        (bad(author_id=...), "author_id", "is missing"),
        (bad(source=""), "source", "is empty"),
        (bad(schema_version=2), "schema_version", "must be at most 1"),
    ],
)
def test_fault_of_a_post_is_named_in_plain_words(post: dict[str, Any], field: str, reason: str) -> None:
    batch = READER.read(json.dumps(post).encode(), "json")
    assert (batch.posts, batch.refused) == ([], [RefusedPost(0, field, reason)])


@pytest.mark.parametrize("kind", ["json", "ndjson"])
def test_bad_utf_8_refuses_only_its_post(kind: BodyFormat) -> None:
    wrong = lines({**POST, "text": "?"}).replace(b"?", b"\xff\xfe")
    body = lines(POST, wrong) if kind == "ndjson" else b"[" + lines(POST) + b"," + wrong + b"]"
    batch = READER.read(body, kind)
    assert (len(batch.posts), batch.refused) == (1, [RefusedPost(1, "", "is not UTF-8 text")])


def test_lone_surrogate_refuses_only_its_post() -> None:
    wrong = lines(POST).replace(b"acme", rb"\ud800")
    batch = READER.read(b"[" + wrong + b"," + lines(POST) + b"]", "json")
    refused = [RefusedPost(0, "", "has half a surrogate pair: a text was cut inside a character")]
    assert (len(batch.posts), batch.refused) == (1, refused)
    assert READER.read(wrong, "json").refused == refused


def test_line_that_is_no_json_refuses_only_its_post() -> None:
    batch = READER.read(lines(b"{", POST, b"[" * 10_000), "ndjson")
    assert (len(batch.posts), [one.index for one in batch.refused]) == (1, [0, 2])
    assert batch.refused[0].reason.startswith("cannot be read: it is not JSON (line ")


def test_nan_refuses_only_its_post_and_is_named() -> None:
    batch = READER.read(json.dumps([{**POST, "likes": float("nan")}, POST]).encode(), "json")
    assert (len(batch.posts), batch.refused) == (
        1,
        [RefusedPost(0, "", "cannot be read: it holds NaN; write null instead")],
    )


def test_bad_line_leaves_carriage_returns_in_other_lines_alone() -> None:
    batch = READER.read(lines(POST).replace(b", ", b",\r") + b"\r\n" + b"5", "ndjson")
    assert ([key for key, _ in batch.posts], [one.index for one in batch.refused]) == (["p1"], [1])


def test_wrong_optional_value_is_dropped_as_the_workers_do() -> None:
    batch = READER.read(json.dumps([bad(lang=5, url="x" * 3_000)]).encode(), "json")
    record = json.loads(batch.posts[0][1])
    assert (record["lang"], record["url"]) == (None, None)
    assert batch.refused == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[",
        b"{",
        b"[1,]",
        b"nope",
        b"{}{}",
        b"{},{}",
        json.dumps([POST]).encode("utf-16-le"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_body_that_is_no_json_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(BodyError):
        READER.read(body, "json")


@pytest.mark.parametrize("parts", [[POST] * 6, [POST] * 5 + [5]])
def test_too_many_posts_are_refused_as_a_whole(parts: list[Any]) -> None:
    for body, kind in ((json.dumps(parts).encode(), "json"), (lines(*parts), "ndjson")):
        with pytest.raises(TooManyPostsError, match="6 posts; at most 5"):
            READER.read(body, "json" if kind == "json" else "ndjson")
