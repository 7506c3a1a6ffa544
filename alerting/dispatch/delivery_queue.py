"""Undelivered notifications in memory, and which of them may be sent now. Pure; the outbox itself is in the store.

Deliveries of one key (receiver, episode key) are sent one after the other; keys do not wait for each other. A receiver
that failed for `DOWN_AFTER` different keys in a row counts as down: then one key at a time probes it, at most
`probe_cap_seconds` apart, and the first success releases all its keys. One failing key among working ones never stops
the others.
"""

import heapq
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from alerting.notifications.delivery import Delivery, DeliveryKey, DeliveryResult

DOWN_AFTER = 3


@dataclass(slots=True)
class _Receiver:
    """The state of one receiver. *heads*: (due at, number, key) of the keys that are not in flight."""

    heads: list[tuple[int, int, DeliveryKey]] = field(default_factory=list)
    paused_until_ms: int = 0
    in_flight: int = 0
    failed_keys: set[DeliveryKey] = field(default_factory=set)
    probes: int = 0

    @property
    def is_down(self) -> bool:
        return len(self.failed_keys) >= DOWN_AFTER


class DeliveryQueue:
    """All undelivered notifications, by delivery key."""

    def __init__(self, *, probe_base_seconds: float, probe_cap_seconds: float, rng: random.Random) -> None:
        self._base = probe_base_seconds
        self._cap = probe_cap_seconds
        self._rng = rng
        self._waiting: dict[DeliveryKey, deque[Delivery]] = {}
        self._receivers: dict[str, _Receiver] = {}
        self._in_flight: set[DeliveryKey] = set()
        self._ids: set[str] = set()
        self._number = 0

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, delivery_id: str) -> bool:
        return delivery_id in self._ids

    @property
    def active_keys(self) -> frozenset[DeliveryKey]:
        """Keys with a delivery that waits or is in flight."""
        return frozenset(self._waiting) | self._in_flight

    def replace(self, deliveries: Iterable[Delivery]) -> None:
        """Replace all waiting deliveries with *deliveries*, in their order. Keys in flight stay in flight."""
        self._waiting.clear()
        self._ids.clear()
        for receiver in self._receivers.values():
            receiver.heads.clear()
        self.add(deliveries)

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Append *deliveries*. Known ids are ignored."""
        for delivery in deliveries:
            if delivery.id in self._ids:
                continue
            self._ids.add(delivery.id)
            waiting = self._waiting.get(delivery.key)
            if waiting is None:
                self._waiting[delivery.key] = deque([delivery])
                self._offer(delivery)
            else:
                waiting.append(delivery)

    def start(self, now_ms: int, *, room: int) -> list[Delivery]:
        """At most *room* deliveries to send now. Their keys are in flight until `release`."""
        started: list[Delivery] = []
        for receiver in self._receivers.values():
            if receiver.paused_until_ms > now_ms:
                continue
            while receiver.heads and len(started) < room and not (receiver.is_down and receiver.in_flight):
                at, _, key = receiver.heads[0]
                if at > now_ms and not receiver.is_down:
                    break
                heapq.heappop(receiver.heads)
                self._in_flight.add(key)
                receiver.in_flight += 1
                started.append(self._waiting[key][0])
        return started

    def reserve(self, key: DeliveryKey) -> bool:
        """Mark *key* as in flight until `release`. False if it is already in flight."""
        if key in self._in_flight:
            return False
        self._in_flight.add(key)
        self._receiver(key[0]).in_flight += 1
        return True

    def settle(self, delivery: Delivery, result: DeliveryResult, now_ms: int) -> None:
        """Take in the *result* of *delivery*, the first of its key. The key stays in flight until `release`."""
        receiver = self._receiver(delivery.key[0])
        waiting = self._waiting.get(delivery.key)
        if waiting and waiting[0].id == delivery.id:
            waiting.popleft()
            self._ids.discard(delivery.id)
            if result.outcome == "retried":
                waiting.appendleft(delivery)
                self._ids.add(delivery.id)
        self._update_receiver(receiver, delivery.key, result, now_ms)

    def release(self, key: DeliveryKey) -> None:
        """The attempt for *key* has ended; its next delivery may be sent."""
        if key not in self._in_flight:
            return
        self._in_flight.discard(key)
        self._receiver(key[0]).in_flight -= 1
        waiting = self._waiting.get(key)
        if waiting:
            self._offer(waiting[0])
        else:
            self._waiting.pop(key, None)

    def next_due_ms(self, now_ms: int) -> int | None:
        """When the next delivery becomes due; None if none waits for time alone."""
        due_times = []
        for receiver in self._receivers.values():
            if receiver.heads and not (receiver.is_down and receiver.in_flight):
                at = now_ms if receiver.is_down else receiver.heads[0][0]
                due_times.append(max(at, receiver.paused_until_ms))
        return min(due_times, default=None)

    def oldest_ms(self) -> int | None:
        """When the oldest waiting delivery was decided."""
        return min((waiting[0].decided_ms for waiting in self._waiting.values() if waiting), default=None)

    def receivers_down(self) -> list[str]:
        """Names of the receivers that count as down."""
        return sorted(name for name, receiver in self._receivers.items() if receiver.is_down)

    def _update_receiver(self, receiver: _Receiver, key: DeliveryKey, result: DeliveryResult, now_ms: int) -> None:
        if result.pauses_receiver:
            receiver.paused_until_ms = result.next_attempt_ms
        if result.outcome != "retried":
            self._recover(receiver, now_ms)
        elif not result.pauses_receiver:
            receiver.failed_keys.add(key)
            if receiver.is_down:
                receiver.probes += 1
                longest = min(self._cap, self._base * 2 ** min(receiver.probes, 30))
                receiver.paused_until_ms = now_ms + int(1_000 * self._rng.uniform(longest / 2, longest))
                receiver.failed_keys = set(sorted(receiver.failed_keys)[:DOWN_AFTER])

    def _recover(self, receiver: _Receiver, now_ms: int) -> None:
        """The receiver works again: deliveries that failed while it was down become due."""
        if receiver.is_down:
            receiver.paused_until_ms = 0
            receiver.heads = [(min(at, now_ms), number, key) for at, number, key in receiver.heads]
            heapq.heapify(receiver.heads)
        receiver.failed_keys.clear()
        receiver.probes = 0

    def _offer(self, delivery: Delivery) -> None:
        if delivery.key in self._in_flight:
            return
        self._number += 1
        heapq.heappush(self._receiver(delivery.key[0]).heads, (delivery.next_attempt_ms, self._number, delivery.key))

    def _receiver(self, name: str) -> _Receiver:
        return self._receivers.setdefault(name, _Receiver())
