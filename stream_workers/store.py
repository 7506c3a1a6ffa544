"""The writing side of the partition state: load, read before a fold, apply a change. The contract, and Redis.

Every method is blocking and made for one thread of its own. Key layout: `brandpulse/keys.py`. Twin: `memory_store.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import redis

from brandpulse.errors import StateError, TransientError
from brandpulse.keys import DAY_MS, HOUR_MS, AlertingKeys, NamespaceKeys, PartitionKeys
from brandpulse.panes import Pane
from brandpulse.partitions import PartitionStatus, encode_generations
from brandpulse.redis_client import OUTAGES, outage, routed
from stream_workers.event_time import Retention
from stream_workers.fold import KEPT_NEGATIVES, Cell, Change, Stored, encode_negative

DROPS_PER_CHANGE = 500
"""Keys past their time that one call removes: bounds the call's length."""
KEPT_REDRIVEN = 1_000_000
"""Identities of redriven posts that a partition remembers, the newest: some 100 bytes each, of letters only."""
UNEVALUATED_BOUND_MS = 5 * DAY_MS
"""Minute panes wait for the alerter, but at most so long past their own keeping time (7 d with the default 48 h)."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What one partition's batch asks before its fold."""

    status: PartitionStatus
    digests: Sequence[bytes]
    cells: Sequence[Cell]
    identities: Sequence[bytes] = ()
    """First identities of redriven posts, which may be done already."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The change is in, whole."""


@dataclass(frozen=True, slots=True)
class Refused:
    """`next` stands elsewhere (-1: no state at all): forget what is held, load, seek."""

    next: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The script named a key of a shape we never wrote: stop the partition, a person must look."""

    error: StateError


class PartitionStore(Protocol):
    """Exactly-once state of partitions."""

    def load(self, topic: str, partition: int) -> PartitionStatus | None: ...

    def rebase(self, seen: PartitionStatus | None, wanted: PartitionStatus) -> bool:
        """Put `next` elsewhere, if the state is still as it was *seen*. False: somebody else moved it; load again."""
        ...

    def origins(self, topic_id: str) -> tuple[int, ...] | None:
        """Where the namespace began to read each partition of that log; None: at its beginning."""
        ...

    def begin_at(self, topic_id: str, offsets: Sequence[int]) -> tuple[int, ...]:
        """Note the origins, if nobody did; what is noted then. All partitions at once: a worker may die between two."""
        ...

    def read(self, requests: Sequence[ReadRequest]) -> list[Stored]: ...

    def apply(self, changes: Sequence[Change]) -> list[Applied | Refused | Failed]:
        """Each change whole or not at all. Raises TransientError when the outcome of some is unknown."""
        ...

    def touch(self, status: PartitionStatus) -> bool:
        """The owner's sign of life; False when `next` is no longer where *status* says."""
        ...


@contextmanager
def _translated() -> Iterator[None]:
    """What Redis says, in our words: damage is told apart from an unreachable, full or read-only server."""
    try:
        yield
    except OUTAGES as error:
        raise outage(error) from error
    except redis.ResponseError as error:
        raise _refusal(error) from error


def _refusal(error: redis.ResponseError) -> StateError | TransientError:
    if str(error).startswith(("STATE", "WRONGTYPE")):
        return StateError(str(error))
    return outage(error)


def _place(found: Sequence[bytes | None]) -> list[bytes | None]:
    """`next` and `life` as they are compared: states of versions that knew no life have none."""
    return [found[0], found[1] or b""]


