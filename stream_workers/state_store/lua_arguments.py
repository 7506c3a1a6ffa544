"""Builds the arguments of apply.lua for one change: key names, values, and expired keys to delete. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from brandpulse.schema.identity import DIGEST_BYTES
from brandpulse.state.keys import DAY_MS, HOUR_MS, PartitionKeys
from brandpulse.state.outcomes.language_counts import encode_language_counts
from brandpulse.state.outcomes.near_misses import encode_near_misses
from brandpulse.state.outcomes.post_outcomes import encode_outcomes
from brandpulse.state.partition_state import PartitionStatus, encode_generations
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.packed_ids import pack
from stream_workers.aggregation.post_sample import SAMPLE_SIZE
from stream_workers.aggregation.recent_posts import KEPT_NEGATIVES
from stream_workers.aggregation.types import WAIT_FOR_ALERTER_MS, Cell, Change

KEPT_REDRIVEN = 1_000_000
"""Newest identities of redriven posts that a partition remembers: about 100 bytes each, of dead letters only."""
UNEVALUATED_BOUND_MS = 5 * DAY_MS
"""How long past their retention minute panes wait for the alerter (7 d in all with the default of 48 h)."""


class _Run(NamedTuple):
    """One command of the script."""

    command: str
    key: int
    """Its index in KEYS."""
    values: list[Any]
    keep: int = 0
    """Members of a sorted set to keep, the highest; 0: all."""
    width: int = 0
    """Bytes of each value if the one argument is many values concatenated; else 0. Python takes longer to write an
    argument than the server to split one."""
    posts: bool = False
    """Its members are posts as JSON: erased ones are left out."""


def build_call(
    change: Change, keys: PartitionKeys, expired: Sequence[bytes], retention: Retention
) -> tuple[list[str | bytes], list[Any]]:
    """KEYS and ARGV of apply.lua. *expired*: keys to delete unless the change writes to them."""
    status = change.status
    names: list[str | bytes] = []
    types: list[str] = []
    numbers: dict[str, int] = {}

    def number(name: str, key_type: str) -> int:
        if name not in numbers:
            names.append(name)
            types.append(key_type)
            numbers[name] = len(names) + 2
        return numbers[name]

    hashes: dict[int, list[Any]] = {}
    index: list[Any] = []
    stored = [(cell, pane_key(keys, cell), pane.encode(), False) for cell, pane in change.panes.items()]
    stored += [(cell, authors_key(keys, cell), sketch, True) for cell, sketch in change.authors.items()]
    for cell, name, value, authors in stored:
        if name not in numbers:
            index += (_keep_until(cell, retention, authors=authors), name)
        hashes.setdefault(number(name, "h"), []).extend((field_of(cell), value))
    sampled: list[tuple[int, list[Any]]] = []
    for day, found in change.samples.items():
        name = keys.sample(day.brand, day.day)
        index += (day.keep_until_ms, name)
        sampled.append(
            (number(name, "z"), [part for one in found for part in (one.score, msgspec.json.encode(one.post))])
        )
    hour_runs: list[_Run] = []
    for hour, offered in change.hour_posts.items():
        name = keys.hour_posts(hour.series, hour.hour, negative=hour.negative)
        index += (hour.keep_until_ms, name)
        scored = [part for one in offered for part in (one.score, one.encode())]
        hour_runs.append(_Run("ZADD", number(name, "z"), scored, hour.size, posts=True))
    touched = {name.encode() for name in numbers}
    dropped = [name for name in expired if name not in touched]
    runs = [_Run("HSET", 1, flatten(batch_fields(status)))]
    runs += [_Run("HSET", at, pairs) for at, pairs in hashes.items()]
    runs += [
        _Run("SADD", number(keys.ids(generation), "s"), [pack(digests)], width=DIGEST_BYTES)
        for generation, digests in change.new_ids.items()
        if digests
    ]
    for brand, posts in change.negatives.items():
        dated = [part for post in posts for part in (post.created_ms, msgspec.json.encode(post))]
        runs.append(_Run("ZADD", number(keys.negatives(brand), "z"), dated, KEPT_NEGATIVES, posts=True))
    runs += [_Run("ZADD", at, offered, SAMPLE_SIZE, posts=True) for at, offered in sampled]
    runs += hour_runs
    remembered = [part for digest, offset in change.redriven.items() for part in (offset, digest)]
    if remembered:
        runs.append(_Run("ZADD", number(keys.redriven, "z"), remembered, KEPT_REDRIVEN))
    runs += [_Run("ZADD", 2, index), _Run("ZREM", 2, dropped)]
    runs = [run for run in runs if run.values]
    erased = number(keys.erased, "s") if any(run.posts for run in runs) else 0
    deleted = [*dropped, *(keys.ids(generation).encode() for generation in change.dropped_generations)]
    layout = {
        "life": status.life,
        "writer": change.from_writer,
        "erased": erased,
        "types": "".join(types) + "-" * len(deleted),
        "runs": [[run.command, run.key, len(run.values), run.keep, run.width, run.posts] for run in runs],
    }
    values = [value for run in runs for value in run.values]
    args = [change.from_offset, status.next, status.topic_id, msgspec.json.encode(layout), *values]
    return [keys.state, keys.index, *names, *deleted], args


def _keep_until(cell: Cell, retention: Retention, *, authors: bool) -> int:
    """Event time (ms) from which the key of *cell* may be dropped."""
    if cell.span == "hour":
        return (cell.bucket // 24 + 1) * DAY_MS + retention.hours_ms
    retained_ms = retention.authors_ms if authors else retention.minutes_ms
    return (cell.bucket // 60 + 1) * HOUR_MS + retained_ms


def may_drop(member: bytes, keep_until: int, watermark: int, evaluated_until: int | None) -> bool:
    """Whether the key *member*, kept until that event time (ms), may be dropped. Minutes wait for the alerter."""
    kind = member.split(b"}:", 1)[1].split(b":", 1)[0]
    if kind in (b"h", b"hs", b"s"):
        return True
    if evaluated_until is not None and keep_until <= evaluated_until:
        return True
    return keep_until <= watermark - (WAIT_FOR_ALERTER_MS if kind in (b"kn", b"ko") else UNEVALUATED_BOUND_MS)


def batch_fields(status: PartitionStatus) -> dict[str, Any]:
    """Fields of the state hash that each batch writes, except `next`."""
    return {
        "epoch": f"{status.next}:{status.epoch}",
        "writer": status.writer,
        "clock_ms": status.clock_ms,
        "lateness_ms": status.lateness_ms,
        "late": status.late,
        "repeated": status.repeated,
        "dead": status.dead,
        "redriven": status.redriven,
        "unmatched": status.unmatched,
        "unread": status.unread,
        "keyless": status.keyless,
        "fates": encode_outcomes(status.post_outcomes),
        "near_misses": encode_near_misses(status.near_misses),
        "languages": encode_language_counts(status.languages),
        "generations": encode_generations(status.generations),
        # A partition that writes is not idle; the next heartbeat may set it again.
        "caught_up": 0,
    }


def flatten(fields: dict[str, Any]) -> list[Any]:
    return [part for pair in fields.items() for part in pair]


def pane_key(keys: PartitionKeys, cell: Cell) -> str:
    if cell.span == "minute":
        return keys.minute_panes(cell.brand, cell.bucket // 60)
    return keys.hour_panes(cell.brand, cell.bucket // 24)


def authors_key(keys: PartitionKeys, cell: Cell) -> str:
    if cell.span == "minute":
        return keys.minute_authors(cell.brand, cell.bucket // 60)
    return keys.hour_authors(cell.brand, cell.bucket // 24)


def field_of(cell: Cell) -> str:
    return str(cell.bucket % (60 if cell.span == "minute" else 24))
