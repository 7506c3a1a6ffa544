"""Takes deliveries out of the outbox to their receivers: one in flight per lane, the outcome written down each time."""

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
"""How often the outbox is read again without being told to: a person may have put something back."""
LOOK_SECONDS = 0.2
MOST_SETTLED = 1_000
SHORTEST_IDLE_SECONDS, LONGEST_IDLE_SECONDS = 0.02, 1.0
PROBE_CAP_SECONDS = 30.0
"""A receiver that is down is tried so often: after it is back, everything drains within a minute."""
MOST_IN_FLIGHT = 32
DURABLE_WAIT_MS = 2_000


class Sender:
    """The leader's hands. Nothing goes out before the store says that it is on disk, where the store can say so."""

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
        """*repeat_after_seconds*: when to repeat the last resolves, after a takeover; None for never. *may_send* is
        asked before each request: whether the lease is still ours by our own clock."""
        self._store = store
        self._receivers = receivers
        self._token = token
        self._policy = policy
        self._telemetry = telemetry
        self._wall_ms = wall_ms
        self._rng = rng
        self._repeat_after_seconds = repeat_after_seconds
        self._may_send = may_send
        self._backlog = DeliveryQueue(
            probe_base_seconds=policy.base_seconds,
            probe_cap_seconds=min(PROBE_CAP_SECONDS, policy.cap_seconds),
            rng=rng,
        )
        self._durable: set[str] = set()
        self._settled: dict[str, Delivery | None] = {}
        """What came of deliveries while the outbox was being read; None when they left it."""
        self._flights: dict[asyncio.Task[None], tuple[DeliveryKey, ...]] = {}
        self._woken = asyncio.Event()
        self._stale = True
        """The outbox must be read: what lies in it may not be what we think."""
        self._new: list[Delivery] = []
        """Put into the outbox since it was read, not yet known to be on disk."""
        self._warned = False
        self._remind_at: dict[str, float] = {}

    def wake(self, new: Sequence[Delivery] = ()) -> None:
        """There is something new in the outbox: *new*, in its order; or something unknown, so it must be read."""
        self._new += new
        self._stale = self._stale or not new
        self._woken.set()

    def oldest_waiting_ms(self) -> int | None:
        """When the oldest notification that still waits was decided, by the wall clock; None when none waits."""
        waiting = self._backlog.oldest_ms()
        return min((*([] if waiting is None else [waiting]), *(one.decided_ms for one in self._new)), default=None)

    async def run(self, stop: asyncio.Event) -> None:
        """Send until *stop*, then finish what is in flight. Raises what is a bug."""
        loop = asyncio.get_running_loop()
        refresh_at = 0.0
        repeat_at = None if self._repeat_after_seconds is None else loop.time() + self._repeat_after_seconds
        with contextlib.suppress(TransientError):
            await self._on_disk()  # a store that cannot say so is told of at the start, not at the first alert
        try:
            while not stop.is_set():
                if repeat_at is not None and loop.time() >= repeat_at and await self._repeat_resolves():
                    repeat_at = None
                self._woken.clear()
                began = loop.time()
                if (self._stale or loop.time() >= refresh_at) and await self._refresh():
                    # A backlog of thousands takes its time to read: never more than a twentieth of ours.
                    refresh_at = loop.time() + max(REFRESH_SECONDS, 20 * (loop.time() - began))
                if self._new:
                    await self._take_new()
                if not self._stale and self._may_send():
                    # What may have been settled otherwise by the store is not sent on a guess.
                    await self._remind(loop.time())
                    self._start_due()
                await self._pause(stop)
        finally:
            await self._land()

    async def _take_new(self) -> None:
        """Take what a tick decided as it is: a backlog of thousands is not read again for each new alert."""
        try:
            if not await self._on_disk():
                self._woken.set()
                return
        except TransientError as error:
            log.warning("outbox not known to be on disk", extra={"error": str(error)})
            self.wake()
            await asyncio.sleep(LOOK_SECONDS)
            return
        # A read that ran beside the tick may have brought it already, and it may even have landed since.
        fresh = [delivery for delivery in self._new if delivery.id not in self._settled]
        self._new.clear()
        self._backlog.add(fresh)
        self._durable |= {delivery.id for delivery in fresh}

    async def _is_as_known(self) -> bool:
        """Whether the outbox holds as many as we think: nobody but us and `outbox retry` puts anything in."""
        if self._stale or len(self._settled) > MOST_SETTLED:
            return False
        try:
            await self._mend_late()
            tally = await asyncio.to_thread(self._store.tally)
        except TransientError:
            return False
        return tally.waiting == len(self._backlog) and not tally.erased

    async def _refresh(self) -> bool:
        if await self._is_as_known():
            return True
        self._stale = False
        self._settled.clear()
        self._new.clear()  # what is in the outbox by now is read below
        try:
            await self._mend_late()
            waiting = await asyncio.to_thread(self._store.pending)
            fresh = {delivery.id for delivery in waiting} - self._durable
            if fresh and not await self._on_disk():
                self.wake()
                return False
        except TransientError as error:
            log.warning("outbox unreadable", extra={"error": str(error)})
            self.wake()
            await asyncio.sleep(LOOK_SECONDS)
            return False
        # A delivery that landed while we read is still in what we read: taken as it stands there, it would fly again.
        current = (self._settled.get(delivery.id, delivery) for delivery in waiting)
        self._backlog.replace(delivery for delivery in current if delivery is not None)
        self._durable = {delivery.id for delivery in waiting}
        return True

    async def _on_disk(self) -> bool:
        answer = await asyncio.to_thread(self._store.make_durable, timeout_ms=DURABLE_WAIT_MS)
        if answer == "unknown" and not self._warned:
            self._warned = True
            log.warning(
                "the store cannot say what is on its disk: up to a second of decisions may be lost in a crash",
                extra={"remedy": "Valkey, or Redis from 7.2, with appendonly yes"},
            )
        if answer == "not yet":
            log.warning("the store's disk is slow: nothing is sent until it has written")
        return answer != "not yet"

    def _start_due(self) -> None:
        for delivery in self._backlog.start(self._wall_ms(), room=MOST_IN_FLIGHT - len(self._flights)):
            self._flights[asyncio.create_task(self._carry(delivery))] = (delivery.key,)

    async def _remind(self, now: float) -> None:
        """Say again what fires to receivers that forget it. Its lanes are held meanwhile: no resolve is overtaken."""
        due_now = [
            (name, receiver)
            for name, receiver in self._receivers.items()
            if isinstance(receiver, ResendingReceiver) and now >= self._remind_at.get(name, 0.0)
        ]
        if not due_now:
            return
        try:
            state = await asyncio.to_thread(self._store.load)
        except TransientError as error:
            log.warning("could not read what to repeat", extra={"error": str(error)})
            return
        for name, receiver in due_now:
            self._remind_at[name] = now + receiver.resend_seconds
            busy = self._backlog.lanes | {delivery.key for delivery in self._new}
            firing = [one for one in episodes_to_resend(state, name, busy) if self._backlog.hold((name, one.key))]
            if firing:
                task = asyncio.create_task(self._say_again(name, receiver, firing))
                self._flights[task] = tuple((name, one.key) for one in firing)

    async def _say_again(self, name: str, receiver: ResendingReceiver, firing: Sequence[Episode]) -> None:
        outcome = await receiver.resend(firing)
        if outcome.status is None or not 200 <= outcome.status < 300:
            log.warning(
                "what fires was not repeated",
                extra={"receiver": name, "episodes": len(firing), "answer": outcome.answer[:200]},
            )

    async def _pause(self, stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(self._woken.wait()), asyncio.create_task(stop.wait())]
        try:
            await asyncio.wait([*waits, *self._flights], timeout=self._idle(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        for task in [task for task in self._flights if task.done()]:
            for lane in self._flights.pop(task):
                self._backlog.land(lane)
            task.result()

    def _idle(self) -> float:
        """Seconds until there may be something to do that nobody tells us of."""
        now_ms = self._wall_ms()
        due_ms = self._backlog.next_due_ms(now_ms)
        if due_ms is None or len(self._flights) >= MOST_IN_FLIGHT or not self._may_send():
            return LONGEST_IDLE_SECONDS
        return max(SHORTEST_IDLE_SECONDS, min(LONGEST_IDLE_SECONDS, (due_ms - now_ms) / 1_000))

    async def _land(self) -> None:
        """Wait for what is in flight: each has its own time-out."""
        if self._flights:
            await asyncio.gather(*self._flights)
            self._flights.clear()

    async def _carry(self, delivery: Delivery) -> None:
        if not self._may_send():
            return  # asleep for too long: it is the successor's, or ours again once the lease is
        receiver = self._receivers.get(delivery.notification.receiver)
        if receiver is None:
            outcome = SendResult(410, f"no receiver is named {delivery.notification.receiver!r} any more")
        else:
            outcome = await receiver.deliver(delivery.notification)
        now_ms = self._wall_ms()
        verdict = delivery_result(delivery, outcome, now_ms=now_ms, policy=self._policy, rng=self._rng)
        after = delivery.model_copy(
            update={
                "attempts": delivery.attempts + 1,
                "next_attempt_ms": verdict.next_attempt_ms,
                "answer": verdict.reason,
                "delivered_ms": now_ms if verdict.outcome == "delivered" else None,
            }
        )
        await self._write_down(after, verdict)

    async def _write_down(self, delivery: Delivery, verdict: DeliveryResult) -> None:
        """The outcome into the store. Only this is repeated while the store is away, never the request."""
        mark = {
            "delivered": self._store.mark_delivered,
            "retried": self._store.mark_retry,
            "quarantined": self._store.quarantine,
        }[verdict.outcome]
        for attempt in range(6):
            try:
                written = await asyncio.to_thread(mark, delivery, token=self._token)
                break
            except TransientError as error:
                log.warning("outcome not written yet", extra={"delivery": delivery.id, "error": str(error)})
                await asyncio.sleep(self._rng.uniform(0, min(5.0, 0.2 * 2**attempt)))
        else:
            self.wake()
            return
        if not written:
            # Another alerter leads, or a person moved it: what the store says now is what counts.
            await self._report_late(delivery, verdict)
            self.wake()
            return
        self._remember(delivery, verdict)

    async def _report_late(self, delivery: Delivery, verdict: DeliveryResult) -> None:
        """We slept before the request: it may have opened anew what our successor has closed. Only it can close it."""
        if delivery.notification.transition == "resolved" or verdict.outcome == "quarantined":
            return
        with contextlib.suppress(TransientError):
            await asyncio.to_thread(self._store.report_late, delivery)

    async def _mend_late(self) -> None:
        """Close again what a leader before us sent too late. What still fires is left alone: it is told of already."""
        late = await asyncio.to_thread(self._store.late_deliveries)
        if not late:
            return
        state = await asyncio.to_thread(self._store.load)
        stateful = {name for name, receiver in self._receivers.items() if receiver.keeps_state}
        mends = [
            second_resolve(delivery, token=self._token, now_ms=self._wall_ms())
            for delivery in late
            if delivery.key[1] not in state.open and delivery.key[0] in stateful
        ]
        if await asyncio.to_thread(self._store.enqueue, mends, token=self._token):
            await asyncio.to_thread(self._store.forget_late, late)
            log.warning("closing again what a leader before sent too late", extra={"deliveries": len(mends)})

    def _remember(self, delivery: Delivery, verdict: DeliveryResult) -> None:
        receiver = delivery.notification.receiver
        self._settled[delivery.id] = delivery if verdict.outcome == "retried" else None
        was_down = self._backlog.down()
        self._backlog.settle(delivery, verdict, self._wall_ms())
        if self._backlog.down() != was_down:
            log.warning("receivers that do not answer", extra={"receivers": self._backlog.down()})
        self._telemetry.counter("brandpulse_deliveries_total").labels(receiver, verdict.outcome).inc()
        told = {"delivery": delivery.id, "receiver": receiver, "attempts": delivery.attempts}
        if verdict.outcome == "delivered":
            self._telemetry.histogram("brandpulse_decision_to_delivery_seconds").observe(
                max(0.0, (self._wall_ms() - delivery.decided_ms) / 1_000)
            )
            log.info("delivered", extra=told)
        elif verdict.outcome == "retried":
            log.warning("not delivered, will try again", extra=told | {"answer": verdict.reason[:200]})
        else:
            log.error("refused for good, set aside", extra=told | {"answer": verdict.reason[:200]})

    async def _repeat_resolves(self) -> bool:
        """A leader paused before its POST may have reopened an incident after it was closed: close it again, once."""
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
            log.warning("could not repeat the last resolves yet", extra={"error": str(error)})
            return False
        if repeats:
            log.info("repeating the last resolves after a takeover", extra={"deliveries": len(repeats)})
            self.wake()
        return True
