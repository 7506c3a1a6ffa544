"""Builders for test data: each shows only what matters to its test."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from brandpulse.errors import InvalidPostError
from brandpulse.schema.posts import POST_DECODER
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.types import Scored, build_scored
from stream_workers.consumer.post_reader import ReaderConfig
from stream_workers.decoding.post_decoder import DeadRecord, DecodedPost, decode_post, event_ms_of, read_source
from stream_workers.decoding.records import Record
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.post_scores import build_post_scores

NOON_MS = 1_772_452_800_000  # 2026-03-02T12:00:00Z
PROBABILITIES = {
    "negative": (0.8, 0.15, 0.05, 0.0),
    "neutral": (0.1, 0.8, 0.1, 0.0),
    "positive": (0.05, 0.15, 0.8, 0.0),
    "irrelevant": (0.1, 0.05, 0.05, 0.8),
}


def rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat()


def a_post(post_id: str = "1", text: str = "acme is fine", at_ms: int = NOON_MS, **changes: Any) -> dict[str, Any]:
    """A post as a producer writes it."""
    post = {
        "schema_version": 1,
        "id": post_id,
        "text": text,
        "created_at": rfc3339(at_ms),
        "author_id": f"author-{post_id}",
        "source": "test",
    }
    return post | changes


def a_record(post: Mapping[str, Any], offset: int = 0, record_ms: int | None = None) -> Record:
    at_ms = round(datetime.fromisoformat(str(post["created_at"])).timestamp() * 1_000)
    value = json.dumps(post).encode()
    return Record(offset, at_ms if record_ms is None else record_ms, str(post["id"]).encode(), value)


def decode(records: Sequence[Record]) -> list[DecodedPost | DeadRecord]:
    """Each record's post, or the reason why it has none, in order."""
    decoded: list[DecodedPost | DeadRecord] = []
    for record in records:
        try:
            post = decode_post(record.value)
        except InvalidPostError as error:
            decoded.append(DeadRecord(record, error.reason, str(error), read_source(record.value)))
        else:
            decoded.append(DecodedPost(record, post, event_ms_of(post)))
    return decoded


def a_scored(
    post_id: str = "1",
    sentiment: str = "neutral",
    at_ms: int = NOON_MS,
    *,
    offset: int = 0,
    brands: tuple[str, ...] = ("Acme",),
    author: int | None = None,
    record_ms: int | None = None,
    source: str = "test",
    towards: Mapping[str, str] | None = None,
    facets: FacetMatcher | None = None,
    worded: Collection[int] = (),
    author_id: str | None = None,
    key: bytes | None = b"key",
    language: str = "",
) -> Scored:
    """Scores with *sentiment* towards each of *brands*, or with the sentiments in *towards*."""
    verdicts = towards if towards is not None else dict.fromkeys(brands, sentiment)
    post = a_post(post_id, at_ms=at_ms, source=source, author_id=author_id or f"author-{post_id}")
    record = msgspec.structs.replace(a_record(post, offset, record_ms), key=post_id.encode() if key == b"key" else key)
    assert record.value is not None
    return build_scored(
        DecodedPost(record, POST_DECODER.decode(record.value), at_ms),
        tuple(verdicts),
        build_post_scores(
            tuple(PROBABILITIES[verdict] for verdict in verdicts.values()),
            {"sentiment": (0.1, 0.8, 0.1)},
            (None,) * len(verdicts),
        ),
        author=hash(post_id) if author is None else author,
        mask=str,
        facets=facets,
        facets_with_keyword=worded,
        language=language,
    )


def a_status(next_offset: int = 0, *, topic: str = "posts", partition: int = 0, **changes: Any) -> PartitionStatus:
    return PartitionStatus(topic, partition, next_offset, changes.pop("topic_id", "log-1"), **changes)


def a_reader_config(topic: str = "posts", bootstrap_servers: str = "127.0.0.1:1", **changes: Any) -> ReaderConfig:
    """Settings of a reader that trusts the dates of posts, in a group named like its topic."""
    config = ReaderConfig(
        bootstrap_servers=bootstrap_servers,
        group_id=topic,
        topic=topic,
        batch_posts=10,
        batch_wait_seconds=0.1,
        session_timeout_seconds=6,
        idle_after_seconds=3,
        lateness_ms=0,
        invalid_run=10,
        invalid_share=0.5,
        owner="me",
    )
    return replace(config, **changes)
