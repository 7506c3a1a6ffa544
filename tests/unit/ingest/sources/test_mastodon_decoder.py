from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.sources.connectors.mastodon import MastodonSettings, StatusDecoder
from ingest.sources.events import Delete, Edit, Event, NewPost, Skip

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
URI = "https://far.example/statuses/1"


def a_status(**changes: Any) -> dict[str, Any]:
    status: dict[str, Any] = {
        "id": "1",
        "uri": URI,
        "url": "https://far.example/@ann/1",
        "created_at": NOON.isoformat(),
        "content": "<p>acme is <b>late</b></p>",
        "spoiler_text": "",
        "language": "en",
        "account": {"acct": "ann"},
    }
    return status | changes


def decode(status: object, **options: Any) -> Event:
    return StatusDecoder("https://far.example").status(status, arrived=NOON, **options)


def test_a_status_keeps_address_author_time_and_language() -> None:
    expected = NewPost(URI, "acme is late", NOON, "ann@far.example", "en", "https://far.example/@ann/1")
    assert decode(a_status()) == expected


def test_a_warning_and_pictures_are_part_of_the_text() -> None:
    post = decode(a_status(spoiler_text="bags"))
    assert isinstance(post, NewPost)
    assert post.text == "bags\nacme is late"
    post = decode(a_status(content="", media_attachments=[{"description": "an acme plane"}, {"description": None}, 5]))
    assert isinstance(post, NewPost)
    assert post.text == "an acme plane"


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (a_status(reblog={"id": "0"}), Skip("repost")),
        (a_status(content="<p></p>"), Skip("no_text")),
        (a_status(account=None), Skip("no_author")),
        (a_status(uri=None), Skip("no_address")),
        (a_status(id=1), Skip("no_status")),
        ([], Skip("no_status")),
    ],
)
def test_another_status_is_skipped_with_its_reason(status: object, event: Event) -> None:
    assert decode(status) == event


def test_an_author_of_another_server_keeps_its_domain() -> None:
    post = decode(a_status(account={"acct": "bo@near.example"}))
    assert isinstance(post, NewPost)
    assert post.author_id == "bo@near.example"


def test_edits_and_deletions_name_the_address_of_the_post() -> None:
    decoder = StatusDecoder("https://far.example")
    decoder.status(a_status(), arrived=NOON)
    assert decoder.status(a_status(), edited=True, arrived=NOON) == Edit(URI)
    assert decoder.deletion("1") == Delete(id=URI)
    assert decoder.deletion("1") == Skip("deletion_of_unknown")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"server": "far.example"}, "is no web address"), ({"hashtags": ()}, "at least one of hashtags or lists")],
)
def test_wrong_settings_are_refused_with_the_reason(changes: dict[str, Any], sentence: str) -> None:
    right = {"name": "m", "kind": "mastodon", "server": "https://far.example", "token_env": "T_ONE", "hashtags": ("a",)}
    with pytest.raises(ValueError, match=sentence):
        MastodonSettings.model_validate(right | changes)
