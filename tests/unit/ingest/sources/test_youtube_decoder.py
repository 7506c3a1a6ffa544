from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from ingest.sources.connectors.youtube import YouTubeSettings, decode_thread
from ingest.sources.events import NewPost, Skip

BODY: dict[str, Any] = {
    "textOriginal": "acme is late",
    "textDisplay": "acme is late",
    "authorDisplayName": "@ann",
    "authorChannelId": {"value": "UCann"},
    "publishedAt": "2026-11-30T12:00:00Z",
    "videoId": "v1",
}


def thread(**changes: object) -> dict[str, Any]:
    return {"id": "Ug1", "snippet": {"videoId": "v1", "topLevelComment": {"id": "Ug1", "snippet": BODY | changes}}}


def test_a_comment_has_author_time_text_and_address() -> None:
    url = "https://www.youtube.com/watch?v=v1&lc=Ug1"
    at = datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert decode_thread(thread()) == NewPost("Ug1", "acme is late", at, "UCann", None, url)


def test_a_comment_without_plain_text_is_read_from_html() -> None:
    post = decode_thread(thread(textOriginal=None, textDisplay="acme &amp; co<br>is late"))
    assert isinstance(post, NewPost)
    assert post.text == "acme & co\nis late"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (5, "no_comment"),
        ({"snippet": {}}, "no_comment"),
        (thread(publishedAt="yesterday"), "no_time"),
        (thread(textOriginal=" "), "no_text"),
        (thread(authorChannelId=None, authorDisplayName=None), "no_author"),
    ],
)
def test_another_thread_is_skipped_with_the_reason(found: object, reason: str) -> None:
    assert decode_thread(found) == Skip(reason)


def settings(**changes: object) -> YouTubeSettings:
    return YouTubeSettings.model_validate({"name": "yt", "kind": "youtube", "key_env": "YOUTUBE_KEY"} | changes)


def test_the_pause_grows_until_the_budget_lasts_a_day() -> None:
    assert settings(videos=("v1",)).pause_seconds == 600
    assert settings(videos=[f"v{number}" for number in range(100)], units_per_day=9_600).pause_seconds == 900


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "at least one of videos or channels"),
        ({"videos": ["https://www.youtube.com/watch?v=v1"]}, "is no id such as"),
        ({"channels": ["@acmeair"]}, "@names are not read"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**changes)
