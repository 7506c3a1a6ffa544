"""Episode and outbox as a state machine: any order of crises, outages, silences, people and deaths.

The clock is simulated; real are `decide`, the dispatcher, the store's promises (in memory) and the sender. Invariants,
once all is quiet: nothing is lost, no incident stays open without a firing episode, an episode pages once, and its
actions arrive in order.
"""

import asyncio
import contextlib
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alerting.detection.share_detector import Baseline, DetectPolicy, Finding, WindowCounts
from alerting.dispatch.dispatcher import Dispatcher
from alerting.dispatch.sender import Sender
from alerting.episodes.lifecycle import EpisodePolicy, decide
from alerting.notifications.delivery import RetryPolicy
from alerting.notifications.routing import Route
from alerting.rules.models import DEFAULT_RULES
from alerting.store.alert_store import Commit
from alerting.store.memory_store import MemoryAlertStore
from alerting.store.pending_commit import PendingCommit, RuleDecision
from brandpulse.runtime.metric_definitions import ALERTER_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.schema.episodes import Notification
from brandpulse.schema.silences import Acknowledgement, Silence
from brandpulse.state.keys import MINUTE_MS
from tests.support.alerting.fake_pagerduty import Mood, Pager
from tests.support.alerting.post_streams import MONDAY
from tests.support.simulated_loop import SimulatedLoop

BRANDS = ("Acme Air", "Blue Bank")
POLICY = DetectPolicy()
ROUTES = [Route("pager", wants_every_update=False)]
QUICK = RetryPolicy(base_seconds=0.5, cap_seconds=4, too_many_floor_seconds=2)
LEASE_SECONDS = 2.0
MOODS: tuple[Mood, ...] = ("well", "away", "deaf", "busy", "too many", "holds")
WALL_MS = 10**12


def finding(kind: str, minute: int) -> Finding:
    """A minute of a crisis, of calm, or without data."""
    share = {"crisis": 0.7, "worse": 0.95, "calm": 0.15}.get(kind)
    baseline = Baseline(0.2, 0.01, 100, 10_000)
    if share is None:
        return Finding("no data", POLICY, baseline, WindowCounts(minute, 180), stream_alive=False)
    window = WindowCounts(minute, 5, 100, int(100 * share), 100, int(100 * share))
    return Finding("normal" if kind == "calm" else "spike", POLICY, baseline, window, window, window)


