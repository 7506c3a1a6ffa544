"""Bytes of a record -> post, or the reason why not. Before batching: one unreadable post must not fail the others."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from brandpulse.errors import InvalidPostError
from brandpulse.schema.posts import POST_DECODER, WirePost
from brandpulse.state.outcomes.post_outcomes import NO_SOURCE
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
"""Every reason a dead letter can have, of this stage and the later ones."""


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """One readable post, with what the later stages ask of it."""

    record: Record
    post: WirePost
    event_ms: int


class Dead(msgspec.Struct, frozen=True, gc=False):
    """One record that goes to the dead-letter topic."""

    record: Record
    reason: str
    message: str
    source: str = NO_SOURCE
    """As far as it can be read."""


def decode(records: Sequence[Record]) -> list[Decoded | Dead]:
    """Each record's post or its reason, in order. Raises nothing."""
    out: list[Decoded | Dead] = []
    for record in records:
        try:
            post = post_of(record.value)
            out.append(Decoded(record, post, event_ms_of(post)))
        except InvalidPostError as error:
            out.append(Dead(record, error.reason, str(error), source_in(record.value)))
    return out


def post_of(value: bytes | None) -> WirePost:
    """The post that a record's *value* holds. Raises InvalidPostError."""
    if not value:
        raise InvalidPostError("empty", "the record has no value")
    if len(value) > MAX_RECORD_BYTES:
        raise InvalidPostError("too_large", f"{len(value)} bytes; at most {MAX_RECORD_BYTES} are read")
    try:
        return POST_DECODER.decode(value)
    except msgspec.ValidationError as error:
        raise InvalidPostError("wrong_field", str(error)) from None
    except RecursionError:
        raise InvalidPostError("not_json", "nested too deeply") from None
    except msgspec.DecodeError as error:
        raise InvalidPostError("not_json", str(error)) from None
    except UnicodeDecodeError as error:
        raise InvalidPostError("not_utf8", str(error)) from None


class _Sourced(msgspec.Struct):
    source: Any = None


_SOURCE_DECODER = msgspec.json.Decoder(_Sourced)
LONGEST_SOURCE = 64


def source_in(value: bytes | None) -> str:
    """The source that a record names which holds no post, cut to what a source may have; `NO_SOURCE` without one."""
    if not value or len(value) > MAX_RECORD_BYTES:
        return NO_SOURCE
    try:
        source = _SOURCE_DECODER.decode(value).source
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return NO_SOURCE
    return source[:LONGEST_SOURCE] if isinstance(source, str) else NO_SOURCE


def event_ms_of(post: WirePost) -> int:
    return int(post.created_at.timestamp() * 1_000)


DIGEST_BYTES = 12


def post_digest(source: str, post_id: str) -> bytes:
    """What the repeat memory holds: 12 bytes, so one false repeat in some 10^18 pairs."""
    return hashlib.blake2b(f"{source}\0{post_id}".encode(), digest_size=DIGEST_BYTES).digest()


KNOWN_AUTHORS = 20_000
"""Authors met lately whose hash is remembered: some megabytes; whoever posts much about a brand posts again."""


class AuthorHasher:
    """Keyed hashes of author ids: without the key nobody gets back from the store to a person."""

    def __init__(self, key: str) -> None:
        self.key = hashlib.blake2b(key.encode(), digest_size=32).digest()
        """What hashes are keyed with."""
        self._known: dict[tuple[str, str], int] = {}

    def __call__(self, source: str, author_id: str) -> int:
        """A signed 64-bit number; the same author on two sources is two people."""
        author = source, author_id
        if (known := self._known.get(author)) is None:
            if len(self._known) >= KNOWN_AUTHORS:
                self._known.clear()
            known = self._known[author] = self._hash(source, author_id)
        return known

    def of_post(self, source: str, post_id: str) -> int:
        """In place of an unknown author: a number of the post's own."""
        return self._hash(source, f"\0{post_id}")

    def _hash(self, source: str, author_id: str) -> int:
        digest = hashlib.blake2b(f"{source}\0{author_id}".encode(), digest_size=8, key=self.key).digest()
        return int.from_bytes(digest, "big", signed=True)


def author_word(author: int) -> str:
    """The hash as it is stored and shown: 16 hexadecimal digits."""
    return f"{author & 0xFFFF_FFFF_FFFF_FFFF:016x}"
