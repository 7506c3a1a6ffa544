"""Honours deletions and edits of the platforms: removes the texts from everything that is shown. Counts stay.

A deletion is stored before the position of its source moves past it, and removed once it was applied: none is lost.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import redis

from brandpulse.errors import TransientError
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.runtime.backoff import pause
from brandpulse.runtime.metrics import Telemetry
from brandpulse.schema.identity import AuthorHasher, author_hex, post_digest
from brandpulse.schema.unknown_authors import is_unknown
from brandpulse.state.erasure.alert_examples import examples_among
from brandpulse.state.erasure.erased_posts import PostId, partitions
from brandpulse.state.erasure.stored_text import Erased, erase, find_stored
from brandpulse.state.keys import AlertingKeys, PartitionKeys, SourceKeys
from brandpulse.state.pane_reader import PaneReader
from ingest.sources.events import Delete, Edit

log = logging.getLogger(__name__)

FIRST_LOOK_SECONDS = 60.0
"""A post may still be on its way to the workers when the platform deletes it."""
SECOND_LOOK_SECONDS = 3_600.0
"""After the first look: for a post that the workers counted late."""
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 30.0, 300.0
SHARE_OF_TIME = 0.02
"""Longest share of the time that the search may take: it reads all stored posts."""
MOST_AT_ONCE = 20_000
MOST_QUEUED = 500_000
CHUNK = 1_000


class Deletion(msgspec.Struct, frozen=True, array_like=True):
    """A post, or all posts of an author, that the platform removed or changed."""

    source: str
    """As its posts name it."""
    id: str | None = None
    author_id: str | None = None
    look: int = 1
    """1 or 2: see `SECOND_LOOK_SECONDS`."""


def queue_deletions(client: redis.Redis, namespace: str, deletions: Iterable[Deletion], *, now: float) -> None:
    """Store *deletions*, first looked at `FIRST_LOOK_SECONDS` after *now* (seconds since 1970). Raises TransientError.

    Beyond `MOST_QUEUED`, the oldest are dropped.
    """
    key = SourceKeys(namespace).deletions
    members = {msgspec.json.encode(deletion): now + FIRST_LOOK_SECONDS for deletion in deletions}
    if members:
        with reaching_redis():
            # NX: a source that reads the deletion again must not postpone it.
            client.zadd(key, members, nx=True)
            client.zremrangebyrank(key, 0, -MOST_QUEUED - 1)


class DeletionSweeper:
    """Applies the stored deletions that are due."""

    def __init__(self, client: redis.Redis, namespace: str, author_keys: Sequence[str], telemetry: Telemetry) -> None:
        """*author_keys*: the key of the workers, and former ones."""
        self._client = client
        self._namespace = namespace
        self._hashers = [AuthorHasher(key) for key in author_keys]
        self._telemetry = telemetry

    async def run(self, stop: asyncio.Event) -> None:
        """Until *stop*. A fault is logged, and the deletions stay for the next round."""
        wait = PAUSE_SECONDS
        while not stop.is_set():
            await pause(stop, wait)
            began = time.monotonic()
            try:
                await asyncio.to_thread(self.sweep, time.time())
            except TransientError as error:
                log.warning("deletions not applied", extra={"reason": str(error)})
            except Exception:
                log.exception("deletions not applied")
            took = time.monotonic() - began
            wait = min(max(PAUSE_SECONDS, took / SHARE_OF_TIME), LONGEST_PAUSE_SECONDS)

    def sweep(self, now: float) -> Erased:
        """Apply what is due at *now* (seconds since 1970). Blocking. Raises TransientError."""
        key = SourceKeys(self._namespace).deletions
        with reaching_redis():
            due: Any = self._client.zrangebyscore(key, "-inf", now, start=0, num=MOST_AT_ONCE)
        if not due:
            return Erased()
        deletions = [msgspec.json.decode(member, type=Deletion) for member in due]
        erased = self._erase(deletions)
        again = {
            msgspec.json.encode(msgspec.structs.replace(deletion, look=2)): now + SECOND_LOOK_SECONDS
            for deletion in deletions
            if deletion.look == 1
        }
        with reaching_redis():
            if again:
                self._client.zadd(key, again)
            for start in range(0, len(due), CHUNK):
                self._client.zrem(key, *due[start : start + CHUNK])
        if erased.total:
            counter = self._telemetry.counter("brandpulse_deleted_texts_total")
            counter.inc(erased.total)
            log.info(
                "texts of deleted posts removed",
                extra={"posts": erased.posts, "samples": erased.samples, "episodes": erased.episodes},
            )
        return erased

    def _erase(self, deletions: Sequence[Deletion]) -> Erased:
        posts = {PostId(one.source, one.id) for one in deletions if one.id is not None}
        authors = {
            author_hex(hasher(one.source, one.author_id))
            for one in deletions
            if one.author_id is not None and not is_unknown(one.author_id)
            for hasher in self._hashers
        }
        # Of all deletions on a network, few are of posts that we have. Only those may fill the list of erased posts.
        ours = find_stored(self._client, self._namespace, posts, authors=authors).posts
        ours |= _counted(self._client, self._namespace, posts)
        ours |= set(examples_among(self._client, AlertingKeys(self._namespace), posts))
        return erase(self._client, self._namespace, ours) if ours else Erased()


def _counted(client: redis.Redis, namespace: str, posts: Collection[PostId]) -> set[PostId]:
    """Those of *posts* that workers counted within their dedup window, some hours."""
    ordered = sorted(posts)
    digests = [post_digest(post.source, post.id) for post in ordered]
    found: set[PostId] = set()
    with reaching_redis():
        names = {keys.namespace for keys in partitions(client, namespace)}
        statuses = [(name, status) for name in names for status in PaneReader(client, name, follow=False).partitions()]
        for name, status in statuses:
            keys = PartitionKeys(name, status.topic, status.partition)
            for generation in status.generations:
                for start in range(0, len(digests), CHUNK):
                    chunk = digests[start : start + CHUNK]
                    flags: Any = client.smismember(keys.ids(generation.number), chunk)
                    found.update(ordered[start + at] for at, member in enumerate(flags) if member)
    return found


def deletions_among(events: Iterable[object], source: str) -> Iterator[Deletion]:
    """The deletions and edits among *events* of a source whose posts are named *source*."""
    for event in events:
        if isinstance(event, Edit):
            yield Deletion(source, event.id)
        elif isinstance(event, Delete):
            yield Deletion(source, event.id, event.author_id)
