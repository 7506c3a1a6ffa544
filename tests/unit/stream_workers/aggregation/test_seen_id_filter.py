"""Which ids need no lookup in the store. A filter may have false positives, and no false negatives."""

import hashlib
import os
import random
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest

from brandpulse.runtime.process_memory import resident_bytes
from brandpulse.state.keys import HOUR_MS
from brandpulse.state.partition_state import Generation, PartitionStatus
from stream_workers.aggregation.row_fold import fold_rows
from stream_workers.aggregation.seen_id_filter import IdLookup, SeenIdFilter, native_filter
from stream_workers.aggregation.types import Change, Stored
from tests.support.builders import NOON_MS, a_scored, a_status
from tests.support.exactly_once_machine import ExactIds
from tests.unit.stream_workers.aggregation.test_row_fold import LIMITS, RETENTION


def written(status: PartitionStatus, ids: range, at_ms: int = NOON_MS) -> Change:
    posts = [a_scored(str(number), at_ms=at_ms, offset=status.next + place) for place, number in enumerate(ids)]
    return fold_rows(status, posts, status.next + len(ids), Stored(), retention=RETENTION, limits=LIMITS)


def digests(ids: range) -> list[bytes]:
    return [a_scored(str(number)).digest for number in ids]


def test_generation_of_another_worker_is_looked_up_for_all_ids() -> None:
    known, theirs = SeenIdFilter(ExactIds), Generation(7, NOON_MS, 2)
    change = written(a_status(generations=(theirs,)), range(3))
    known.add_applied((theirs,), change)
    assert known.lookups(change.status.generations, digests(range(5))) == [
        IdLookup(change.status.generations, digests(range(5)))
    ]


def test_own_generation_is_looked_up_for_possible_ids_only() -> None:
    known, status = SeenIdFilter(ExactIds), a_status()
    for ids in (range(3), range(3, 6)):
        change = written(status, ids)
        known.add_applied(status.generations, change)
        status = change.status
    assert known.lookups(status.generations, digests(range(6, 9))) == []
    assert known.lookups(status.generations, digests(range(5, 9))) == [
        IdLookup(status.generations, digests(range(5, 6)))
    ]


def test_each_generation_is_looked_up_for_its_own_ids() -> None:
    known, status = SeenIdFilter(ExactIds), a_status()
    for step in range(6):
        change = written(status, range(step, step + 1), NOON_MS + 2 * step * HOUR_MS)
        known.add_applied(status.generations, change)
        status = change.status
    assert [one.number for one in status.generations] == [1, 2, 3, 4, 5]
    assert known.lookups(status.generations, digests(range(6))) == [
        IdLookup((one,), digests(range(one.number, one.number + 1))) for one in status.generations
    ]


def test_without_filters_all_ids_are_looked_up() -> None:
    known, change = SeenIdFilter(), written(a_status(), range(3))
    known.add_applied((), change)
    assert known.lookups(change.status.generations, digests(range(2))) == [
        IdLookup(change.status.generations, digests(range(2)))
    ]
    assert known.lookups((), digests(range(2))) == []


@pytest.mark.parametrize("ids", [100, 7_000, 200_000, 600_000])
def test_native_filter_contains_added_ids_and_few_others(ids: int) -> None:
    native = pytest.importorskip("stream_workers._native", reason="make native")
    held = native.IdFilter()
    batches = [b"".join(digests_of(f"held-{step}", ids // 10)) for step in range(10)]
    for batch in batches:
        held.add(batch)
    assert all(all(held.may_contain(batch)) for batch in batches)
    doubted = sum(held.may_contain(b"".join(digests_of("other", 20_000))))
    assert doubted < 20_000 * 0.05


def digests_of(name: str, number: int) -> list[bytes]:
    return [hashlib.blake2b(f"{name} {one}".encode(), digest_size=12).digest() for one in range(number)]


def test_native_filter_grows_in_small_steps() -> None:
    native = pytest.importorskip("stream_workers._native", reason="make native")
    pick = random.Random(3)
    filters = [native.IdFilter() for _ in range(8)]
    held = []
    for _ in range(10):
        ids = pick.randbytes(12 * 60_000)
        for one in filters:
            one.add(ids)
        held.append(resident_bytes(os.getpid()) / len(filters))
    # At 478,000 ids each filter grew by 4 MB, for four partitions within seconds: a soak test failed because of it.
    steps = [after - before for before, after in pairwise(held)]
    assert max(steps) < 1_500_000, steps
    assert held[-1] - held[0] < 2_500_000


def test_native_code_of_an_older_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    older = SimpleNamespace(IdFilter=type("IdFilter", (), {"add": None, "may_hold": None}))
    monkeypatch.setitem(sys.modules, "stream_workers._native", older)
    assert native_filter() is None
