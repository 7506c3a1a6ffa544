"""Whom or what `brandpulse erase` erases, and how Kafka's records are recognised as theirs."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from brandpulse.errors import ConfigError
from brandpulse.schema.identity import AuthorHasher, author_hex
from brandpulse.schema.unknown_authors import is_unknown
from brandpulse.state.erasure.erased_posts import PostId

SURE_CHARS = 6
"""In a dead letter that is no JSON, a shorter id counts only together with its source: `7` occurs anywhere."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One post, or one author with all posts."""

    source: str
    id: str
    """Id of the post, or of the author."""
    is_author: bool
    hashes: frozenset[str] = frozenset()
    """The author's keyed hashes, 16 hexadecimal digits each: one for every author key in use."""

    @classmethod
    def post(cls, post: PostId) -> "Subject":
        return cls(post.source, post.id, is_author=False)

    @classmethod
    def author(cls, source: str, author_id: str, keys: Sequence[str]) -> "Subject":
        """Raises ConfigError if *author_id* names no person, such as `[deleted]`."""
        if is_unknown(author_id):
            raise ConfigError(
                f"--author {source} {author_id!r} is not one person: the source uses it for every unknown author. "
                "Erase their posts one by one with --post"
            )
        hashes = frozenset(author_hex(AuthorHasher(key)(source, author_id)) for key in keys)
        return cls(source, author_id, is_author=True, hashes=hashes)

    def __str__(self) -> str:
        return f"{'author' if self.is_author else 'post'} {self.id!r} of source {self.source!r}"

    @property
    def needle(self) -> bytes:
        """Part of the value of each of its records in the topic of posts, if that is JSON without escapes."""
        return self.id.encode()

    def owns(self, post: Any) -> bool:
        """Whether *post*, decoded JSON of the topic of posts, is theirs."""
        if not isinstance(post, dict):
            return False
        return (post.get("source"), post.get("author_id" if self.is_author else "id")) == (self.source, self.id)

    def owns_scored(self, post: Any) -> bool:
        """Whether *post*, decoded JSON of the topic of scored posts, is theirs."""
        if not isinstance(post, dict) or post.get("source") != self.source:
            return False
        return post.get("author") in self.hashes if self.is_author else post.get("id") == self.id

    def owns_letter(self, key: bytes | None, value: bytes | None) -> bool:
        """Whether a dead letter is theirs, or, if it is no JSON, names them."""
        raw = value or b""
        try:
            post = json.loads(raw)
        except (ValueError, RecursionError):
            return self._named_in(key or b"", raw)
        if isinstance(post, dict) and {"source", "author_id" if self.is_author else "id"} <= post.keys():
            # An invalid letter may hold a number where the schema wants text.
            found = post["author_id" if self.is_author else "id"]
            return (str(post["source"]), str(found)) == (self.source, self.id)
        return self._named_in(key or b"", raw)

    def _named_in(self, key: bytes, raw: bytes) -> bool:
        names_id = _word(self.id).search(raw) is not None or (not self.is_author and key == self.id.encode())
        return names_id and (len(self.id) >= SURE_CHARS or _word(self.source).search(raw) is not None)


def _word(text: str) -> re.Pattern[bytes]:
    return re.compile(rb"(?<![0-9A-Za-z_])" + re.escape(text.encode()) + rb"(?![0-9A-Za-z_])")
