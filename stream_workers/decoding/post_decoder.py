"""Decodes the value of a record into a post, or the reason why it is none. One bad record must not fail its batch."""

from typing import Any

import msgspec

from brandpulse.errors import InvalidPostError
from brandpulse.schema.posts import MAX_SOURCE_CHARS, POST_DECODER, WirePost
from brandpulse.state.outcomes.post_outcomes import NO_SOURCE
from brandpulse.text.readable_text import readable_text
from stream_workers.decoding.records import Record

MAX_RECORD_BYTES = 262_144

REASONS = (
    "empty",
    "too_large",
    "not_json",
    "not_utf8",
    "wrong_field",
    "unmatchable",
    "unscorable",
    "too_old",
    "from_the_future",
)
"""Every reason of a dead letter, of this stage and the later ones."""


class DecodedPost(msgspec.Struct, frozen=True, gc=False):
    """One readable post, with what the later stages need."""

    record: Record
    post: WirePost
    event_ms: int


class DeadRecord(msgspec.Struct, frozen=True, gc=False):
    """One record that goes to the dead-letter topic."""

    record: Record
    reason: str
    message: str
    source: str = NO_SOURCE
    """As far as it can be read."""


def decode_post(value: bytes | None) -> WirePost:
    """The post in a record's *value*, its text in the form of `readable_text`. Raises InvalidPostError."""
    if not value:
        raise InvalidPostError("empty", "the record has no value")
    if len(value) > MAX_RECORD_BYTES:
        raise InvalidPostError("too_large", f"the record has {len(value)} bytes; the limit is {MAX_RECORD_BYTES}")
    try:
        post = POST_DECODER.decode(value)
    except msgspec.ValidationError as error:
        raise InvalidPostError("wrong_field", str(error)) from None
    except RecursionError:
        raise InvalidPostError("not_json", "nested too deeply") from None
    except msgspec.DecodeError as error:
        raise InvalidPostError("not_json", str(error)) from None
    except UnicodeDecodeError as error:
        raise InvalidPostError("not_utf8", str(error)) from None
    text = readable_text(post.text)
    return post if text is post.text else msgspec.structs.replace(post, text=text)


class _Source(msgspec.Struct):
    source: Any = None


_SOURCE_DECODER = msgspec.json.Decoder(_Source)


def read_source(value: bytes | None) -> str:
    """The source in a record that holds no valid post, cut to the maximum length; `NO_SOURCE` if it has none."""
    if not value or len(value) > MAX_RECORD_BYTES:
        return NO_SOURCE
    try:
        source = _SOURCE_DECODER.decode(value).source
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return NO_SOURCE
    return source[:MAX_SOURCE_CHARS] if isinstance(source, str) else NO_SOURCE


def event_ms_of(post: WirePost) -> int:
    return int(post.created_at.timestamp() * 1_000)
