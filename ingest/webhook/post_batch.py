"""Reads the posts in a request's body: one post, a JSON array, or one post a line. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from pydantic import ValidationError

from brandpulse.config.validation import reason_of, sentence
from brandpulse.schema.posts import Post, PostDecoder, WirePost

BodyFormat = Literal["json", "ndjson"]
CONTENT_TYPES: dict[str, BodyFormat] = {"application/json": "json", "application/x-ndjson": "ndjson"}

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODE = msgspec.json.Encoder().encode
_NO_UTF8 = "is not UTF-8 text"


class BodyError(ValueError):
    """The body as a whole is not what its content type says; the message is for the sender."""


class TooManyPostsError(ValueError):
    """The body has more posts than a request may have; the message is for the sender."""


@dataclass(frozen=True, slots=True)
class RefusedPost:
    """A post that the workers would refuse."""

    index: int
    """Position in the request, from 0; empty lines do not count."""
    field: str
    """Empty if the post as a whole is wrong."""
    reason: str


@dataclass(slots=True)
class PostBatch:
    """The posts of one request."""

    posts: list[tuple[str, bytes]] = field(default_factory=list)
    """(Id, record) of each good post, in order."""
    refused: list[RefusedPost] = field(default_factory=list)


class BatchReader:
    """Reads requests of one sender. *source*: of posts that name none. *most_posts*: per request."""

    def __init__(self, source: str, *, most_posts: int) -> None:
        self._defaults = {"schema_version": 1, "source": source}
        self._most = most_posts
        self._decoder = PostDecoder(self._defaults)

    def read(self, body: bytes, kind: BodyFormat) -> PostBatch:
        """Raises BodyError, TooManyPostsError."""
        try:
            posts = self._all_good(body, kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._one_by_one(body, kind)  # it names each bad post
        self._check_number(len(posts))
        batch = PostBatch()
        for index, post in enumerate(posts):
            self._add(batch, index, post)
        return batch

    def _all_good(self, body: bytes, kind: BodyFormat) -> Sequence[WirePost]:
        if kind == "ndjson":
            return self._decoder.decode_lines(body)
        return self._decoder.decode_array(body) if body.lstrip()[:1] == b"[" else [self._decoder.decode_strictly(body)]

    def _one_by_one(self, body: bytes, kind: BodyFormat) -> PostBatch:
        parts = self._parts(body, kind)
        self._check_number(len(parts))
        batch = PostBatch()
        for index, part in enumerate(parts):
            try:
                post = self._decoder.decode(part)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                where, reason = self._fault(part, error)
                batch.refused.append(RefusedPost(index, where, reason))
            else:
                self._add(batch, index, post)
        return batch

    def _parts(self, body: bytes, kind: BodyFormat) -> Sequence[bytes]:
        if kind == "ndjson":
            # Only at line feeds, as `decode_lines`: a carriage return may be a space between two values of a post.
            return [line for line in body.split(b"\n") if line.strip()]
        if not body.strip():
            raise BodyError("the body is empty")
        array = body.lstrip()[:1] == b"["
        try:
            if array:
                return [bytes(part) for part in _ARRAY.decode(body)]
            msgspec.json.decode(body, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError):
            # msgspec refuses the body as a whole for half a surrogate pair or a NaN in one post.
            try:
                content = json.loads(body.decode())
                return [json.dumps(part).encode() for part in content] if array else [body]
            except (ValueError, RecursionError) as error:
                raise BodyError(f"the body cannot be read: {reason_of(error)}") from None
        return [body]

    def _check_number(self, posts: int) -> None:
        if posts > self._most:
            raise TooManyPostsError(f"the request has {posts:,} posts; at most {self._most:,} are allowed")

    @staticmethod
    def _add(batch: PostBatch, index: int, post: WirePost) -> None:
        if post.text.isspace():
            batch.refused.append(RefusedPost(index, "text", "has only spaces"))
        else:
            batch.posts.append((post.id, _ENCODE(post)))

    def _fault(self, part: bytes, error: Exception) -> tuple[str, str]:
        """(Field, reason) of a post that cannot be decoded."""
        try:
            content: Any = msgspec.json.decode(part)
        except UnicodeDecodeError:
            return "", _NO_UTF8
        except (msgspec.DecodeError, RecursionError):
            return "", _json_fault(part)
        if not isinstance(content, dict):
            return "", "must be a JSON object"
        try:
            Post.model_validate(self._defaults | content)
        except ValidationError as fault:
            problem = fault.errors()[0]
            return ".".join(map(str, problem["loc"])), sentence(problem)
        # The worker's decoder is stricter than the model: a time such as 24:00 or a leap second.
        reason, _, place = str(error).partition(" - at ")
        return place.strip("`").removeprefix("$."), reason


def _json_fault(part: bytes) -> str:
    try:
        json.loads(part, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return f"cannot be read: {reason_of(error)}"
    return "has half a surrogate pair: a text was cut inside a character"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}; write null instead")
