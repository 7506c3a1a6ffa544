"""The state machine on both stores, and with each rule of the protocol broken once, which it must detect."""

import copy
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.types import Change
from stream_workers.consumer.log_identity import LogExtent
from stream_workers.state_store.memory_store import MemoryPartitionStore
from stream_workers.state_store.partition_store import Applied, PartitionStore, Refused
from stream_workers.state_store.redis_store import RedisPartitionStore
from tests.support.counting_oracle import RETENTION
from tests.support.exactly_once_machine import ExactlyOnce, RewindableStore, Worker

EXAMPLES = int(os.environ.get("BRANDPULSE_MACHINE_EXAMPLES", "400"))
SAME: dict[str, Any] = {} if "BRANDPULSE_MACHINE_EXAMPLES" in os.environ else {"derandomize": True}
"""The same examples in each run, and new ones if the variable asks for more."""
QUIET: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


class InMemory:
    def __init__(self, store: MemoryPartitionStore) -> None:
        self.store: PartitionStore = store

    def remember(self) -> Any:
        return copy.deepcopy(vars(self.store))

    def rewind(self, past: Any) -> None:
        vars(self.store).update(copy.deepcopy(past))


class OnValkey:
    """Keys of one namespace, saved and brought back with DUMP and RESTORE."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._namespace = f"m{uuid.uuid4().hex[:12]}"
        self.store: PartitionStore = RedisPartitionStore(client, self._namespace, RETENTION)

    def remember(self) -> Any:
        return {key: self._client.dump(key) for key in self._keys()}

    def rewind(self, past: Any) -> None:
        if gone := [*self._keys()]:
            self._client.delete(*gone)
        for key, content in past.items():
            self._client.restore(key, 0, content)

    def _keys(self) -> Iterator[bytes]:
        return self._client.scan_iter(f"{{{self._namespace}*", count=1_000)


class OnMemory(ExactlyOnce):
    def make(self) -> RewindableStore:
        return InMemory(MemoryPartitionStore())


def test_counts_are_exact_after_any_events() -> None:
    run_state_machine_as_test(
        OnMemory, settings=settings(max_examples=EXAMPLES, stateful_step_count=50, **SAME, **QUIET)
    )


def test_counts_are_exact_on_redis(redis_client: redis.Redis) -> None:
    class Real(ExactlyOnce):
        def make(self) -> RewindableStore:
            return OnValkey(redis_client)

    few = max(10, EXAMPLES // 4)
    run_state_machine_as_test(Real, settings=settings(max_examples=few, stateful_step_count=50, **SAME, **QUIET))


# -- broken on purpose -----------------------------------------------------------------------------------------------


class WithoutCompare(MemoryPartitionStore):
    """Applies every change."""

    def _apply_one(self, change: Change) -> Applied | Refused:
        now = self.load(change.status.topic, change.status.partition)
        if now is None:
            return Refused(-1)
        return super()._apply_one(
            replace(
                change,
                from_offset=now.next,
                from_writer=now.writer,
                status=replace(change.status, topic_id=now.topic_id),
            )
        )


class RefusingOnlyBelow(MemoryPartitionStore):
    """A naive fence: accepts a writer above `next`."""

    def _apply_one(self, change: Change) -> Applied | Refused:
        now = self.load(change.status.topic, change.status.partition)
        if now is None or change.from_offset <= now.next:
            return super()._apply_one(change)
        return super()._apply_one(replace(change, from_offset=now.next, from_writer=now.writer))


class WithoutMemory(MemoryPartitionStore):
    """Forgets which ids were counted."""

    def _apply_one(self, change: Change) -> Applied | Refused:
        return super()._apply_one(replace(change, new_ids={}))


class WithoutIdentities(MemoryPartitionStore):
    """Forgets which dead letters were redriven."""

    def _apply_one(self, change: Change) -> Applied | Refused:
        return super()._apply_one(replace(change, redriven={}))


class GoesOnAfterRefusal(OnMemory):
    """Moves to the stored offset, but keeps its own counters and generations."""

    @rule(how=st.integers(1, 4))
    def lose(self, how: int) -> None:
        """More often: only own lost writes leave `next` and writer as they were."""
        self._lose_last_writes(how)

    def after_refusal(self, worker: Worker, refused: Refused) -> None:
        worker.read.clear()
        if worker.status is None or refused.next < 0:
            return worker.forget()
        worker.status = replace(worker.status, next=refused.next)
        worker.position = refused.next
        return None


class NeverAsksForTheEpoch(OnMemory):
    """Accepts any log with the same id that reaches beyond `next`."""

    def extent(self, seen: PartitionStatus | None) -> LogExtent:
        return replace(super().extent(seen), common=None)


def broken(store: type[MemoryPartitionStore]) -> type[ExactlyOnce]:
    class Broken(ExactlyOnce):
        def make(self) -> RewindableStore:
            return InMemory(store())

    return Broken


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(broken(WithoutCompare), id="compare-and-set removed"),
        pytest.param(broken(RefusingOnlyBelow), id="only batches below next refused"),
        pytest.param(broken(WithoutMemory), id="ids not remembered"),
        pytest.param(broken(WithoutIdentities), id="redriven dead letters not remembered"),
        pytest.param(GoesOnAfterRefusal, id="state not loaded after a refusal"),
        pytest.param(NeverAsksForTheEpoch, id="rewritten log accepted as the old one"),
    ],
)
def test_machine_detects_each_broken_rule(machine: type[ExactlyOnce]) -> None:
    patient = settings(max_examples=2_000, stateful_step_count=50, derandomize=True, phases=[Phase.generate], **QUIET)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=patient)
