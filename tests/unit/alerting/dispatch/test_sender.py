"""The sender against the mock receiver over real sockets, its outbox in memory."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
from pydantic import SecretStr

from alerting.dispatch.reminders import RECENT_RESOLVE_MS, resolves_to_repeat
from alerting.dispatch.sender import Sender
from alerting.episodes.lifecycle import Memory, OpenEpisode
from alerting.notifications.delivery import Delivery, RetryPolicy
from alerting.notifications.receivers.pagerduty import PagerDuty
from alerting.notifications.receivers.receiver import Receiver
from alerting.notifications.receivers.webhook import Webhook
from alerting.store.alert_store import Commit, Durability
from alerting.store.memory_store import MemoryAlertStore
from brandpulse.devstack.mock_receiver import Fault, MockReceiver
from brandpulse.runtime.metric_definitions import ALERTER_METRICS
from brandpulse.runtime.metrics import Telemetry
from tests.support.alerting.episode_builders import AT, a_delivery, a_notification, an_episode
from tests.support.patience import patience

NOW_MS = 10**12
QUICK = RetryPolicy(give_up_after_seconds=10**10, base_seconds=0.05, cap_seconds=0.1, too_many_floor_seconds=0.3)


class Scene:
    """A store with a leader, a mock, and the sender between them."""

    def __init__(self, store: MemoryAlertStore, mock: MockReceiver, sender: Sender, telemetry: Telemetry) -> None:
        self.store = store
        self.mock = mock
        self.sender = sender
        self.telemetry = telemetry

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(patience(10)):
            while not true():  # noqa: ASYNC110 - what it waits for is a state, not an event
                await asyncio.sleep(0.005)

    def counted(self, receiver: str, outcome: str) -> float:
        return (
            self.telemetry.registry.get_sample_value(
                "brandpulse_deliveries_total", {"receiver": receiver, "outcome": outcome}
            )
            or 0.0
        )


@asynccontextmanager
async def scene(
    deliveries: Sequence[Delivery],
    faults: Sequence[Fault] = (),
    *,
    store: MemoryAlertStore | None = None,
    timeout_seconds: float = 1.0,
    repeat_after_seconds: float | None = None,
    may_send: bool = True,
) -> AsyncIterator[Scene]:
    store = store or MemoryAlertStore()
    token = store.acquire("me", lease_ms=1_000)
    assert token is not None
    store.enqueue(deliveries, token=token)
    telemetry = Telemetry(ALERTER_METRICS)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with MockReceiver(faults) as mock, aiohttp.ClientSession() as session:
        pager = PagerDuty(
            "pager",
            url=f"{mock.url}/v2/enqueue",
            routing_key=SecretStr("0" * 32),
            min_severity="info",
            session=session,
            timeout_seconds=timeout_seconds,
        )
        chat = Webhook(
            "chat",
            url=f"{mock.url}/webhook/chat",
            secret=SecretStr("s3cret"),
            min_severity="info",
            session=session,
            timeout_seconds=timeout_seconds,
        )
        receivers: dict[str, Receiver] = {"pager": pager, "chat": chat}
        sender = Sender(
            store,
            receivers,
            token=token,
            policy=QUICK,
            telemetry=telemetry,
            wall_ms=lambda: NOW_MS + int((loop.time() - began) * 1_000),
            rng=random.Random(1),
            may_send=lambda: may_send,
            repeat_after_seconds=repeat_after_seconds,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(sender.run(stop))
        try:
            yield Scene(store, mock, sender, telemetry)
        finally:
            stop.set()
            await running


def actions(mock: MockReceiver) -> list[str]:
    return [event["body"]["event_action"] for event in mock.events if event["status"] == 202]


LIFE = [a_delivery(), a_delivery("resolved")]


async def test_an_episode_opens_and_closes_one_incident() -> None:
    async with scene(LIFE) as s:
        await s.until(lambda: not s.store.pending())
        assert actions(s.mock) == ["trigger", "resolve"]
        assert [one.status for one in s.mock.incidents.all] == ["resolved"]
        assert s.counted("pager", "delivered") == 2
        assert [delivery.id for delivery in s.store.delivered()] == [LIFE[1].id, LIFE[0].id]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503, retry_after="0"),
        Fault(status=429, retry_after="0"),
        Fault(reset="before"),
        Fault(reset="after"),
        Fault(hang_seconds=0.4),
    ],
    ids=lambda fault: str(fault.model_dump(exclude_defaults=True)),
)
async def test_after_a_trigger_without_a_response_the_resolve_comes_last(fault: Fault) -> None:
    async with scene(LIFE, [fault, fault, fault], timeout_seconds=0.2) as s:
        await s.until(lambda: not s.store.pending())
        assert actions(s.mock)[-1] == "resolve"
        assert "resolve" not in actions(s.mock)[:-1]
        assert [one.status for one in s.mock.incidents.all] == ["resolved"], "one page, and it is closed"
        assert s.counted("pager", "retried") == 3
        assert s.store.quarantined() == []


@pytest.mark.parametrize("status", [400, 401, 403, 413])
async def test_a_permanent_rejection_is_quarantined_and_blocks_nothing(status: int) -> None:
    async with scene([a_delivery(), a_delivery(key="other")], [Fault(status=status, body="no")]) as s:
        await s.until(lambda: not s.store.pending())
        [refused] = s.store.quarantined()
        assert refused.answer == f"refused with {status}: no"
        assert len(s.store.delivered()) == 1
        await s.until(lambda: s.counted("pager", "quarantined") == 1)
        assert s.store.tally().quarantined == 1


async def test_status_429_pauses_the_receiver_but_not_others() -> None:
    loop = asyncio.get_running_loop()
    deliveries = [a_delivery(key=f"{number}") for number in range(3)]
    async with scene(deliveries[:1], [Fault(status=429)]) as s:
        await s.until(lambda: s.counted("pager", "retried") == 1)
        held_from = loop.time()
        token = s.store.acquire("me", lease_ms=1)
        assert token is not None
        s.store.enqueue([*deliveries[1:], a_delivery(receiver="chat")], token=token)
        s.sender.wake()
        await s.until(lambda: s.counted("chat", "delivered") == 1)
        assert s.mock.requests == 2
        await s.until(lambda: not s.store.pending())
        assert loop.time() - held_from >= 0.25


async def test_a_hanging_request_delays_only_its_own_key() -> None:
    async with scene([a_delivery(), a_delivery(key="other")], [Fault(hang_seconds=30)], timeout_seconds=0.5) as s:
        await s.until(lambda: len(s.store.delivered()) == 1)
        assert len(s.store.pending()) == 1
        await s.until(lambda: not s.store.pending())


async def test_a_delivery_to_a_removed_receiver_is_quarantined() -> None:
    async with scene([a_delivery(receiver="gone")]) as s:
        await s.until(lambda: bool(s.store.quarantined()))
        assert "no receiver is named 'gone'" in s.store.quarantined()[0].answer


async def test_the_webhook_gets_its_key_and_its_signature() -> None:
    async with scene([a_delivery(receiver="chat")]) as s:
        await s.until(lambda: not s.store.pending())
        [event] = s.mock.events
        assert event["body"]["transition"] == "triggered"
        assert event["headers"]["Idempotency-Key"] == "k:triggered@chat"
        assert event["headers"]["X-Brandpulse-Signature"].startswith("sha256=")


async def test_a_stop_finishes_deliveries_in_flight() -> None:
    async with scene([a_delivery()], [Fault(hang_seconds=0.3)]) as s:
        await s.until(lambda: s.mock.requests == 1)
    assert [delivery.id for delivery in s.store.delivered()] == ["k:triggered@pager"]


async def test_nothing_is_sent_before_it_is_on_disk() -> None:
    class SlowDisk(MemoryAlertStore):
        def make_durable(self, *, timeout_ms: int) -> Durability:
            asked.append(len(s.mock.events))
            return "not yet" if len(asked) < 3 else "durable"

    asked: list[int] = []
    async with scene([a_delivery()], store=SlowDisk()) as s:
        await s.until(lambda: not s.store.pending())
    assert asked == [0, 0, 0]


async def test_a_new_leader_repeats_resolves_that_a_dead_one_may_undo() -> None:
    store = MemoryAlertStore()
    old = store.acquire("old", lease_ms=1_000)
    assert old is not None
    store.enqueue(LIFE, token=old)
    for delivery in LIFE:
        store.mark_delivered(delivery.model_copy(update={"delivered_ms": NOW_MS - 60_000}), token=old)
    store.expire_lease()
    async with scene([], store=store, repeat_after_seconds=0.3) as s:
        # The old leader's POST, delayed in its socket, arrives only now.
        s.mock.incidents.process(
            {
                "routing_key": "0" * 32,
                "dedup_key": "k",
                "event_action": "trigger",
                "payload": {"summary": "late", "severity": "error"},
            }
        )
        await s.until(lambda: [one.status for one in s.mock.incidents.all] == ["resolved"])
        assert actions(s.mock) == ["resolve"]


def test_only_the_last_resolve_of_an_inactive_key_is_repeated() -> None:
    def delivered(key: str, transition: str, age_ms: int, receiver: str = "pager") -> Delivery:
        return a_delivery(transition, key=key, receiver=receiver, delivered_ms=NOW_MS - age_ms)  # type: ignore[arg-type]

    newest_first = [
        delivered("recent", "resolved", 10),
        delivered("recent", "triggered", 20),
        delivered("still open", "triggered", 30),
        delivered("busy again", "resolved", 40),
        delivered("log", "resolved", 50, receiver="kafka"),
        delivered("old", "resolved", RECENT_RESOLVE_MS + 1),
    ]
    repeats = resolves_to_repeat(
        newest_first, [a_delivery(key="busy again")], stateful={"pager"}, token=7, now_ms=NOW_MS
    )
    assert [delivery.id for delivery in repeats] == ["recent:resolved@pager#repeat-7"]


async def test_a_delivery_settled_during_a_read_is_not_sent_again() -> None:
    class SlowRead(MemoryAlertStore):
        """The second read gives back what it saw before the delivery in flight was marked."""

        reads = 0
        marked = threading.Event()

        def pending(self) -> list[Delivery]:
            seen = super().pending()
            self.reads += 1
            if self.reads == 2:
                self.marked.wait(patience(5))
                time.sleep(0.05)  # until the loop has heard of the mark
            return seen

        def mark_delivered(self, delivery: Delivery, *, token: int) -> bool:
            done = super().mark_delivered(delivery, token=token)
            self.marked.set()
            return done

    store = SlowRead()
    async with scene([a_delivery()], [Fault(hang_seconds=0.1)], store=store) as s:
        await s.until(lambda: s.mock.requests == 1)
        s.sender.wake()
        await s.until(lambda: store.reads == 2 and store.marked.is_set())
        await asyncio.sleep(0.5)
        assert s.mock.requests == 1


class CountingStore(MemoryAlertStore):
    """Counts how often its outbox is read."""

    reads = 0

    def pending(self) -> list[Delivery]:
        self.reads += 1
        return super().pending()


async def test_new_deliveries_are_sent_without_reading_the_outbox() -> None:
    store = CountingStore()
    async with scene([], store=store) as s:
        await s.until(lambda: store.reads == 1)
        token = store.acquire("me", lease_ms=1_000)
        assert token is not None
        for delivery in LIFE:
            store.enqueue([delivery], token=token)
            s.sender.wake([delivery])
        await s.until(lambda: len(store.delivered()) == 2)
        assert actions(s.mock) == ["trigger", "resolve"]
        assert store.reads == 1


async def test_a_delivery_read_before_its_wake_is_not_sent_again() -> None:
    store = CountingStore()
    async with scene(LIFE[:1], store=store) as s:
        await s.until(lambda: len(store.delivered()) == 1)
        s.sender.wake(LIFE[:1])
        await asyncio.sleep(0.3)
        assert actions(s.mock) == ["trigger"]


async def test_late_deliveries_of_an_old_leader_are_resolved_if_over() -> None:
    store = MemoryAlertStore()
    token = store.acquire("before", lease_ms=1_000)
    assert token is not None
    opened = {"k": OpenEpisode(an_episode("k"), Memory(told_at=AT, told=("pager",)))}
    store.commit(Commit(None, None, open=opened), token=token)
    store.report_late(a_delivery(key="k"))
    store.report_late(a_delivery(key="over"))
    store.expire_lease()
    async with scene([a_delivery(key="other")], store=store) as s:
        await s.until(lambda: s.store.late_deliveries() == [] and s.store.pending() == [])
        assert actions(s.mock) == ["trigger", "resolve"] or actions(s.mock) == ["resolve", "trigger"]
        assert [one["body"]["dedup_key"] for one in s.mock.events if one["body"]["event_action"] == "resolve"] == [
            "over"
        ]


async def test_without_a_lease_nothing_is_sent() -> None:
    async with scene([], may_send=False) as s:
        token = s.store.acquire("me", lease_ms=1_000)
        assert token is not None
        s.store.enqueue(LIFE, token=token)
        s.sender.wake()
        await asyncio.sleep(0.5)
        assert s.mock.requests == 0
        assert len(s.store.pending()) == 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://no-such-host.invalid/v2/enqueue", "Connect"),
        ("http://127.0.0.1:1/v2/enqueue", "Connect"),
        ("https://{address}/v2/enqueue", "SSL"),  # TLS spoken to one that has none
    ],
)
async def test_failures_of_dns_connection_and_tls_have_no_status(url: str, message: str) -> None:
    async with MockReceiver() as mock, aiohttp.ClientSession() as session:
        pager = PagerDuty(
            "pager",
            url=url.format(address=mock.url.removeprefix("http://")),
            routing_key=SecretStr("0" * 32),
            min_severity="info",
            session=session,
            timeout_seconds=2,
        )
        outcome = await pager.deliver(a_notification())
    assert outcome.status is None
    assert message in outcome.answer or "Errno" in outcome.answer or "DNS" in outcome.answer


@pytest.mark.parametrize("fault", [Fault(drip_seconds=30.0), Fault(garbage=True)])
async def test_status_202_is_a_success_with_any_body(fault: Fault) -> None:
    async with scene(LIFE[:1], [fault]) as s:
        await s.until(lambda: len(s.store.delivered()) == 1)
        assert s.mock.requests == 1
