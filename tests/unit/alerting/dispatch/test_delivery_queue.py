"""Which delivery may go: order within a lane, none waits for another lane, and a receiver that is down is probed."""

import itertools
import random
from collections.abc import Iterable
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.dispatch.delivery_queue import DOWN_AFTER, DeliveryQueue
from alerting.notifications.delivery import Delivery, DeliveryResult
from tests.support.alerting.episode_builders import a_delivery

ROOM = 100


def a_backlog(deliveries: Iterable[Delivery] = ()) -> DeliveryQueue:
    backlog = DeliveryQueue(probe_base_seconds=1, probe_cap_seconds=30, rng=random.Random(1))
    backlog.add(deliveries)
    return backlog


def started(backlog: DeliveryQueue, now_ms: int = 0, *, room: int = ROOM) -> list[str]:
    return [delivery.id for delivery in backlog.start(now_ms, room=room)]


def settle(
    backlog: DeliveryQueue,
    delivery: Delivery,
    what: Literal["delivered", "retried", "quarantined"],
    *,
    at: int = 0,
    now_ms: int = 0,
    holds: bool = False,
) -> None:
    after = delivery.model_copy(update={"next_attempt_ms": at})
    backlog.settle(after, DeliveryResult(what, "", at, pauses_receiver=holds), now_ms)
    backlog.release(delivery.key)


TRIGGER, RESOLVE = a_delivery(), a_delivery("resolved")


def test_a_resolve_waits_until_its_trigger_is_retried() -> None:
    backlog = a_backlog([TRIGGER, RESOLVE])
    assert started(backlog) == [TRIGGER.id]
    assert started(backlog) == [], "it is in flight"
    settle(backlog, TRIGGER, "retried", at=5_000)
    assert started(backlog, 4_999) == []
    assert started(backlog, 5_000) == [TRIGGER.id]
    settle(backlog, TRIGGER, "delivered")
    assert started(backlog, 5_000) == [RESOLVE.id]


def test_delivery_keys_do_not_wait_for_each_other() -> None:
    stuck = a_delivery(next_attempt_ms=10**9)
    others = [a_delivery(key="other"), a_delivery(receiver="chat")]
    assert started(a_backlog([stuck, *others])) == [one.id for one in others]


def test_a_known_or_in_flight_delivery_is_not_sent_twice() -> None:
    backlog = a_backlog([TRIGGER, TRIGGER])
    assert len(backlog) == 1
    assert started(backlog) == [TRIGGER.id]
    backlog.replace([TRIGGER, RESOLVE])
    assert started(backlog) == []
    settle(backlog, TRIGGER, "delivered")
    assert started(backlog) == [RESOLVE.id]


def test_a_reserved_key_sends_nothing_until_it_is_released() -> None:
    backlog = a_backlog()
    assert backlog.reserve(TRIGGER.key)
    backlog.add([RESOLVE])
    assert started(backlog) == []
    assert not backlog.reserve(TRIGGER.key)
    backlog.release(TRIGGER.key)
    assert started(backlog) == [RESOLVE.id]


def many(number: int, receiver: str = "pager") -> list[Delivery]:
    return [a_delivery(key=f"{n:03}", receiver=receiver) for n in range(number)]


def fail(backlog: DeliveryQueue, deliveries: Iterable[Delivery], *, now_ms: int = 0) -> None:
    for delivery in deliveries:
        settle(backlog, delivery, "retried", at=now_ms + 200_000, now_ms=now_ms)


def test_after_three_failed_keys_one_probes_until_the_first_success() -> None:
    pages = many(50)
    backlog = a_backlog([*pages, a_delivery(receiver="chat")])
    first = backlog.start(0, room=DOWN_AFTER)
    fail(backlog, first)
    assert backlog.receivers_down() == ["pager"]
    assert started(backlog) == ["k:triggered@chat"], "another receiver is not held"
    probes = backlog.start(30_000, room=ROOM)
    assert len(probes) == 1
    assert started(backlog, 30_000) == []
    settle(backlog, probes[0], "delivered", now_ms=30_000)
    assert backlog.receivers_down() == []
    assert len(started(backlog, 30_000)) == 49, "also those that failed and had minutes to wait"


