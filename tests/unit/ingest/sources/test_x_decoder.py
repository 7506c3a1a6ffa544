import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.sources.connectors.x.decoder import decode_line, decode_post
from ingest.sources.events import NewPost, Skip
from ingest.sources.source import SourceError

POST: dict[str, Any] = {
    "id": "20",
    "text": "acme &amp; co is late https://t.co/abc",
    "created_at": "2026-11-30T12:00:00.000Z",
    "author_id": "7",
    "lang": "en",
    "edit_history_tweet_ids": ["20"],
    "entities": {"urls": [{"url": "https://t.co/abc", "expanded_url": "https://example.org/news"}]},
}


def test_a_post_has_whole_links_and_characters() -> None:
    at = datetime(2026, 11, 30, 12, tzinfo=UTC)
    line = json.dumps({"data": POST, "matching_rules": [{"id": "1", "tag": "brandpulse: Acme"}]}).encode()
    text = "acme & co is late https://example.org/news"
    assert decode_line(line) == NewPost("20", text, at, "7", "en", "https://x.com/i/status/20")


def test_a_long_post_has_its_whole_text() -> None:
    note = {"text": "a long acme story https://t.co/abc", "entities": POST["entities"]}
    post = decode_post(POST | {"text": "a long ac…", "note_tweet": note})
    assert isinstance(post, NewPost)
    assert post.text == "a long acme story https://example.org/news"


def test_an_edit_has_the_id_of_the_first_version() -> None:
    post = decode_post(POST | {"id": "25", "edit_history_tweet_ids": ["20", "25"]})
    assert isinstance(post, NewPost)
    assert (post.id, post.url) == ("20", "https://x.com/i/status/25")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"referenced_tweets": [{"type": "retweeted", "id": "1"}]}, "repost"),
        ({"author_id": None}, "no_author"),
        ({"created_at": "yesterday"}, "no_time"),
        ({"created_at": "2026-11-30T12:00:00"}, "no_time"),
        ({"text": " "}, "no_text"),
        ({"id": 20}, "no_id"),
    ],
)
def test_another_post_is_skipped_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    assert decode_post(POST | changes) == Skip(reason)


def test_a_quote_keeps_its_own_words_and_no_language_is_none() -> None:
    post = decode_post(POST | {"referenced_tweets": [{"type": "quoted", "id": "1"}], "lang": "qme"})
    assert isinstance(post, NewPost)
    assert post.lang is None


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (
            {"errors": [{"title": "operational-disconnect", "disconnect_type": "UpstreamOperationalDisconnect"}]},
            r"operational-disconnect \(UpstreamOperationalDisconnect\)",
        ),
        ({"title": "ConnectionException", "connection_issue": "TooManyConnections"}, "TooManyConnections"),
        ({"errors": [5]}, "an error without a title"),
    ],
)
def test_a_message_that_ends_the_stream_is_an_error(frame: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        decode_line(json.dumps(frame).encode())


def test_a_partial_error_does_not_lose_the_post() -> None:
    assert isinstance(decode_line(json.dumps({"data": POST, "errors": [{"title": "Not Found"}]}).encode()), NewPost)


@pytest.mark.parametrize(
    ("line", "reason"), [(b"{", "not_json"), (b"[1]", "not_an_object"), (b'{"meta": 1}', "other_kind")]
)
def test_an_unknown_line_is_skipped(line: bytes, reason: str) -> None:
    assert decode_line(line) == Skip(reason)
