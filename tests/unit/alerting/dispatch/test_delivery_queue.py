"""Which delivery may be sent: order within a key, no waiting between keys, and probes of a receiver that is down."""

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


def a_queue(deliveries: Iterable[Delivery] = ()) -> DeliveryQueue:
    queue = DeliveryQueue(probe_base_seconds=1, probe_cap_seconds=30, rng=random.Random(1))
    queue.add(deliveries)
    return queue


def started(queue: DeliveryQueue, now_ms: int = 0, *, room: int = ROOM) -> list[str]:
    return [delivery.id for delivery in queue.start(now_ms, room=room)]


def settle(
    queue: DeliveryQueue,
    delivery: Delivery,
    what: Literal["delivered", "retried", "quarantined"],
    *,
    at: int = 0,
    now_ms: int = 0,
    holds: bool = False,
) -> None:
    after = delivery.model_copy(update={"next_attempt_ms": at})
    queue.settle(after, DeliveryResult(what, "", at, pauses_receiver=holds), now_ms)
    queue.release(delivery.key)


TRIGGER, RESOLVE = a_delivery(), a_delivery("resolved")


def test_a_resolve_waits_until_its_trigger_is_retried() -> None:
    queue = a_queue([TRIGGER, RESOLVE])
    assert started(queue) == [TRIGGER.id]
    assert started(queue) == [], "it is in flight"
    settle(queue, TRIGGER, "retried", at=5_000)
    assert started(queue, 4_999) == []
    assert started(queue, 5_000) == [TRIGGER.id]
    settle(queue, TRIGGER, "delivered")
    assert started(queue, 5_000) == [RESOLVE.id]


def test_delivery_keys_do_not_wait_for_each_other() -> None:
    stuck = a_delivery(next_attempt_ms=10**9)
    others = [a_delivery(key="other"), a_delivery(receiver="chat")]
    assert started(a_queue([stuck, *others])) == [one.id for one in others]


def test_a_known_or_in_flight_delivery_is_not_sent_twice() -> None:
    queue = a_queue([TRIGGER, TRIGGER])
    assert len(queue) == 1
    assert started(queue) == [TRIGGER.id]
    queue.replace([TRIGGER, RESOLVE])
    assert started(queue) == []
    settle(queue, TRIGGER, "delivered")
    assert started(queue) == [RESOLVE.id]


def test_a_reserved_key_sends_nothing_until_it_is_released() -> None:
    queue = a_queue()
    assert queue.reserve(TRIGGER.key)
    queue.add([RESOLVE])
    assert started(queue) == []
    assert not queue.reserve(TRIGGER.key)
    queue.release(TRIGGER.key)
    assert started(queue) == [RESOLVE.id]


def many(number: int, receiver: str = "pager") -> list[Delivery]:
    return [a_delivery(key=f"{n:03}", receiver=receiver) for n in range(number)]


def fail(queue: DeliveryQueue, deliveries: Iterable[Delivery], *, now_ms: int = 0) -> None:
    for delivery in deliveries:
        settle(queue, delivery, "retried", at=now_ms + 200_000, now_ms=now_ms)


def test_after_three_failed_keys_one_probes_until_the_first_success() -> None:
    pages = many(50)
    queue = a_queue([*pages, a_delivery(receiver="chat")])
    first = queue.start(0, room=DOWN_AFTER)
    fail(queue, first)
    assert queue.receivers_down() == ["pager"]
    assert started(queue) == ["k:triggered@chat"], "another receiver is not held"
    probes = queue.start(30_000, room=ROOM)
    assert len(probes) == 1
    assert started(queue, 30_000) == []
    settle(queue, probes[0], "delivered", now_ms=30_000)
    assert queue.receivers_down() == []
    assert len(started(queue, 30_000)) == 49, "also those that failed and had minutes to wait"


def test_probes_of_a_dead_receiver_rotate_within_thirty_seconds() -> None:
    queue = a_queue(many(50))
    fail(queue, queue.start(0, room=DOWN_AFTER))
    now, moments, keys = 0, [], set()
    for _ in range(60):
        due = queue.next_due_ms(now)
        assert due is not None
        now = due
        [probe] = queue.start(now, room=ROOM)
        moments.append(now)
        keys.add(probe.key)
        fail(queue, [probe], now_ms=now)
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert max(gaps) <= 30_000
    assert min(gaps[10:]) >= 15_000
    assert len(keys) > 40


def test_one_failing_key_does_not_delay_the_others() -> None:
    poison, others = a_delivery(key="poison"), many(3)
    queue = a_queue([poison])
    for now in range(0, 10_000_000, 1_000_000):
        [one] = queue.start(now, room=ROOM)
        fail(queue, [one], now_ms=now)
    assert queue.receivers_down() == []
    queue.add(others)
    assert started(queue, 9_000_001) == [one.id for one in others]


def test_status_429_pauses_only_its_receiver() -> None:
    pages = many(3)
    queue = a_queue([*pages, a_delivery(receiver="chat")])
    [one] = queue.start(0, room=1)
    settle(queue, one, "retried", at=60_000, holds=True)
    assert started(queue, 59_999) == ["k:triggered@chat"]
    assert len(started(queue, 60_000)) == 3


def test_a_rejection_counts_as_a_response() -> None:
    queue = a_queue(many(5))
    for one in queue.start(0, room=2):
        settle(queue, one, "retried", at=1_000)
    [third] = queue.start(0, room=1)
    settle(queue, third, "quarantined")
    assert queue.receivers_down() == []


ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 3)), max_size=14)
FATES = st.lists(st.sampled_from(["delivered", "retried", "quarantined", "nothing"]), min_size=40, max_size=40)


@given(ROWS, FATES)
def test_no_delivery_is_lost_doubled_or_overtaken(rows: list[tuple[str, str, int]], fates: list[str]) -> None:
    deliveries = [
        a_delivery(receiver=receiver, key=key, next_attempt_ms=at, id=f"{number:02}")
        for number, (receiver, key, at) in enumerate(rows)
    ]
    queue = a_queue(deliveries)
    gone: list[Delivery] = []
    for now, fate in enumerate([*fates, *["delivered"] * 40]):
        flying = queue.start(1_000_000 * now, room=2)
        assert len({one.key for one in flying}) == len(flying)
        for one in flying:
            if fate == "nothing":
                queue.release(one.key)
                continue
            settle(queue, one, fate, at=1_000_000 * now, now_ms=1_000_000 * now)  # type: ignore[arg-type]
            if fate != "retried":
                gone.append(one)
    assert sorted(one.id for one in gone) == sorted(one.id for one in deliveries)
    assert len(queue) == 0
    for key in {one.key for one in deliveries}:
        assert [one.id for one in gone if one.key == key] == [one.id for one in deliveries if one.key == key]


@pytest.mark.parametrize("number", [10_000])
def test_ten_thousand_waiting_keys_of_a_dead_receiver_cost_no_time(number: int) -> None:
    queue = a_queue(many(number))
    fail(queue, queue.start(0, room=DOWN_AFTER))
    due = queue.next_due_ms(0)
    assert due is not None
    for now in range(1, 1_000):  # a scan of ten thousand each time would take minutes
        assert queue.start(min(now, due - 1), room=ROOM) == []
