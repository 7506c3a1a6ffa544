"""The partition store in Redis or Valkey. Key layout: `brandpulse/state/keys.py`; contract: `partition_store.py`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from brandpulse.errors import StateError, TransientError
from brandpulse.redis.client import script_target
from brandpulse.redis.error_hints import reaching_state, redis_outage, state_fault
from brandpulse.schema.identity import DIGEST_BYTES
from brandpulse.state.applied_logs import KEPT_LOGS, LeftLog
from brandpulse.state.erasure.erased_posts import copy_to
from brandpulse.state.keys import AlertingKeys, NamespaceKeys, PartitionKeys, brand_of
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.packed_ids import pack
from stream_workers.aggregation.types import HOUR_MINUTES, Cell, Change, Stored
from stream_workers.state_store.lua_arguments import (
    authors_key,
    batch_fields,
    build_call,
    field_of,
    flatten,
    may_drop,
    pane_key,
)
from stream_workers.state_store.partition_store import Applied, Failed, ReadRequest, Refused, left_log

DAY_HOURS = 24
DROPS_PER_CHANGE = 500
"""Expired keys that one call removes: limits the duration of the call."""


def _refusal(error: redis.ResponseError) -> StateError | TransientError:
    return state_fault(error) or redis_outage(error)


VERSION_FIELDS = ("next", "life", "writer")
"""Fields that identify the version of the state."""


def _version(values: Sequence[bytes | None]) -> list[bytes | None]:
    """`VERSION_FIELDS` for comparison: states of older releases lack the tokens."""
    return [values[0], *(token or b"" for token in values[1:])]


def _by_key(cells: Sequence[Cell]) -> list[list[Cell]]:
    """*cells* grouped by hash: the cost is per command, not per field."""
    found: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells:
        span, series, bucket = cell
        found.setdefault((span, series, bucket // (HOUR_MINUTES if span == "minute" else DAY_HOURS)), []).append(cell)
    return list(found.values())


def _script(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


class RedisPartitionStore:
    """Runs scripts by their digest. If the server does not know it (after a restart), loads the script and retries."""

    def __init__(self, client: redis.Redis, namespace: str, retention: Retention, *, drop_every: int = 1) -> None:
        """*drop_every*: expired keys are searched at every n-th call of `apply`, which costs a round trip."""
        self._client = client
        self._namespace = namespace
        self._names = NamespaceKeys(namespace)
        self._alerting = AlertingKeys(namespace)
        self._retention = retention
        self._apply = client.register_script(_script("lua/apply.lua"))
        self._rebase = client.register_script(_script("lua/rebase.lua"))
        self._touch = client.register_script(_script("lua/touch.lua"))
        self._seen = client.register_script(_script("lua/seen.lua"))
        self._announced: set[str] = set()
        self._drop_every = drop_every
        self._applies = 0
        self._more_to_drop = False

    def load(self, topic: str, partition: int) -> PartitionStatus | None:
        keys = self._keys(topic, partition)
        try:
            with reaching_state(retry_refusals=True):
                stored: Any = self._client.hgetall(keys.state)
        except StateError as error:
            raise StateError(f"{keys.state}: {error}") from error
        if not stored:
            return None
        if b"next" not in stored:
            raise StateError(f"{keys.state} has no field next; it holds {sorted(stored)[:5]!r}")
        with reaching_state(retry_refusals=True):
            copy_to(self._client, keys)
        return PartitionStatus.decode(topic, partition, stored)

    def rebase(self, stored: PartitionStatus | None, wanted: PartitionStatus) -> bool:
        keys = self._keys(wanted.topic, wanted.partition)
        before: list[Any] = [stored.next if stored else -1, stored.topic_id if stored else ""]
        before += [int(left_log(stored, wanted) is not None), KEPT_LOGS]
        fields = {
            "next": wanted.next,
            "topic_id": wanted.topic_id,
            "life": wanted.life,
            **batch_fields(wanted),
            "lost": wanted.lost,
            "paused": wanted.paused,
            "allowed_until": wanted.allowed_until,
        }
        self._announced.clear()
        with reaching_state(retry_refusals=True):
            self._client.sadd(self._names.partitions, f"{wanted.topic}:{wanted.partition}")
            copy_to(self._client, keys)
            return bool(self._rebase(keys=[keys.state, keys.logs], args=[*before, *flatten(fields)]))

    def left_logs(self, topic: str, partition: int) -> list[LeftLog]:
        with reaching_state(retry_refusals=True):
            stored: Any = self._client.lrange(self._keys(topic, partition).logs, 0, -1)
        return [LeftLog.decode(entry) for entry in stored]

    def origins(self, topic_id: str) -> tuple[int, ...] | None:
        with reaching_state(retry_refusals=True):
            offsets: Any = self._client.hget(self._names.origins, topic_id)
        return None if offsets is None else tuple(int(offset) for offset in offsets.split(b","))

    def set_origins(self, topic_id: str, offsets: Sequence[int]) -> tuple[int, ...]:
        with reaching_state(retry_refusals=True):
            self._client.hsetnx(self._names.origins, topic_id, ",".join(map(str, offsets)))
        return self.origins(topic_id) or tuple(offsets)

    def read(self, requests: Sequence[ReadRequest]) -> list[Stored]:
        with reaching_state(retry_refusals=True):
            try:
                replies = iter(self._query(requests))
            except redis.exceptions.NoScriptError:
                self._client.script_load(self._seen.script)
                replies = iter(self._query(requests))
        found = []
        for request in requests:
            status = request.status
            expected = [str(status.next).encode(), status.life.encode(), status.writer.encode()]
            before = _version(next(replies))
            duplicates: dict[bytes, int] = {}
            for generations, digests in request.id_lookups:
                seen = next(replies)
                for at, generation in zip(seen[::2], seen[1::2], strict=True):
                    digest, number = digests[at], generations[generation].number
                    duplicates[digest] = max(number, duplicates.get(digest, number))
            panes, authors = {}, {}
            for cells in _by_key(request.cells):
                for cell, pane in zip(cells, next(replies), strict=True):
                    if pane is not None:
                        panes[cell] = Pane.decode(pane)
                for cell, sketch in zip(cells, next(replies), strict=True):
                    if sketch is not None:
                        authors[cell] = sketch
            redriven = frozenset(
                digest
                for digest, score in zip(
                    request.redriven_ids, next(replies) if request.redriven_ids else (), strict=True
                )
                if score is not None
            )
            versions = before, _version(next(replies))
            moved = next((version for version in versions if version != expected), None)
            moved_to = None if moved is None else int(moved[0] or -1)
            found.append(Stored(duplicates, panes, authors, redriven, moved_to))
        return found

    def _query(self, requests: Sequence[ReadRequest]) -> list[Any]:
        """The replies to *requests*, in the order in which `read` takes them."""
        pipeline = self._client.pipeline(transaction=False)
        for request in requests:
            keys = self._keys(request.status.topic, request.status.partition)
            # Before and after: a write in between changes one of the two.
            pipeline.hmget(keys.state, *VERSION_FIELDS)
            for generations, digests in request.id_lookups:
                sets = [keys.ids(generation.number) for generation in generations]
                self._evalsha(pipeline, self._seen.sha, sets, [pack(digests), DIGEST_BYTES])
            for cells in _by_key(request.cells):
                fields = [field_of(cell) for cell in cells]
                pipeline.hmget(pane_key(keys, cells[0]), fields)
                pipeline.hmget(authors_key(keys, cells[0]), fields)
            if request.redriven_ids:
                pipeline.execute_command("ZMSCORE", keys.redriven, *request.redriven_ids)  # type: ignore[no-untyped-call]
            pipeline.hmget(keys.state, *VERSION_FIELDS)
        return list(pipeline.execute())

    def _evalsha(self, pipeline: Any, sha: str, keys: Sequence[str | bytes], args: Sequence[Any]) -> None:
        """EVALSHA by name: the pipeline of a cluster runs it, but has no method for it."""
        to = script_target(self._client, str(keys[0]))
        pipeline.execute_command("EVALSHA", sha, len(keys), *keys, *args, **to)

    def apply(self, changes: Sequence[Change]) -> list[Applied | Refused | Failed]:
        with reaching_state(retry_refusals=True):
            self._applies += 1
            due = self._more_to_drop or self._applies % self._drop_every == 0
            if due:
                # In a cluster the names are on another server: its failover may lose a name whose panes still exist.
                self._announced.clear()
            self._announce(changes)
            expired = self._expired(changes) if due else [[] for _ in changes]
            # A backfill over years leaves expired keys faster than a search at intervals would find them.
            self._more_to_drop = any(len(gone) >= DROPS_PER_CHANGE for gone in expired)
            replies = self._run_apply(changes, expired)
        outcomes: list[Applied | Refused | Failed] = []
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                refusal = _refusal(reply)
                if isinstance(refusal, TransientError):
                    raise refusal from reply
                outcomes.append(Failed(refusal))
            elif isinstance(reply, Exception):
                raise redis_outage(reply) from reply
            else:
                applied, next_offset = reply
                outcomes.append(Applied() if applied else Refused(int(next_offset)))
        if any(isinstance(outcome, Refused) for outcome in outcomes):
            # The store may be another one or an older state, without the names that this worker stored.
            self._announced.clear()
        return outcomes

    def touch(self, status: PartitionStatus) -> bool:
        fields = {
            "owner": status.owner,
            "seen_wall_ms": status.seen_wall_ms,
            "caught_up": int(status.caught_up),
            "lag": status.lag,
            "paused": status.paused,
        }
        keys = self._keys(status.topic, status.partition)
        with reaching_state(retry_refusals=True):
            owns = bool(self._touch(keys=[keys.state], args=[status.next, *flatten(fields)]))
            if owns:
                # Each time: a failover may have lost the list and not the state, see `apply`.
                self._client.sadd(self._names.partitions, f"{status.topic}:{status.partition}")
            return owns

    def _keys(self, topic: str, partition: int) -> PartitionKeys:
        return PartitionKeys(self._namespace, topic, partition)

    def _announce(self, changes: Sequence[Change]) -> None:
        """Store the names of brands before their first pane, so that a reader never misses one.

        The series of a facet is not a brand: its name follows from the facet.
        """
        brands = {brand_of(cell.brand) for change in changes for cell in change.panes} - self._announced
        if brands:
            self._client.sadd(self._names.brands, *brands)
            self._announced |= brands

    def _expired(self, changes: Sequence[Change]) -> list[list[bytes]]:
        """Keys that each change may remove: expired, and evaluated by the alerter if they hold minutes."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.get(self._alerting.evaluated_until)
        for change in changes:
            keys = self._keys(change.status.topic, change.status.partition)
            pipeline.zrangebyscore(
                keys.index, "-inf", change.status.watermark_ms, start=0, num=DROPS_PER_CHANGE, withscores=True
            )
        evaluated_raw, *found = pipeline.execute()
        evaluated_until = int(evaluated_raw) if evaluated_raw is not None else None
        return [
            [
                member
                for member, score in rows
                if may_drop(member, int(score), change.status.watermark_ms, evaluated_until)
            ]
            for change, rows in zip(changes, found, strict=True)
        ]

    def _run_apply(self, changes: Sequence[Change], expired: Sequence[Sequence[bytes]]) -> list[Any]:
        calls = [
            build_call(change, self._keys(change.status.topic, change.status.partition), dropped, self._retention)
            for change, dropped in zip(changes, expired, strict=True)
        ]
        pipeline = self._client.pipeline(transaction=False)
        for keys, args in calls:
            self._evalsha(pipeline, self._apply.sha, keys, args)
        replies = pipeline.execute(raise_on_error=False)
        if any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies):
            self._client.script_load(self._apply.script)
            # The compare-and-set refuses those that did run, so only the others are sent again.
            return [
                self._client.evalsha(self._apply.sha, len(keys), *keys, *args)
                if isinstance(reply, redis.exceptions.NoScriptError)
                else reply
                for (keys, args), reply in zip(calls, replies, strict=True)
            ]
        return list(replies)
