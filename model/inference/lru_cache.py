"""A least-recently-used cache with constant memory use."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

SHARD_ENTRIES = 64
"""Entries of a shard: at least this number, less than twice as many."""


class LruCache(Generic[Key, Value]):
    """At most *most* entries; when full, the least recently used entry of the shard is removed. One thread at a time.

    The entries are split over many small dicts. A large dict with constant insertions and deletions is rebuilt
    regularly, with room for three times its entries: at 50,000 keys 5 MB in one block beside the old one, and malloc
    neither returns nor reuses the freed block. The blocks of small dicts are reused.
    """

    def __init__(self, most: int) -> None:
        """*most*: 1 or more."""
        shards = max(1, most // SHARD_ENTRIES)
        self._most = most // shards
        self._shards: list[dict[Key, Value]] = [{} for _ in range(shards)]

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def get(self, key: Key) -> Value | None:
        """The value of *key*, or None; counts as a use."""
        shard = self._shards[hash(key) % len(self._shards)]
        if (value := shard.pop(key, None)) is not None:
            shard[key] = value
        return value

    def put(self, key: Key, value: Value) -> None:
        """Stores *value*, which must not be None."""
        shard = self._shards[hash(key) % len(self._shards)]
        shard.pop(key, None)
        shard[key] = value
        if len(shard) > self._most:
            del shard[next(iter(shard))]