class Alerter(RuleBasedStateMachine):
    """One pager, two brands, and one leader after the other."""

    @initialize()
    def begin(self) -> None:
        self.loop = SimulatedLoop()
        self.began = self.loop.time()
        self.store = MemoryAlertStore()
        self.pager = Pager(seconds=0.1)
        self.pager.on_processed = self.note
        self.minute = MONDAY
        self.moods = dict.fromkeys(BRANDS, "calm")
        self.human: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        self.token = 0
        self.senders: list[tuple[Sender, asyncio.Event, asyncio.Task[None], int]] = []
        self.lead()

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.settle()
            self.check_quiet()
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.pass_time(0.1)
            self.loop.close()

    # ---- what runs

    def wall_ms(self) -> int:
        return WALL_MS + int((self.loop.time() - self.began) * 1_000)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.wall_ms() / 1_000, UTC)

    def lead(self) -> None:
        """Another alerter takes over."""
        self.store.expire_lease()
        token = self.store.acquire(f"leader {len(self.senders)}", lease_ms=1_000)
        assert token is not None
        self.token = token
        sender = Sender(
            self.store,
            {"pager": self.pager},
            token=token,
            policy=QUICK,
            telemetry=Telemetry(ALERTER_METRICS),
            wall_ms=self.wall_ms,
            rng=random.Random(token),
            repeat_after_seconds=LEASE_SECONDS,
            may_send=lambda: token == self.token,
        )
        stop = asyncio.Event()
        self.senders.append((sender, stop, self.loop.create_task(sender.run(stop)), token))

    def note(self, notification: Notification) -> None:
        """A trigger that arrives after its episode's resolve was processed opens an incident again: only a leader that
        slept may do that."""
        key = notification.episode.key
        if notification.transition != "resolved" and (key, "resolve") in self.pager.processed:
            self.late[key] += 1

    def evaluate(self, *, dies: str = "") -> None:
        """One event-time minute. *dies*: before or after its commit."""
        state = self.store.load()
        pending = PendingCommit(state)
        requests = self.store.operator_requests(self.now())
        dispatcher = Dispatcher(ROUTES, rules=DEFAULT_RULES, requests=requests, now_ms=self.wall_ms())
        dispatcher.acknowledge(pending, requests.acknowledgements)
        decisions = []
        for brand, mood in self.moods.items():
            opened = pending.open.get((brand, "negative_share"))
            found = finding(mood, self.minute)
            if opened is None and found.state != "spike":
                continue
            decision = decide(brand, opened, found, minute=self.minute, minutes=1, policy=EpisodePolicy())
            decisions.append(RuleDecision(brand, "negative_share", decision))
        dispatcher.apply(pending, decisions)
        dispatcher.send_overdue(pending)
        if dies == "before":
            self.die()
            return
        until = (self.minute + 1) * MINUTE_MS
        assert self.store.commit(pending.commit(state, until), token=self.token) == "applied"
        self.minute += 1
        if dies == "after":
            self.die()
            return
        self.store.forget_acknowledgements(requests.acknowledgements)
        if pending.deliveries:
            self.senders[-1][0].wake(pending.deliveries)

    def die(self) -> None:
        """kill -9 of the leader, with whatever it has under way; another leads."""
        _, _, task, _ = self.senders.pop()
        flights = {one for one in asyncio.all_tasks(self.loop) if one is not task}
        task.cancel()
        for one in flights:
            if "_carry" in repr(one.get_coro()):
                one.cancel()
        self.loop.pass_time(0.001)
        self.lead()

    # ---- what happens

    @rule(
        brand=st.sampled_from(BRANDS),
        mood=st.sampled_from(["crisis", "worse", "calm", "nothing"]),
        minutes=st.integers(1, 40),
        seconds=st.sampled_from([0.0, 0.05, 0.15, 2.0]),
    )
    def a_brand_goes_through(self, brand: str, mood: str, minutes: int, seconds: float) -> None:
        self.moods[brand] = mood
        for _ in range(minutes):
            self.evaluate()
            self.loop.pass_time(seconds)

    @rule(mood=st.sampled_from(MOODS), seconds=st.sampled_from([0.0, 0.15, 10.0]))
    def the_receiver_turns(self, mood: Mood, seconds: float) -> None:
        self.pager.mood = mood
        self.loop.pass_time(seconds)

    @rule(seconds=st.sampled_from([0.05, 5.0]))
    def what_was_held_arrives(self, seconds: float) -> None:
        self.pager.let_go.set()
        self.pager.let_go = asyncio.Event()
        self.loop.pass_time(seconds)

    @rule(dies=st.sampled_from(["before", "after"]))
    def the_leader_dies_around_its_commit(self, dies: str) -> None:
        self.evaluate(dies=dies)

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.1, 0.15]))
    def the_leader_dies_around_a_request(self, seconds: float) -> None:
        self.evaluate()
        self.loop.pass_time(seconds)
        self.die()

    @rule()
    def the_leader_falls_asleep_and_another_takes_over(self) -> None:
        self.lead()

    @rule(brand=st.sampled_from(BRANDS), mood=st.sampled_from(["away", "deaf", "busy"]), calm=st.integers(10, 30))
    def a_crisis_comes_and_goes_while_the_receiver_does_not_answer(self, brand: str, mood: Mood, calm: int) -> None:
        self.the_receiver_turns(mood, 0.0)
        self.a_brand_goes_through(brand, "crisis", 2, 0.15)
        self.a_brand_goes_through(brand, "calm", calm, 0.15)
        self.the_receiver_turns("well", 10.0)

    @rule(brand=st.sampled_from(BRANDS), crisis=st.integers(1, 5), calm=st.integers(0, 60))
    def the_leader_sleeps_before_its_request(self, brand: str, crisis: int, calm: int) -> None:
        """Its successor may have resolved before it wakes."""
        self.the_receiver_turns("holds", 0.0)
        self.a_brand_goes_through(brand, "crisis", crisis, 0.05)
        self.lead()
        self.the_receiver_turns("well", 0.0)
        self.a_brand_goes_through(brand, "calm", 1 + calm, 0.15)

    @rule()
    def a_stale_commit_is_tried(self) -> None:
        """As a rewind, or a leader that lost its lease, would."""
        until = self.store.load().evaluated_until_ms
        if until is not None:
            assert self.store.commit(Commit(until - MINUTE_MS, until), token=self.token) == "moved"
        assert self.store.commit(Commit(until, until), token=self.token - 1) == "fenced"

    @rule(brand=st.sampled_from([*BRANDS, None]), minutes=st.integers(0, 3))
    def somebody_silences(self, brand: str | None, minutes: int) -> None:
        now = self.now()
        silence = Silence(brand=brand, starts_at=now, ends_at=now + timedelta(minutes=minutes), created_at=now)
        self.store.silences[silence.id] = silence

    @rule()
    def silences_are_ended(self) -> None:
        self.store.silences.clear()

    @precondition(lambda self: self.store.load().open)
    @rule()
    def somebody_takes_one_on(self) -> None:
        key = next(iter(self.store.load().open))
        self.store.acknowledgements[key] = Acknowledgement(key=key, by="kim", at=self.now())

    @precondition(lambda self: self.pager.incidents.open())
    @rule()
    def somebody_resolves_by_hand_in_the_receiver(self) -> None:
        incident = self.pager.incidents.open()[0]
        incident.status = "resolved"
        self.human[incident.dedup_key] += 1

    # ---- invariants

    @invariant()
    def every_notification_is_somewhere(self) -> None:
        if not hasattr(self, "store"):
            return
        tally = self.store.tally()
        assert tally.total("accepted") == tally.total("delivered") + tally.total("quarantined") + tally.waiting

    def settle(self) -> None:
        """All receivers work, no leader is suspended, nothing is silenced, and some minutes pass."""
        self.the_receiver_turns("well", 0.0)
        self.what_was_held_arrives(5.0)
        self.store.silences.clear()
        for sender, stop, _, token in self.senders:
            if token != self.token:
                stop.set()
            sender.wake()
        for _ in range(3):
            self.evaluate()
            self.loop.pass_time(15)

    def check_quiet(self) -> None:
        state = self.store.load()
        assert self.store.pending() == [], "something is not handed over"
        assert self.store.quarantined() == []
        assert self.store.late_deliveries() == []
        for _, _, task, _ in self.senders:
            if task.done():
                with contextlib.suppress(asyncio.CancelledError):
                    task.result()
        firing = set(state.open)
        assert {one.dedup_key for one in self.pager.incidents.open()} <= firing, "an incident that nothing closes"
        arrived = Counter(self.pager.processed)
        for key, one in state.open.items():
            if one.episode.acknowledged_at is None:
                assert arrived[key, "trigger"], "an episode that fires and was told to nobody"
        for episode in state.closed:
            if arrived[episode.key, "trigger"]:
                assert arrived[episode.key, "resolve"], "an end that was lost"
        pages = Counter(one.dedup_key for one in self.pager.incidents.all)
        for key, number in pages.items():
            assert number <= 1 + self.human[key] + self.late[key], f"{key} paged {number} times"
        for key in {key for key, _ in self.pager.processed}:
            actions = [action for one, action in self.pager.processed if one == key]
            assert actions[0] == "trigger", "a resolve or an acknowledgement before its trigger"
            if not self.late[key]:
                first = actions.index("resolve") if "resolve" in actions else len(actions)
                assert set(actions[first:]) <= {"resolve"}, "something came after the resolve"


TestAlerter = Alerter.TestCase
TestAlerter.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
