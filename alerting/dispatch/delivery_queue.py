"""What waits for its receivers, in memory: which delivery may go now. Pure; the outbox itself lies in the store.

A lane is (receiver, episode key): its deliveries go one after the other, and lanes do not wait for each other. A
receiver that gave no good answer to `DOWN_AFTER` different lanes in a row counts as down: then one lane at a time
probes it, at most `probe_cap_seconds` apart, and with the first good answer all its lanes are free. One bad lane among
good ones never stops the others.
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
    """How one receiver stands. *heads*: (may go at, number, lane) of lanes that are not in flight."""

    heads: list[tuple[int, int, DeliveryKey]] = field(default_factory=list)
    held_until_ms: int = 0
    flying: int = 0
    failed_lanes: set[DeliveryKey] = field(default_factory=set)
    probes: int = 0

    @property
    def is_down(self) -> bool:
        return len(self.failed_lanes) >= DOWN_AFTER


class DeliveryQueue:
    """Every delivery not yet handed over, by lane."""

    def __init__(self, *, probe_base_seconds: float, probe_cap_seconds: float, rng: random.Random) -> None:
        self._base = probe_base_seconds
        self._cap = probe_cap_seconds
        self._rng = rng
        self._lanes: dict[DeliveryKey, deque[Delivery]] = {}
        self._receivers: dict[str, _Receiver] = {}
        self._flying: set[DeliveryKey] = set()
        self._ids: set[str] = set()
        self._number = 0

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, delivery_id: str) -> bool:
        return delivery_id in self._ids

    @property
    def lanes(self) -> frozenset[DeliveryKey]:
        """Lanes in which something waits or flies."""
        return frozenset(self._lanes) | self._flying

    def replace(self, deliveries: Iterable[Delivery]) -> None:
        """All that waits is *deliveries*, in their order. What flies goes on flying."""
        self._lanes.clear()
        self._ids.clear()
        for receiver in self._receivers.values():
            receiver.heads.clear()
        self.add(deliveries)

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Behind what waits; known ids are left alone."""
        for delivery in deliveries:
            if delivery.id in self._ids:
                continue
            self._ids.add(delivery.id)
            lane = self._lanes.get(delivery.key)
            if lane is None:
                self._lanes[delivery.key] = deque([delivery])
                self._offer(delivery)
            else:
                lane.append(delivery)

    def start(self, now_ms: int, *, room: int) -> list[Delivery]:
        """At most *room* deliveries that go now; their lanes fly until `land`."""
        started: list[Delivery] = []
        for receiver in self._receivers.values():
            if receiver.held_until_ms > now_ms:
                continue
            while receiver.heads and len(started) < room and not (receiver.is_down and receiver.flying):
                at, _, lane = receiver.heads[0]
                if at > now_ms and not receiver.is_down:
                    break
                heapq.heappop(receiver.heads)
                self._flying.add(lane)
                receiver.flying += 1
                started.append(self._lanes[lane][0])
        return started

    def hold(self, lane: DeliveryKey) -> bool:
        """Let nothing of *lane* go until `land`. False if it flies already."""
        if lane in self._flying:
            return False
        self._flying.add(lane)
        self._at(lane[0]).flying += 1
        return True

    def settle(self, delivery: Delivery, verdict: DeliveryResult, now_ms: int) -> None:
        """*delivery*, the head of its lane, came to *verdict*. Its lane flies on until `land`."""
        receiver = self._at(delivery.key[0])
        lane = self._lanes.get(delivery.key)
        if lane and lane[0].id == delivery.id:
            lane.popleft()
            self._ids.discard(delivery.id)
            if verdict.outcome == "retried":
                lane.appendleft(delivery)
                self._ids.add(delivery.id)
        self._judge(receiver, delivery.key, verdict, now_ms)

    def land(self, lane: DeliveryKey) -> None:
        """What flew in *lane* is over; its next one may go."""
        if lane not in self._flying:
            return
        self._flying.discard(lane)
        self._at(lane[0]).flying -= 1
        waiting = self._lanes.get(lane)
        if waiting:
            self._offer(waiting[0])
        else:
            self._lanes.pop(lane, None)

    def next_due_ms(self, now_ms: int) -> int | None:
        """When something may go that may not now; None when nothing waits for time alone."""
        moments = []
        for receiver in self._receivers.values():
            if receiver.heads and not (receiver.is_down and receiver.flying):
                at = now_ms if receiver.is_down else receiver.heads[0][0]
                moments.append(max(at, receiver.held_until_ms))
        return min(moments, default=None)

    def oldest_ms(self) -> int | None:
        """When the oldest that waits was decided."""
        return min((lane[0].decided_ms for lane in self._lanes.values() if lane), default=None)

    def down(self) -> list[str]:
        """Receivers that count as down."""
        return sorted(name for name, receiver in self._receivers.items() if receiver.is_down)

    def _judge(self, receiver: _Receiver, lane: DeliveryKey, verdict: DeliveryResult, now_ms: int) -> None:
        if verdict.pauses_receiver:
            receiver.held_until_ms = verdict.next_attempt_ms
        if verdict.outcome != "retried":
            self._recover(receiver, now_ms)
        elif not verdict.pauses_receiver:
            receiver.failed_lanes.add(lane)
            if receiver.is_down:
                receiver.probes += 1
                most = min(self._cap, self._base * 2 ** min(receiver.probes, 30))
                receiver.held_until_ms = now_ms + int(1_000 * self._rng.uniform(most / 2, most))
                receiver.failed_lanes = set(sorted(receiver.failed_lanes)[:DOWN_AFTER])

    def _recover(self, receiver: _Receiver, now_ms: int) -> None:
        """It answers: what failed while it was down need not wait any longer."""
        if receiver.is_down:
            receiver.held_until_ms = 0
            receiver.heads = [(min(at, now_ms), number, lane) for at, number, lane in receiver.heads]
            heapq.heapify(receiver.heads)
        receiver.failed_lanes.clear()
        receiver.probes = 0

    def _offer(self, delivery: Delivery) -> None:
        if delivery.key in self._flying:
            return
        self._number += 1
        heapq.heappush(self._at(delivery.key[0]).heads, (delivery.next_attempt_ms, self._number, delivery.key))

    def _at(self, name: str) -> _Receiver:
        return self._receivers.setdefault(name, _Receiver())
