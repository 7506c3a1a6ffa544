"""Frames of Jetstream become events; a frame with any fault becomes a skip with its reason."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.sources.connectors.bluesky import BlueskyDecoder, BlueskySettings, record_text
from ingest.sources.events import Delete, Edit, Event, NewPost, Skip
from ingest.sources.source import SourceError

NOON_US = 1_790_000_000_000_000
NOON = datetime.fromtimestamp(NOON_US / 1e6, UTC)
DID = "did:plc:abc"


def a_commit(version: int = 2, *, operation: str = "create", **changes: Any) -> str:
    record = {"$type": "app.bsky.feed.post", "text": "acme is late", "createdAt": NOON.isoformat(), "langs": ["en"]}
    commit: dict[str, Any] = {"operation": operation, "collection": "app.bsky.feed.post", "rkey": "k1"}
    if operation == "create":
        commit["record"] = record | changes.pop("record", {})
    commit |= changes
    if version == 1:
        return json.dumps({"did": DID, "time_us": NOON_US, "kind": "commit", "commit": commit})
    payload = {"$type": "network.bsky.jetstream.subscribeEvents#commit", "seq": 7, "did": DID}
    return json.dumps({"$type": "message", "payload": payload | {"time": NOON.isoformat()} | commit})


def decode(frame: str) -> Event:
    return BlueskyDecoder().decode(frame)[0]


@pytest.mark.parametrize("version", [1, 2])
def test_a_new_post_keeps_author_time_language_and_address(version: int) -> None:
    event, sequence, time_us = BlueskyDecoder().decode(a_commit(version))
    assert event == NewPost(
        id=f"at://{DID}/app.bsky.feed.post/k1",
        text="acme is late",
        created_at=NOON,
        author_id=DID,
        lang="en",
        url=f"https://bsky.app/profile/{DID}/post/k1",
    )
    assert (sequence, time_us) == (7 if version == 2 else 0, NOON_US)


@pytest.mark.parametrize("version", [1, 2])
def test_deletes_and_edits_name_the_post(version: int) -> None:
    key = f"at://{DID}/app.bsky.feed.post/k1"
    assert decode(a_commit(version, operation="delete")) == Delete(id=key)
    assert decode(a_commit(version, operation="update")) == Edit(key)


def test_an_account_that_is_gone_deletes_all_posts_of_its_author() -> None:
    payload = {"$type": "x#account", "seq": 3, "did": DID, "time": NOON.isoformat()}
    gone = {"$type": "message", "payload": payload | {"account": {"active": False, "status": "takendown", "seq": 99}}}
    back = {"$type": "message", "payload": payload | {"account": {"active": True}}}
    assert BlueskyDecoder().decode(json.dumps(gone)) == (Delete(author_id=DID), 3, NOON_US)
    assert decode(json.dumps(back)) == Skip("account")


@pytest.mark.parametrize("declared", ["1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "yesterday", 5, None])
def test_an_implausible_time_is_replaced_by_the_servers(declared: object) -> None:
    event = decode(a_commit(record={"createdAt": declared}))
    assert isinstance(event, NewPost)
    assert (event.created_at, event.time_replaced) == (NOON, True)


def test_a_notice_of_another_name_is_one_outcome() -> None:
    for name in ("OutdatedCursor", "FutureCursor"):
        assert decode(json.dumps({"$type": "message", "payload": {"$type": "x#info", "name": name}})) == Skip(name)
    assert decode(json.dumps({"$type": "message", "payload": {"$type": "x#info", "name": "Sale 1"}})) == Skip("info")


def test_a_post_without_the_servers_time_is_skipped() -> None:
    payload = {"$type": "x#commit", "did": DID, "operation": "create", "collection": "app.bsky.feed.post", "rkey": "k"}
    frame = {"$type": "message", "payload": payload | {"record": {"text": "acme"}}}
    assert decode(json.dumps(frame)) == Skip("no_time")


def test_a_post_of_images_has_their_descriptions_as_text() -> None:
    images = {"$type": "app.bsky.embed.images", "images": [{"alt": "acme plane"}, {"alt": " "}, {"alt": "in rain"}]}
    event = decode(a_commit(record={"text": "", "embed": images}))
    assert isinstance(event, NewPost)
    assert event.text == "acme plane\nin rain"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("{", "not_json"),
        ("[]", "not_an_object"),
        ('{"$type": "message", "payload": 5}', "not_an_object"),
        ('{"kind": "commit"}', "no_author"),
        (a_commit(collection="app.bsky.feed.like"), "other_collection"),
        (a_commit(record={"text": "  "}), "no_text"),
        (a_commit(operation="create", record={"text": None}), "no_text"),
        (json.dumps({"did": DID, "kind": "identity", "time_us": NOON_US}), "other_kind"),
        (json.dumps({"did": DID, "kind": "commit", "commit": {"collection": "app.bsky.feed.post"}}), "no_record"),
    ],
)
def test_another_frame_is_skipped_with_its_reason(frame: str, reason: str) -> None:
    assert decode(frame) == Skip(reason)


def test_an_error_frame_ends_the_stream_with_its_name() -> None:
    with pytest.raises(SourceError, match="ConsumerTooSlow"):
        decode('{"$type": "error", "error": "ConsumerTooSlow", "message": "read faster"}')


def test_cut_links_are_made_whole_by_byte_positions() -> None:
    text = "é see acme.example/ab… now"
    start = len("é see ".encode())
    link = {"$type": "app.bsky.richtext.facet#link", "uri": "https://acme.example/abcdef"}
    facet = {"index": {"byteStart": start, "byteEnd": start + len("acme.example/ab…".encode())}, "features": [link]}
    assert record_text({"text": text, "facets": [facet]}) == "é see https://acme.example/abcdef now"


@pytest.mark.parametrize(
    "facets",
    [
        5,
        [5],
        [{"index": {"byteStart": 3, "byteEnd": 1}, "features": []}],
        [{"index": {"byteStart": 0, "byteEnd": 10_000}, "features": [{"$type": "x#link", "uri": "https://a.example"}]}],
        [{"index": {"byteStart": 0, "byteEnd": 4}, "features": [{"$type": "x#link", "uri": "javascript:1"}]}],
    ],
)
def test_a_broken_facet_leaves_the_text_as_it_is(facets: object) -> None:
    assert record_text({"text": "acme is late", "facets": facets}) == "acme is late"


@pytest.mark.parametrize("server", ["jetstream.example", "https://jetstream.example", "wss://"])
def test_a_server_that_is_no_websocket_address_is_refused(server: str) -> None:
    with pytest.raises(ValueError, match="is not an address such as wss://"):
        BlueskySettings(name="b", kind="bluesky", servers=(server,))
