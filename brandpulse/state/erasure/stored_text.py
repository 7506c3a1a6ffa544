"""Removes the text of posts from everything that Redis stores. Counts stay. Blocking.

Text that a worker or the alerter read earlier is not written back: a worker's call skips erased posts (`erased_posts`);
once `erasures` has changed, Redis rejects the alerter's calls or keeps the stored text (`alert_examples`).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis

from brandpulse.redis.error_hints import reaching_redis
from brandpulse.state.erasure.alert_examples import erase_examples, examples_among, note_erasure
from brandpulse.state.erasure.erased_posts import PostId, forbid, partitions
from brandpulse.state.keys import AlertingKeys, NamespaceKeys, PartitionKeys

KEYS_PER_READ = 200
"""Sorted sets per round trip: some 10 MB at most."""


@dataclass(frozen=True, slots=True)
class Erased:
    """Number of removed copies of a text, by the place that held them."""

    posts: int = 0
    """Recent posts, over brands, facets and partitions."""
    samples: int = 0
    """Words of the post in samples of usual posts."""
    episodes: int = 0
    """Examples in open and closed episodes."""
    notifications: int = 0
    """Examples in notifications that wait, were refused, or were delivered."""

    @property
    def total(self) -> int:
        return self.posts + self.samples + self.episodes + self.notifications


@dataclass(slots=True)
class StoredTraces:
    """Members of sorted sets that hold the wanted posts, and the ids that they name."""

    members: dict[str, list[bytes]] = field(default_factory=dict)
    """Key -> members."""
    posts: set[PostId] = field(default_factory=set)


def erase(client: redis.Redis, namespace: str, posts: Collection[PostId], *, authors: Collection[str] = ()) -> Erased:
    """Remove the texts of *posts*, and of all stored posts of *authors* (keyed hashes, 16 hexadecimal digits each).

    A sample and an episode hold no author: they lose the posts that *posts* or another stored copy names. Raises
    TransientError if Redis is unreachable or changes faster than it is read.
    """
    # Before the search: from now on, a worker's writes skip these posts.
    forbid(client, namespace, posts=posts, authors=authors)
    wanted = set(posts)
    if authors:
        wanted |= find_stored(client, namespace, posts, authors=authors).posts
        forbid(client, namespace, posts=wanted - set(posts))
    removed = samples = 0
    found = find_stored(client, namespace, wanted, authors=authors)
    with reaching_redis():
        for key, members in found.members.items():
            client.zrem(key, *members)
            removed += len(members) * (":s:" not in key)
            samples += len(members) * (":s:" in key)
    keys = AlertingKeys(namespace)
    # What the alerter reads from now on holds no post that was erased above.
    note_erasure(client, keys)
    episodes = notifications = 0
    for post in examples_among(client, keys, wanted):
        in_episodes, in_notifications = erase_examples(client, keys, post)
        episodes, notifications = episodes + in_episodes, notifications + in_notifications
    return Erased(removed, samples, episodes, notifications)


def find_stored(
    client: redis.Redis, namespace: str, posts: Collection[PostId], *, authors: Collection[str] = ()
) -> StoredTraces:
    """Where Redis stores text or words of *posts* or *authors*, in recent posts and samples. Raises TransientError."""
    wanted, by_author = frozenset(posts), frozenset(authors)
    digests = frozenset(post.digest for post in wanted)
    found = StoredTraces()
    with reaching_redis():
        for partition in partitions(client, namespace):
            for keys in _in_groups(_post_keys(client, partition)):
                pipeline = client.pipeline(transaction=False)
                for key in keys:
                    pipeline.zrange(key, 0, -1)
                for key, members in zip(keys, pipeline.execute(), strict=True):
                    for member in members:
                        stored = msgspec.json.decode(member)
                        post, author = _identity(stored)
                        if post is None:
                            if stored[0] not in digests:
                                continue
                        elif post in wanted or author in by_author:
                            found.posts.add(post)
                        else:
                            continue
                        found.members.setdefault(key, []).append(member)
    return found


def _identity(stored: Any) -> tuple[PostId | None, str]:
    """Post and author of a stored post; None of a post in a sample, which has only a digest."""
    if isinstance(stored, dict):
        return PostId(stored.get("source", ""), stored.get("id", "")), stored.get("author", "")
    if isinstance(stored[1], str):
        return PostId(stored[1], stored[0]), stored[4]
    return None, ""


def _post_keys(client: redis.Redis, keys: PartitionKeys) -> Iterator[str]:
    """Keys that hold posts: those per hour and day by the index, the recent ones by the names of their series."""
    members: Any = client.zrange(keys.index, 0, -1)
    names = [member.decode() for member in members]
    kinds = {f"{keys.tag}:{kind}:": kind for kind in ("kn", "ko", "s", "h")}
    listed: Any = client.smembers(NamespaceKeys(keys.namespace).brands)
    series = {name.decode() for name in listed}
    for name in names:
        prefix = next((prefix for prefix in kinds if name.startswith(prefix)), None)
        if prefix is None:
            continue
        if kinds[prefix] == "h":
            series.add(name.removeprefix(prefix).split(":", 1)[1])
        else:
            yield name
    for name in sorted(series):
        yield keys.negatives(name)


def _in_groups(keys: Iterator[str]) -> Iterator[list[str]]:
    group: list[str] = []
    for key in keys:
        group.append(key)
        if len(group) == KEYS_PER_READ:
            yield group
            group = []
    if group:
        yield group