def test_probes_of_a_dead_receiver_rotate_within_thirty_seconds() -> None:
    backlog = a_backlog(many(50))
    fail(backlog, backlog.start(0, room=DOWN_AFTER))
    now, moments, lanes = 0, [], set()
    for _ in range(60):
        due = backlog.next_due_ms(now)
        assert due is not None
        now = due
        [probe] = backlog.start(now, room=ROOM)
        moments.append(now)
        lanes.add(probe.key)
        fail(backlog, [probe], now_ms=now)
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert max(gaps) <= 30_000
    assert min(gaps[10:]) >= 15_000
    assert len(lanes) > 40


def test_one_failing_key_does_not_delay_the_others() -> None:
    poison, others = a_delivery(key="poison"), many(3)
    backlog = a_backlog([poison])
    for now in range(0, 10_000_000, 1_000_000):
        [one] = backlog.start(now, room=ROOM)
        fail(backlog, [one], now_ms=now)
    assert backlog.receivers_down() == []
    backlog.add(others)
    assert started(backlog, 9_000_001) == [one.id for one in others]


def test_status_429_pauses_only_its_receiver() -> None:
    pages = many(3)
    backlog = a_backlog([*pages, a_delivery(receiver="chat")])
    [one] = backlog.start(0, room=1)
    settle(backlog, one, "retried", at=60_000, holds=True)
    assert started(backlog, 59_999) == ["k:triggered@chat"]
    assert len(started(backlog, 60_000)) == 3


def test_a_rejection_counts_as_a_response() -> None:
    backlog = a_backlog(many(5))
    for one in backlog.start(0, room=2):
        settle(backlog, one, "retried", at=1_000)
    [third] = backlog.start(0, room=1)
    settle(backlog, third, "quarantined")
    assert backlog.receivers_down() == []


ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 3)), max_size=14)
FATES = st.lists(st.sampled_from(["delivered", "retried", "quarantined", "nothing"]), min_size=40, max_size=40)


@given(ROWS, FATES)
def test_no_delivery_is_lost_doubled_or_overtaken(rows: list[tuple[str, str, int]], fates: list[str]) -> None:
    deliveries = [
        a_delivery(receiver=receiver, key=key, next_attempt_ms=at, id=f"{number:02}")
        for number, (receiver, key, at) in enumerate(rows)
    ]
    backlog = a_backlog(deliveries)
    gone: list[Delivery] = []
    for now, fate in enumerate([*fates, *["delivered"] * 40]):
        flying = backlog.start(1_000_000 * now, room=2)
        assert len({one.key for one in flying}) == len(flying)
        for one in flying:
            if fate == "nothing":
                backlog.release(one.key)
                continue
            settle(backlog, one, fate, at=1_000_000 * now, now_ms=1_000_000 * now)  # type: ignore[arg-type]
            if fate != "retried":
                gone.append(one)
    assert sorted(one.id for one in gone) == sorted(one.id for one in deliveries)
    assert len(backlog) == 0
    for lane in {one.key for one in deliveries}:
        assert [one.id for one in gone if one.key == lane] == [one.id for one in deliveries if one.key == lane]


@pytest.mark.parametrize("number", [10_000])
def test_ten_thousand_waiting_keys_of_a_dead_receiver_cost_no_time(number: int) -> None:
    backlog = a_backlog(many(number))
    fail(backlog, backlog.start(0, room=DOWN_AFTER))
    due = backlog.next_due_ms(0)
    assert due is not None
    for now in range(1, 1_000):  # a scan of ten thousand each time would take minutes
        assert backlog.start(min(now, due - 1), room=ROOM) == []