def _script(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


class RedisPartitionStore:
    """The real one. Scripts run by their digest; an unknown digest (a restarted server) is loaded and run again."""

    def __init__(self, client: redis.Redis, namespace: str, retention: Retention, *, drop_every: int = 1) -> None:
        """*drop_every*: old keys are looked for at each so-manieth call of `apply`; it costs a round trip."""
        self._client = client
        self._namespace = namespace
        self._names = NamespaceKeys(namespace)
        self._alerting = AlertingKeys(namespace)
        self._retention = retention
        self._apply = client.register_script(_script("apply.lua"))
        self._rebase = client.register_script(_script("rebase.lua"))
        self._touch = client.register_script(_script("touch.lua"))
        self._announced: set[str] = set()
        self._drop_every = drop_every
        self._applies = 0
        self._more_to_drop = False

    def load(self, topic: str, partition: int) -> PartitionStatus | None:
        keys = self._keys(topic, partition)
        try:
            with _translated():
                stored: Any = self._client.hgetall(keys.state)
        except StateError as error:
            raise StateError(f"{keys.state}: {error}") from error
        if not stored:
            return None
        if b"next" not in stored:
            raise StateError(f"{keys.state} has no field next; it holds {sorted(stored)[:5]!r}")
        return PartitionStatus.decode(topic, partition, stored)

    def rebase(self, seen: PartitionStatus | None, wanted: PartitionStatus) -> bool:
        keys = self._keys(wanted.topic, wanted.partition)
        before: list[Any] = [seen.next if seen else -1, seen.topic_id if seen else ""]
        fields = {
            "next": wanted.next,
            "topic_id": wanted.topic_id,
            "life": wanted.life,
            **_moving_fields(wanted),
            "lost": wanted.lost,
            "paused": wanted.paused,
            "allowed_until": wanted.allowed_until,
        }
        self._announced.clear()
        with _translated():
            self._client.sadd(self._names.partitions, f"{wanted.topic}:{wanted.partition}")
            return bool(self._rebase(keys=[keys.state], args=[*before, *_flat(fields)]))

    def origins(self, topic_id: str) -> tuple[int, ...] | None:
        with _translated():
            noted: Any = self._client.hget(self._names.origins, topic_id)
        return None if noted is None else tuple(int(offset) for offset in noted.split(b","))

    def begin_at(self, topic_id: str, offsets: Sequence[int]) -> tuple[int, ...]:
        with _translated():
            self._client.hsetnx(self._names.origins, topic_id, ",".join(map(str, offsets)))
        return self.origins(topic_id) or tuple(offsets)

    def read(self, requests: Sequence[ReadRequest]) -> list[Stored]:
        pipeline = self._client.pipeline(transaction=False)
        for request in requests:
            keys = self._keys(request.status.topic, request.status.partition)
            # Before and after: who writes in between is seen by one of the two.
            pipeline.hmget(keys.state, "next", "life")
            for generation in request.status.generations if request.digests else ():
                pipeline.smismember(keys.ids(generation.number), list(request.digests))
            for cell in request.cells:
                pipeline.hget(_pane_key(keys, cell), _field(cell))
                pipeline.hget(_authors_key(keys, cell), _field(cell))
            if request.identities:
                pipeline.execute_command("ZMSCORE", keys.redriven, *request.identities)  # type: ignore[no-untyped-call]
            pipeline.hmget(keys.state, "next", "life")
        with _translated():
            replies = iter(pipeline.execute())
        found = []
        for request in requests:
            believed = [str(request.status.next).encode(), request.status.life.encode()]
            before = _place(next(replies))
            repeats: dict[bytes, int] = {}
            for generation in request.status.generations if request.digests else ():
                known = zip(request.digests, next(replies), strict=True)
                repeats.update((digest, generation.number) for digest, found_here in known if found_here)
            panes, authors = {}, {}
            for cell in request.cells:
                if (pane := next(replies)) is not None:
                    panes[cell] = Pane.decode(pane)
                if (sketch := next(replies)) is not None:
                    authors[cell] = sketch
            redriven = frozenset(
                digest
                for digest, score in zip(request.identities, next(replies) if request.identities else (), strict=True)
                if score is not None
            )
            places = before, _place(next(replies))
            moved = next((place for place in places if place != believed), None)
            moved_to = None if moved is None else int(moved[0] or -1)
            found.append(Stored(repeats, panes, authors, redriven, moved_to))
        return found

    def apply(self, changes: Sequence[Change]) -> list[Applied | Refused | Failed]:
        with _translated():
            self._applies += 1
            due = self._more_to_drop or self._applies % self._drop_every == 0
            if due:
                # In a cluster the names lie on a server of their own: its failover may lose one that its panes outlive.
                self._announced.clear()
            self._announce(changes)
            expired = self._expired(changes) if due else [[] for _ in changes]
            # A backfill over years leaves old keys faster than a look now and then would find them.
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
                raise outage(reply) from reply
            else:
                applied, stands_at = reply
                outcomes.append(Applied() if applied else Refused(int(stands_at)))
        if any(isinstance(outcome, Refused) for outcome in outcomes):
            # The store may be another one, or an older one: it may not know the names we told.
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
        with _translated():
            owns = bool(self._touch(keys=[keys.state], args=[status.next, *_flat(fields)]))
            if owns:
                # Each time, for a failover may have lost the list and not the state: see `apply`.
                self._client.sadd(self._names.partitions, f"{status.topic}:{status.partition}")
            return owns

    def _keys(self, topic: str, partition: int) -> PartitionKeys:
        return PartitionKeys(self._namespace, topic, partition)

    def _announce(self, changes: Sequence[Change]) -> None:
        """Names of brands, before their first pane: a reader may then find none yet, but never misses one."""
        brands = {cell.brand for change in changes for cell in change.panes} - self._announced
        if brands:
            self._client.sadd(self._names.brands, *brands)
            self._announced |= brands

    def _expired(self, changes: Sequence[Change]) -> list[list[bytes]]:
        """Keys that each change may remove: past their time, and seen by the alerter if they hold minutes."""
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
                if _may_go(member, int(score), change.status.watermark_ms, evaluated_until)
            ]
            for change, rows in zip(changes, found, strict=True)
        ]

    def _run_apply(self, changes: Sequence[Change], expired: Sequence[Sequence[bytes]]) -> list[Any]:
        calls = [self._call_of(change, gone) for change, gone in zip(changes, expired, strict=True)]
        pipeline = self._client.pipeline(transaction=False)
        for keys, args in calls:
            # By its name: a cluster's pipeline has no method for it, and runs it all the same.
            to = routed(self._client, str(keys[0]))
            pipeline.execute_command("EVALSHA", self._apply.sha, len(keys), *keys, *args, **to)  # type: ignore[no-untyped-call]
        replies = pipeline.execute(raise_on_error=False)
        if any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies):
            self._client.script_load(self._apply.script)
            # Those that did run are refused by the compare-and-set, so only the others are sent again.
            return [
                self._client.evalsha(self._apply.sha, len(keys), *keys, *args)
                if isinstance(reply, redis.exceptions.NoScriptError)
                else reply
                for (keys, args), reply in zip(calls, replies, strict=True)
            ]
        return list(replies)

    def _call_of(self, change: Change, expired: Sequence[bytes]) -> tuple[list[str | bytes], list[Any]]:
        """KEYS and ARGV of apply.lua."""
        status = change.status
        keys = self._keys(status.topic, status.partition)
        names: list[str | bytes] = []
        types: list[str] = []
        numbers: dict[str, int] = {}

        def number(name: str, letter: str) -> int:
            if name not in numbers:
                names.append(name)
                types.append(letter)
                numbers[name] = len(names) + 2
            return numbers[name]

        hashes: dict[int, list[Any]] = {}
        index: list[Any] = []
        stored = [(cell, _pane_key(keys, cell), pane.encode(), False) for cell, pane in change.panes.items()]
        stored += [(cell, _authors_key(keys, cell), sketch, True) for cell, sketch in change.authors.items()]
        for cell, name, value, authors in stored:
            if name not in numbers:
                index += (self._keep_until(cell, authors=authors), name)
            hashes.setdefault(number(name, "h"), []).extend((_field(cell), value))
        touched = {name.encode() for name in numbers}
        gone = [name for name in expired if name not in touched]
        runs: list[tuple[str, int, list[Any], int | None]] = [("HSET", 1, _flat(_moving_fields(status)), None)]
        runs += [("HSET", at, pairs, None) for at, pairs in hashes.items()]
        runs += [
            ("SADD", number(keys.ids(generation), "s"), list(digests), None)
            for generation, digests in change.new_ids.items()
        ]
        for brand, posts in change.negatives.items():
            dated = [part for post in posts for part in (post.created_ms, encode_negative(post))]
            runs.append(("ZADD", number(keys.negatives(brand), "z"), dated, KEPT_NEGATIVES))
        remembered = [part for digest, offset in change.redriven.items() for part in (offset, digest)]
        if remembered:
            runs.append(("ZADD", number(keys.redriven, "z"), remembered, KEPT_REDRIVEN))
        runs += [("ZADD", 2, index, None), ("ZREM", 2, gone, None)]
        runs = [run for run in runs if run[2]]
        doomed = [*gone, *(keys.ids(g).encode() for g in change.dropped_generations)]
        layout = {
            "life": status.life,
            "types": "".join(types) + "-" * len(doomed),
            "runs": [[command, at, len(values), *([keep] if keep else [])] for command, at, values, keep in runs],
        }
        values = [value for run in runs for value in run[2]]
        args = [change.from_offset, status.next, status.topic_id, msgspec.json.encode(layout), *values]
        return [keys.state, keys.index, *names, *doomed], args

    def _keep_until(self, cell: Cell, *, authors: bool) -> int:
        """Event time (ms) from which the key that holds *cell* may be dropped."""
        if cell.span == "hour":
            return (cell.bucket // 24 + 1) * DAY_MS + self._retention.hours_ms
        kept = self._retention.authors_ms if authors else self._retention.minutes_ms
        return (cell.bucket // 60 + 1) * HOUR_MS + kept


def _may_go(member: bytes, keep_until: int, watermark: int, evaluated_until: int | None) -> bool:
    kind = member.split(b"}:", 1)[1].split(b":", 1)[0]
    if kind in (b"h", b"hs"):
        return True
    if evaluated_until is not None and keep_until <= evaluated_until:
        return True
    return keep_until <= watermark - UNEVALUATED_BOUND_MS


def _moving_fields(status: PartitionStatus) -> dict[str, Any]:
    return {
        "clock_ms": status.clock_ms,
        "lateness_ms": status.lateness_ms,
        "late": status.late,
        "repeated": status.repeated,
        "dead": status.dead,
        "redriven": status.redriven,
        "unmatched": status.unmatched,
        "generations": encode_generations(status.generations),
        # Whoever writes is not idle; the next sign of life may say so again.
        "caught_up": 0,
    }


def _flat(fields: dict[str, Any]) -> list[Any]:
    return [part for pair in fields.items() for part in pair]


def _pane_key(keys: PartitionKeys, cell: Cell) -> str:
    if cell.span == "minute":
        return keys.minute_panes(cell.brand, cell.bucket // 60)
    return keys.hour_panes(cell.brand, cell.bucket // 24)


def _authors_key(keys: PartitionKeys, cell: Cell) -> str:
    if cell.span == "minute":
        return keys.minute_authors(cell.brand, cell.bucket // 60)
    return keys.hour_authors(cell.brand, cell.bucket // 24)


def _field(cell: Cell) -> str:
    return str(cell.bucket % (60 if cell.span == "minute" else 24))
