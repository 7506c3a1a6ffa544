"""Which posts and authors were erased: the list that every partition follows, also those of a later replay.

    {ns:erasure}:posts       zset   tombstone of a post (`PostId.tombstones`) -> wall ms; the newest 400,000
    {ns:erasure}:authors     set    keyed hash of an author, 16 hexadecimal digits
    {ns:erasure}:letters     set    record id of a dead letter that is not shown or sent again
    {ns:erasure}:namespaces  set    ns and each shadow of it in which a partition has state
    {ns:topic:p}:erased      set    a copy of posts and authors (an author with `@` before it), for apply.lua

An erasure is added to the list first, then to each known partition. A worker announces its partition first, then copies
the list. So a partition cannot miss an erasure, in whichever order the two happen.
"""

import hashlib
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import redis

from brandpulse.redis.error_hints import reaching_redis
from brandpulse.state.keys import ErasureKeys, NamespaceKeys, PartitionKeys
from brandpulse.state.namespaces import live_namespace, load_replay

MOST_TOMBSTONES = 400_000
"""Two of a post. A post that is dropped from the list could be shown again by a replay."""
CHUNK = 1_000
AUTHOR_MARK = "@"


class PostId(NamedTuple):
    """Source and id of a post, as its producer wrote them."""

    source: str
    id: str

    @property
    def digest(self) -> str:
        """Its name in samples, see `stream_workers/aggregation/post_sample.py`."""
        return hashlib.blake2b(f"{self.source}\0{self.id}".encode(), digest_size=12).hexdigest()[:12]

    @property
    def tombstones(self) -> tuple[str, str]:
        """Its members of `{tag}:erased`, as `stream_workers/state_store/lua/apply.lua` looks them up."""
        return hashlib.sha1(f"{self.source}\0{self.id}".encode(), usedforsecurity=False).hexdigest(), self.digest


def forbid(client: redis.Redis, namespace: str, *, posts: Iterable[PostId] = (), authors: Collection[str] = ()) -> None:
    """From now on, no worker stores text of *posts*, or of *authors* (16 hexadecimal digits each); counts go on.

    Raises TransientError.
    """
    keys = ErasureKeys(namespace)
    members = [tombstone for post in posts for tombstone in post.tombstones]
    now_ms = int(time.time() * 1_000)
    with reaching_redis():
        for chunk in _chunks(members):
            client.zadd(keys.posts, dict.fromkeys(chunk, now_ms))
        client.zremrangebyrank(keys.posts, 0, -MOST_TOMBSTONES - 1)
        if authors:
            client.sadd(keys.authors, *authors)
        members += [AUTHOR_MARK + author for author in authors]
        for partition in partitions(client, namespace):
            for chunk in _chunks(members):
                client.sadd(partition.erased, *chunk)


def copy_to(client: redis.Redis, keys: PartitionKeys) -> None:
    """Copy the list of erased posts and authors to a partition that a worker begins to read. Raises TransientError."""
    with reaching_redis():
        replay = load_replay(client, keys.namespace)
        lists = ErasureKeys(keys.namespace if replay is None else replay.parent)
        if not client.sismember(lists.namespaces, keys.namespace):
            client.sadd(lists.namespaces, keys.namespace)
        posts: Any = client.zrange(lists.posts, 0, -1)
        authors: Any = client.smembers(lists.authors)
        for chunk in _chunks([*posts, *(AUTHOR_MARK.encode() + author for author in authors)]):
            client.sadd(keys.erased, *chunk)


def partitions(client: redis.Redis, namespace: str) -> Iterator[PartitionKeys]:
    """Every partition with state, of *namespace*, of the namespace that readers follow, and of every shadow."""
    shadows: Any = client.smembers(ErasureKeys(namespace).namespaces)
    names = [namespace, live_namespace(client, namespace), *sorted(name.decode() for name in shadows)]
    for name in dict.fromkeys(names):
        known: Any = client.smembers(NamespaceKeys(name).partitions)
        for member in sorted(known):
            topic, partition = member.decode().rsplit(":", 1)
            yield PartitionKeys(name, topic, int(partition))


def hide_letters(client: redis.Redis, namespace: str, record_ids: Sequence[str]) -> None:
    """`brandpulse dlq` neither shows nor sends these dead letters from now on. Raises TransientError."""
    with reaching_redis():
        for chunk in _chunks(record_ids):
            client.sadd(ErasureKeys(namespace).letters, *chunk)


def hidden_letters(client: redis.Redis, namespace: str) -> frozenset[str]:
    """Record ids of the dead letters that were erased. Raises TransientError."""
    with reaching_redis():
        found: Any = client.smembers(ErasureKeys(namespace).letters)
    return frozenset(member.decode() for member in found)


def _chunks(members: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(members), CHUNK):
        yield members[start : start + CHUNK]
