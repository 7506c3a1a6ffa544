"""Sends the deliveries of the outbox to their receivers: one in flight per delivery key; each result is stored."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence

from alerting.dispatch.delivery_queue import DeliveryQueue
from alerting.dispatch.reminders import episodes_to_resend, resolves_to_repeat, second_resolve
from alerting.notifications.delivery import (
    Delivery,
    DeliveryKey,
    DeliveryResult,
    RetryPolicy,
    SendResult,
    delivery_result,
)
from alerting.notifications.receivers.receiver import Receiver, ResendingReceiver
from alerting.store.alert_store import AlertStore
from brandpulse.errors import TransientError
from brandpulse.runtime.metrics import Telemetry
from brandpulse.schema.episodes import Episode

log = logging.getLogger(__name__)

REFRESH_SECONDS = 5.0
"""How often the outbox is read again: `outbox retry` may have put a delivery back."""
RETRY_READ_SECONDS = 0.2
MAX_SETTLED = 1_000
SHORTEST_IDLE_SECONDS, LONGEST_IDLE_SECONDS = 0.02, 1.0
PROBE_CAP_SECONDS = 30.0
"""Longest pause between probes of a receiver that is down: once it works again, the queue drains within a minute."""
MAX_IN_FLIGHT = 32
DURABLE_WAIT_MS = 2_000


class Sender:
    """The leader's sender. It sends nothing before the store confirms that it is on disk, if the store can confirm
    it."""

    def __init__(
        self,
        store: AlertStore,
        receivers: Mapping[str, Receiver],
        *,
        token: int,
        policy: RetryPolicy,
        telemetry: Telemetry,
        wall_ms: Callable[[], int],
        rng: random.Random,
        repeat_after_seconds: float | None = None,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        """*repeat_after_seconds*: when to repeat the last resolves after a takeover; None: never. *may_send* is called
        before each request: whether this process still holds the lease by its own clock."""
        self._store = store
        self._receivers = receivers
        self._token = token
        self._policy = policy
        self._telemetry = telemetry
        self._wall_ms = wall_ms
        self._rng = rng
        self._repeat_after_seconds = repeat_after_seconds
        self._may_send = may_send
        self._queue = DeliveryQueue(
            probe_base_seconds=policy.base_seconds,
            probe_cap_seconds=min(PROBE_CAP_SECONDS, policy.cap_seconds),
            rng=rng,
        )
        self._durable: set[str] = set()
        self._settled: dict[str, Delivery | None] = {}
        """Deliveries that were settled since the outbox was read; None if they left it."""
        self._in_flight: dict[asyncio.Task[None], tuple[DeliveryKey, ...]] = {}
        self._woken = asyncio.Event()
        self._stale = True
        """The outbox must be read: it may differ from the queue."""
        self._new: list[Delivery] = []
        """Added to the outbox since it was read, and not yet confirmed on disk."""
        self._warned = False
        self._resend_at: dict[str, float] = {}

    def wake(self, new: Sequence[Delivery] = ()) -> None:
        """The outbox has new deliveries: *new*, in its order. Without *new*, it must be read again."""
        self._new += new
        self._stale = self._stale or not new
        self._woken.set()

    def oldest_waiting_ms(self) -> int | None:
        """When the oldest waiting notification was decided, by the wall clock; None if none waits."""
        waiting = self._queue.oldest_ms()
        return min((*([] if waiting is None else [waiting]), *(one.decided_ms for one in self._new)), default=None)

    async def run(self, stop: asyncio.Event) -> None:
        """Send until *stop*, then finish the deliveries in flight. Raises unexpected errors."""
        loop = asyncio.get_running_loop()
        refresh_at = 0.0
        repeat_at = None if self._repeat_after_seconds is None else loop.time() + self._repeat_after_seconds
        with contextlib.suppress(TransientError):
            await self._on_disk()  # log at the start, not at the first alert, if the store cannot confirm durability
        try:
            while not stop.is_set():
                if repeat_at is not None and loop.time() >= repeat_at and await self._repeat_resolves():
                    repeat_at = None
                self._woken.clear()
                began = loop.time()
                if (self._stale or loop.time() >= refresh_at) and await self._refresh():
                    # Reading thousands of deliveries takes time: at most a twentieth of the sender's.
                    refresh_at = loop.time() + max(REFRESH_SECONDS, 20 * (loop.time() - began))
                if self._new:
                    await self._take_new()
                if not self._stale and self._may_send():
                    # Nothing is sent while the queue may differ from the outbox.
                    await self._resend(loop.time())
                    self._start_due()
                await self._pause(stop)
        finally:
            await self._finish()

    async def _take_new(self) -> None:
        """Add new deliveries to the queue without reading the whole outbox again."""
        try:
            if not await self._on_disk():
                self._woken.set()
                return
        except TransientError as error:
            log.warning("outbox not confirmed on disk", extra={"reason": str(error)})
            self.wake()
            await asyncio.sleep(RETRY_READ_SECONDS)
            return
        # A read of the outbox may have added it already, and it may even be delivered by now.
        fresh = [delivery for delivery in self._new if delivery.id not in self._settled]
        self._new.clear()
        self._queue.add(fresh)
        self._durable |= {delivery.id for delivery in fresh}

    async def _is_up_to_date(self) -> bool:
        """Whether the outbox has as many deliveries as the queue: only this process and `outbox retry` add any."""
        if self._stale or len(self._settled) > MAX_SETTLED:
            return False
        try:
            await self._resolve_late()
            tally = await asyncio.to_thread(self._store.tally)
        except TransientError:
            return False
        return tally.waiting == len(self._queue) and not tally.erased

    async def _refresh(self) -> bool:
        if await self._is_up_to_date():
            return True
        self._stale = False
        self._settled.clear()
        self._new.clear()  # the read below includes them
        try:
            await self._resolve_late()
            waiting = await asyncio.to_thread(self._store.pending)
            fresh = {delivery.id for delivery in waiting} - self._durable
            if fresh and not await self._on_disk():
                self.wake()
                return False
        except TransientError as error:
            log.warning("outbox read failed", extra={"reason": str(error)})
            self.wake()
            await asyncio.sleep(RETRY_READ_SECONDS)
            return False
        # A delivery that was settled during the read is still in it: without this, it would be sent again.
        current = (self._settled.get(delivery.id, delivery) for delivery in waiting)
        self._queue.replace(delivery for delivery in current if delivery is not None)
        self._durable = {delivery.id for delivery in waiting}
        return True

    async def _on_disk(self) -> bool:
        answer = await asyncio.to_thread(self._store.make_durable, timeout_ms=DURABLE_WAIT_MS)
        if answer == "unknown" and not self._warned:
            self._warned = True
            log.warning(
                "store durability unknown: a crash may lose up to a second of decisions",
                extra={"remedy": "Valkey, or Redis from 7.2, with appendonly yes"},
            )
        if answer == "not yet":
            log.warning("store disk is slow: nothing is sent until the write is on disk")
        return answer != "not yet"

    def _start_due(self) -> None:
        for delivery in self._queue.start(self._wall_ms(), room=MAX_IN_FLIGHT - len(self._in_flight)):
            self._in_flight[asyncio.create_task(self._send(delivery))] = (delivery.key,)

    async def _resend(self, now: float) -> None:
        """Send firing episodes again to receivers whose alerts expire. Their keys are reserved, so no resolve
        overtakes."""
        due_now = [
            (name, receiver)
            for name, receiver in self._receivers.items()
            if isinstance(receiver, ResendingReceiver) and now >= self._resend_at.get(name, 0.0)
        ]
        if not due_now:
            return
        try:
            state = await asyncio.to_thread(self._store.load)
        except TransientError as error:
            log.warning("episodes to resend not read", extra={"reason": str(error)})
            return
        for name, receiver in due_now:
            self._resend_at[name] = now + receiver.resend_seconds
            busy = self._queue.active_keys | {delivery.key for delivery in self._new}
            firing = [one for one in episodes_to_resend(state, name, busy) if self._queue.reserve((name, one.key))]
            if firing:
                task = asyncio.create_task(self._resend_to(name, receiver, firing))
                self._in_flight[task] = tuple((name, one.key) for one in firing)

    async def _resend_to(self, name: str, receiver: ResendingReceiver, firing: Sequence[Episode]) -> None:
        outcome = await receiver.resend(firing)
        if outcome.status is None or not 200 <= outcome.status < 300:
            log.warning(
                "resend failed",
                extra={"receiver": name, "episodes": len(firing), "answer": outcome.answer[:200]},
            )

    async def _pause(self, stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(self._woken.wait()), asyncio.create_task(stop.wait())]
        try:
            await asyncio.wait([*waits, *self._in_flight], timeout=self._idle(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        for task in [task for task in self._in_flight if task.done()]:
            for key in self._in_flight.pop(task):
                self._queue.release(key)
            task.result()

    def _idle(self) -> float:
        """Seconds to wait if nothing wakes the sender."""
        now_ms = self._wall_ms()
        due_ms = self._queue.next_due_ms(now_ms)
        if due_ms is None or len(self._in_flight) >= MAX_IN_FLIGHT or not self._may_send():
            return LONGEST_IDLE_SECONDS
        return max(SHORTEST_IDLE_SECONDS, min(LONGEST_IDLE_SECONDS, (due_ms - now_ms) / 1_000))

    async def _finish(self) -> None:
        """Wait for the deliveries in flight: each has its own time limit."""
        if self._in_flight:
            await asyncio.gather(*self._in_flight)
            self._in_flight.clear()

    async def _send(self, delivery: Delivery) -> None:
        if not self._may_send():
            return  # the process was suspended: another leader sends it, or this one after the next lease
        receiver = self._receivers.get(delivery.notification.receiver)
        if receiver is None:
            sent = SendResult(410, f"no receiver is named {delivery.notification.receiver!r} any more")
        else:
            sent = await receiver.deliver(delivery.notification)
        now_ms = self._wall_ms()
        result = delivery_result(delivery, sent, now_ms=now_ms, policy=self._policy, rng=self._rng)
        after = delivery.model_copy(
            update={
                "attempts": delivery.attempts + 1,
                "next_attempt_ms": result.next_attempt_ms,
                "answer": result.reason,
                "delivered_ms": now_ms if result.outcome == "delivered" else None,
            }
        )
        await self._store_result(after, result)

    async def _store_result(self, delivery: Delivery, result: DeliveryResult) -> None:
        """Store the result. If the store is unavailable, only this is retried, never the request."""
        mark = {
            "delivered": self._store.mark_delivered,
            "retried": self._store.mark_retry,
            "quarantined": self._store.quarantine,
        }[result.outcome]
        for attempt in range(6):
            try:
                written = await asyncio.to_thread(mark, delivery, token=self._token)
                break
            except TransientError as error:
                log.warning("delivery result not stored yet", extra={"delivery": delivery.id, "reason": str(error)})
                await asyncio.sleep(self._rng.uniform(0, min(5.0, 0.2 * 2**attempt)))
        else:
            self.wake()
            return
        if not written:
            # Another alerter leads, or an operator moved it: the store is right.
            await self._report_late(delivery, result)
            self.wake()
            return
        self._remember(delivery, result)

    async def _report_late(self, delivery: Delivery, result: DeliveryResult) -> None:
        """This process was suspended before the request, which may have reopened an incident that the new leader
        closed.

        Only the new leader can close it again.
        """
        if delivery.notification.transition == "resolved" or result.outcome == "quarantined":
            return
        with contextlib.suppress(TransientError):
            await asyncio.to_thread(self._store.report_late, delivery)

    async def _resolve_late(self) -> None:
        """Resolve again what an earlier leader sent too late. Episodes that still fire need nothing."""
        late = await asyncio.to_thread(self._store.late_deliveries)
        if not late:
            return
        state = await asyncio.to_thread(self._store.load)
        stateful = {name for name, receiver in self._receivers.items() if receiver.keeps_state}
        resolves = [
            second_resolve(delivery, token=self._token, now_ms=self._wall_ms())
            for delivery in late
            if delivery.key[1] not in state.open and delivery.key[0] in stateful
        ]
        if await asyncio.to_thread(self._store.enqueue, resolves, token=self._token):
            await asyncio.to_thread(self._store.forget_late, late)
            log.warning("late notifications of an earlier leader resolved", extra={"deliveries": len(resolves)})

    def _remember(self, delivery: Delivery, result: DeliveryResult) -> None:
        receiver = delivery.notification.receiver
        self._settled[delivery.id] = delivery if result.outcome == "retried" else None
        was_down = self._queue.receivers_down()
        self._queue.settle(delivery, result, self._wall_ms())
        if self._queue.receivers_down() != was_down:
            log.warning("receivers down", extra={"receivers": self._queue.receivers_down()})
        self._telemetry.counter("brandpulse_deliveries_total").labels(receiver, result.outcome).inc()
        fields = {"delivery": delivery.id, "receiver": receiver, "attempts": delivery.attempts}
        if result.outcome == "delivered":
            self._telemetry.histogram("brandpulse_decision_to_delivery_seconds").observe(
                max(0.0, (self._wall_ms() - delivery.decided_ms) / 1_000)
            )
            log.info("notification delivered", extra=fields)
        elif result.outcome == "retried":
            log.warning("notification not delivered, will retry", extra=fields | {"answer": result.reason[:200]})
        else:
            log.error("notification quarantined", extra=fields | {"answer": result.reason[:200]})

    async def _repeat_resolves(self) -> bool:
        """Repeat the last resolves once: an earlier leader, suspended before its POST, may have reopened an
        incident."""
        try:
            delivered = await asyncio.to_thread(self._store.delivered)
            pending = await asyncio.to_thread(self._store.pending)
            repeats = resolves_to_repeat(
                delivered,
                pending,
                stateful={name for name, receiver in self._receivers.items() if receiver.keeps_state},
                token=self._token,
                now_ms=self._wall_ms(),
            )
            if repeats:
                await asyncio.to_thread(self._store.enqueue, repeats, token=self._token)
        except TransientError as error:
            log.warning("last resolves not repeated yet", extra={"reason": str(error)})
            return False
        if repeats:
            log.info("last resolves repeated after a takeover", extra={"deliveries": len(repeats)})
            self.wake()
        return True
