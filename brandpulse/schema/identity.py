"""Identities as the store and the topics hold them: digests of posts, and keyed hashes of authors."""

import hashlib

from brandpulse.schema.unknown_authors import is_unknown

DIGEST_BYTES = 12


def post_digest(source: str, post_id: str) -> bytes:
    """Digest of a post's (source, id). With 12 bytes, about one pair in 10^18 collides by chance."""
    return hashlib.blake2b(f"{source}\0{post_id}".encode(), digest_size=DIGEST_BYTES).digest()


CACHED_AUTHORS = 20_000
"""Recent authors whose hash is cached: some megabytes. An author who posts about a brand often posts again."""


class AuthorHasher:
    """Keyed hashes of author ids. Without the key, a hash in the store cannot be traced back to a person."""

    def __init__(self, key: str) -> None:
        self.key = hashlib.blake2b(key.encode(), digest_size=32).digest()
        """The key of the hashes, derived from the configured one."""
        self._cache: dict[tuple[str, str], int] = {}

    def __call__(self, source: str, author_id: str) -> int:
        """The author's hash, a signed 64-bit number. The same author id on two sources is two people."""
        author = source, author_id
        if (cached := self._cache.get(author)) is None:
            if len(self._cache) >= CACHED_AUTHORS:
                self._cache.clear()
            cached = self._cache[author] = self._hash(source, author_id)
        return cached

    def of_author(self, source: str, author_id: str, post_id: str) -> int:
        """The hash of a post's author; of an unknown author (`is_unknown`) a hash unique to the post."""
        return self.of_post(source, post_id) if is_unknown(author_id) else self(source, author_id)

    def of_post(self, source: str, post_id: str) -> int:
        """The hash that replaces an unknown author's: unique to the post."""
        return self._hash(source, f"\0{post_id}")

    def _hash(self, source: str, author_id: str) -> int:
        digest = hashlib.blake2b(f"{source}\0{author_id}".encode(), digest_size=8, key=self.key).digest()
        return int.from_bytes(digest, "big", signed=True)


def author_hex(author: int) -> str:
    """The hash as it is stored and shown: 16 hexadecimal digits."""
    return f"{author & 0xFFFF_FFFF_FFFF_FFFF:016x}"
