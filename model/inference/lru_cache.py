"""What was used lately, in memory that stays as it is."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

SHARD_ENTRIES = 64
"""Entries of a shard: so many, and up to twice as many where they do not share out evenly."""


class LruCache(Generic[Key, Value]):
    """At most *most* entries; where one is too many, the one used longest ago of its shard goes. One thread at a time.

    In many small dicts. A large one from which a key goes for each that comes is built anew every so many keys, with
    room for three times what it holds: at 50,000 keys 5 MB in one piece, beside the old ones, and the hole these leave
    the C library neither gives back nor finds a use for. Small ones leave holes that the next one fits.
    """

    def __init__(self, most: int) -> None:
        """*most*: 1 or more."""
        shards = max(1, most // SHARD_ENTRIES)
        self._most = most // shards
        self._shards: list[dict[Key, Value]] = [{} for _ in range(shards)]

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def get(self, key: Key) -> Value | None:
        """What is remembered of *key*, which is used by that."""
        shard = self._shards[hash(key) % len(self._shards)]
        if (value := shard.pop(key, None)) is not None:
            shard[key] = value
        return value

    def put(self, key: Key, value: Value) -> None:
        """Remember *value*, which is not None."""
        shard = self._shards[hash(key) % len(self._shards)]
        shard.pop(key, None)
        shard[key] = value
        if len(shard) > self._most:
            del shard[next(iter(shard))]
