"""An evaluator on panes in a real Valkey, with a manual wall clock."""

import random
from datetime import UTC, datetime

import pytest
import redis

from alerting.detection.share_detector import DetectPolicy
from alerting.evaluation.evaluator import STRIDE, EvaluationReport, Evaluator
from alerting.evaluation.policies import Policies
from alerting.notifications.routing import Route
from alerting.rules.models import DEFAULT_RULES
from alerting.store.alert_store import AlertStore, LostLeadershipError
from alerting.store.memory_store import MemoryAlertStore
from alerting.store.redis_store import RedisAlertStore
from brandpulse.state.keys import MINUTE_MS
from brandpulse.state.pane_reader import PaneReader
from tests.support.alerting.post_streams import MONDAY, PostStream, write_status

WALL = 10**12
ROUTES = [Route("pager", wants_every_update=False), Route("kafka", receives_all=True)]
POLICIES = Policies(detect=DetectPolicy(min_history_hours=6))
CRISIS = MONDAY + 720
CRISIS_END = CRISIS + 60


class Scene:
    """One alerter's evaluator, and its stream."""

    def __init__(self, client: redis.Redis, namespace: str, store: AlertStore | None = None) -> None:
        self.client = client
        self.namespace = namespace
        self.store = store or RedisAlertStore(client, namespace)
        self.rules = DEFAULT_RULES
        self.lead()

    def lead(self) -> None:
        """A new leader, with nothing in its memory."""
        token = self.store.acquire("me", lease_ms=600_000)
        assert token is not None
        self.evaluator = Evaluator(
            PaneReader(self.client, self.namespace),
            self.store,
            token=token,
            policies=POLICIES,
            routes=ROUTES,
            rules=lambda: self.rules,
            link="http://page/?brand={brand}&at={at}",
        )

    def evaluate(
        self, until_minute: int, *, wall_ms: int = WALL, caught_up: bool = True, lag: int = 0
    ) -> EvaluationReport:
        for partition in range(2):
            write_status(
                self.client,
                self.namespace,
                partition,
                watermark_ms=until_minute * MINUTE_MS,
                next_offset=until_minute,
                wall_ms=wall_ms,
                caught_up=caught_up,
                lag=lag,
            )
        return self.evaluator.evaluate(wall_ms)

    def sent(self) -> list[str]:
        return [delivery.id for delivery in self.store.pending()]


@pytest.fixture
def scene(redis_client: redis.Redis, namespace: str) -> Scene:
    return Scene(redis_client, namespace)


def a_crisis() -> PostStream:
    """Twelve calm hours at 2 posts a minute, one bad hour, four calm ones."""
    rng = random.Random(11)
    stream = PostStream()
    stream.steady("Acme Air", range(MONDAY, CRISIS), per_minute=2, share=0.2, rng=rng)
    stream.steady("Acme Air", range(CRISIS, CRISIS_END), per_minute=4, share=0.8, rng=rng)
    return stream.steady("Acme Air", range(CRISIS_END, CRISIS_END + 240), per_minute=2, share=0.2, rng=rng)


def transitions_of(report: EvaluationReport) -> list[tuple[str, datetime]]:
    return [(transition, episode.updated_at) for episode, transition, _ in report.transitions]


def test_a_replay_in_one_evaluation_equals_a_live_stream(redis_client: redis.Redis, namespace: str) -> None:
    stream = a_crisis()
    live, replay = Scene(redis_client, f"{namespace}-live"), Scene(redis_client, f"{namespace}-replay")
    for one in (live, replay):
        stream.write(redis_client, one.namespace, wall_ms=WALL)
    step_by_step = [
        decided for until in range(CRISIS - 30, CRISIS_END + 240, 1) for decided in transitions_of(live.evaluate(until))
    ]
    at_once = transitions_of(replay.evaluate(CRISIS_END + 239))
    assert at_once == step_by_step
    assert [transition for transition, _ in at_once][0 :: len(at_once) - 1] == ["triggered", "resolved"]
    assert live.sent() == replay.sent()


def test_an_alert_contains_the_numbers_the_posts_and_the_link(scene: Scene) -> None:
    a_crisis().write(scene.client, scene.namespace, wall_ms=WALL)
    scene.evaluate(CRISIS_END + 240)
    first = scene.store.pending()[0].notification
    proof = first.episode.first
    assert proof.negative_share == proof.negative_authors / proof.authors > 0.4
    assert proof.baseline_share == pytest.approx(0.2, abs=0.05)
    assert 0 < proof.p_value < 1e-4
    assert f"{proof.negative_authors} of {proof.authors} authors" in proof.reason
    assert first.link == f"http://page/?brand=Acme%20Air&at={int(proof.window_end.timestamp() * 1_000)}"


def test_example_posts_are_of_the_window_and_of_different_authors(scene: Scene) -> None:
    stream = a_crisis()
    scene_ends = CRISIS_END + 260
    # Written live: the store retains only the newest twenty negatives of a partition.
    stream.write(scene.client, scene.namespace, wall_ms=WALL)
    scene.evaluate(CRISIS_END + 240)
    for minute in range(CRISIS_END + 240, scene_ends):
        for number in range(4):
            stream.post("Acme Air", minute, negative=True, author=None if number else 5)
        stream.write(scene.client, scene.namespace, wall_ms=WALL)
        scene.evaluate(minute + 1)
    [latest] = [one.episode.first for one in scene.store.load().open.values()]
    assert len(latest.examples) == 3
    assert all(latest.window_start <= post.created_at < latest.window_end for post in latest.examples)
    assert len({post.text for post in latest.examples}) == 3


def test_a_minute_is_never_evaluated_twice(scene: Scene) -> None:
    a_crisis().write(scene.client, scene.namespace, wall_ms=WALL)
    scene.evaluate(CRISIS_END + 240)
    sent = scene.sent()
    for until in (MONDAY + 10, CRISIS + 30, CRISIS_END + 240):
        scene.lead()
        report = scene.evaluate(until)
        assert (report.minutes, list(report.transitions)) == (0, [])
    assert scene.sent() == sent
    assert scene.store.load().evaluated_until_ms == (CRISIS_END + 240) * MINUTE_MS


def test_a_new_leader_continues_an_open_episode(scene: Scene) -> None:
    a_crisis().write(scene.client, scene.namespace, wall_ms=WALL)
    transitions = []
    for until in range(CRISIS - 20, CRISIS_END + 240, 7):
        scene.lead()
        transitions += [transition for transition, _ in transitions_of(scene.evaluate(until))]
    assert transitions[0] == "triggered"
    assert transitions.count("triggered") == transitions.count("resolved") == 1
    assert transitions[-1] == "resolved"


def test_silence_freezes_an_episode_until_posts_return(scene: Scene) -> None:
    rng = random.Random(11)
    stream = PostStream()
    stream.steady("Acme Air", range(MONDAY, CRISIS), per_minute=2, share=0.2, rng=rng)
    stream.steady("Acme Air", range(CRISIS, CRISIS + 30), per_minute=4, share=0.8, rng=rng)
    silent_until = CRISIS + 30 + 600
    stream.steady("Acme Air", range(silent_until, silent_until + 90), per_minute=2, share=0.2, rng=rng)
    stream.write(scene.client, scene.namespace, wall_ms=WALL)
    during = scene.evaluate(silent_until)
    transitions = [transition for transition, _ in transitions_of(during)]
    assert transitions == ["triggered", *["updated"] * (len(transitions) - 1)]
    assert during.views["Acme Air"].finding.state == "no data"
    afterwards = scene.evaluate(silent_until + 90)
    assert [transition for transition, _ in transitions_of(afterwards)][-1] == "resolved"


def test_an_episode_of_a_brand_without_posts_never_resolves(scene: Scene) -> None:
    rng = random.Random(11)
    stream = PostStream()
    stream.steady("Acme Air", range(MONDAY, CRISIS), per_minute=2, share=0.2, rng=rng)
    stream.steady("Acme Air", range(CRISIS, CRISIS + 30), per_minute=4, share=0.8, rng=rng)
    stream.steady("Bolt", range(MONDAY, CRISIS + 480), per_minute=2, share=0.2, rng=rng)
    stream.write(scene.client, scene.namespace, wall_ms=WALL)
    # In steps, as live: in one batch, the crisis itself would still be among the minutes read.
    told_so_far = [
        transitions_of
        for until in range(CRISIS, CRISIS + 481, 10)
        for transitions_of in scene.evaluate(until).transitions
    ]
    assert "resolved" not in [transition for _, transition, _ in told_so_far]
    [opened] = scene.store.load().open.values()
    assert opened.episode.latest.reason.startswith("No posts of Acme Air since 2026-03-02 12:30 UTC")


def test_a_partition_with_lag_delays_the_evaluation(scene: Scene) -> None:
    a_crisis().write(scene.client, scene.namespace, wall_ms=WALL)
    write_status(scene.client, scene.namespace, 1, watermark_ms=(MONDAY + 5) * MINUTE_MS, wall_ms=WALL, caught_up=False)
    report = scene.evaluator.evaluate(WALL)
    assert report.evaluated_until_ms == (MONDAY + 5) * MINUTE_MS
    assert report.clock.waits_for == ("posts:1",)


def test_a_stalled_stream_is_an_episode(scene: Scene) -> None:
    a_crisis().write(scene.client, scene.namespace, wall_ms=WALL)
    scene.evaluate(MONDAY + 60, caught_up=False, lag=9)
    scene.evaluate(MONDAY + 61, caught_up=False, lag=9)
    for later in (60_000, 119_000):
        assert transitions_of(scene.evaluate(MONDAY + 61, wall_ms=WALL + later, caught_up=False, lag=9)) == []
    at = WALL + 121_000
    stalled = scene.evaluate(MONDAY + 61, wall_ms=at, caught_up=False, lag=9)
    assert [(episode.rule, transition) for episode, transition, _ in stalled.transitions] == [
        ("stream_stalled", "triggered")
    ]
    assert "9 records behind" in stalled.transitions[0][2]
    assert transitions_of(scene.evaluate(MONDAY + 61, wall_ms=at + 1, caught_up=False, lag=9)) == []
    moving = scene.evaluate(MONDAY + 62, wall_ms=at + 2, caught_up=False, lag=8)
    assert [transition for transition, _ in transitions_of(moving)] == ["resolved"]


def test_after_half_an_hour_without_posts_the_stream_is_silent_once(scene: Scene) -> None:
    wall = (MONDAY + 60) * MINUTE_MS
    PostStream().steady("Acme Air", range(MONDAY, MONDAY + 60), per_minute=1, share=0.2, rng=random.Random(1)).write(
        scene.client, scene.namespace, wall_ms=wall
    )
    assert transitions_of(scene.evaluate(MONDAY + 60, wall_ms=wall + 60_000)) == []
    silent = scene.evaluate(MONDAY + 60, wall_ms=wall + 40 * MINUTE_MS)
    assert [(episode.key, transition) for episode, transition, _ in silent.transitions] == [
        ("*:stream_silent:2026-03-02T01:40Z", "triggered")
    ]
    scene.lead()
    assert transitions_of(scene.evaluate(MONDAY + 60, wall_ms=wall + 90 * MINUTE_MS)) == []
    assert [t for t, _ in transitions_of(scene.evaluate(MONDAY + 150, wall_ms=wall + 92 * MINUTE_MS))] == ["resolved"]


def test_long_overdue_minutes_are_evaluated_every_fifth(scene: Scene) -> None:
    rng = random.Random(3)
    PostStream().steady("Acme Air", range(MONDAY, MONDAY + 1_500), per_minute=0.5, share=0.2, rng=rng).write(
        scene.client, scene.namespace, wall_ms=WALL
    )
    report = scene.evaluate(MONDAY + 1_500 + STRIDE - 2)
    assert report.evaluated_until_ms == (MONDAY + 1_500) * MINUTE_MS
    assert scene.evaluate(MONDAY + 1_510).evaluated_until_ms == (MONDAY + 1_510) * MINUTE_MS


def test_a_fenced_leader_discards_its_state(redis_client: redis.Redis, namespace: str) -> None:
    store = MemoryAlertStore()
    scene = Scene(redis_client, namespace, store)
    a_crisis().write(redis_client, namespace, wall_ms=WALL)
    scene.evaluate(MONDAY + 60)
    store.expire_lease()
    assert store.acquire("another", lease_ms=1) is not None
    with pytest.raises(LostLeadershipError, match="fenced"):
        scene.evaluate(CRISIS_END)
    assert scene.sent() == []


def test_hours_of_a_crisis_are_left_out_of_the_baseline(scene: Scene) -> None:
    a_crisis().write(scene.client, scene.namespace, wall_ms=WALL)
    report = scene.evaluate(CRISIS_END + 240)
    baseline = report.views["Acme Air"].finding.baseline
    assert baseline is not None
    assert baseline.share == pytest.approx(0.2, abs=0.02)
    assert datetime.fromtimestamp((report.evaluated_until_ms or 0) / 1_000, UTC).hour == 17


def test_a_small_rise_after_a_crisis_does_not_fire(scene: Scene) -> None:
    rng = random.Random(11)
    stream = PostStream()
    stream.steady("Acme Air", range(MONDAY, CRISIS), per_minute=2, share=0.2, rng=rng)
    stream.steady("Acme Air", range(CRISIS, CRISIS_END), per_minute=10, share=0.8, rng=rng)
    stream.steady("Acme Air", range(CRISIS_END, CRISIS_END + 40), per_minute=6, share=0.2, rng=rng)
    stream.write(scene.client, scene.namespace, wall_ms=WALL)
    scene.evaluate(CRISIS_END + 40)
    assert [episode.brand for episode in scene.store.load().closed] == ["Acme Air"]
    for minute in range(CRISIS_END + 40, CRISIS_END + 50):
        for number in range(6):
            stream.post("Acme Air", minute, negative=number < 3)
    stream.write(scene.client, scene.namespace, wall_ms=WALL)
    for leader in ("the one who resolved it", "its successor"):
        assert transitions_of(scene.evaluate(CRISIS_END + (45 if leader.startswith("the") else 50))) == []
        scene.lead()


def test_after_resign_no_further_batch_is_committed(scene: Scene) -> None:
    a_crisis().write(scene.client, scene.namespace, wall_ms=WALL)
    scene.evaluate(MONDAY + 60)
    scene.evaluator.resign()
    assert scene.evaluate(CRISIS_END).minutes == 0
    assert scene.store.load().evaluated_until_ms == (MONDAY + 60) * MINUTE_MS


def test_a_stream_without_a_worker_is_unseen_until_one_reads_it(scene: Scene) -> None:
    assert scene.evaluator.evaluate(WALL).unseen == ["any partition"]
    a_crisis().write(scene.client, scene.namespace, wall_ms=WALL)
    assert scene.evaluate(MONDAY + 60).unseen == []
    assert scene.evaluator.evaluate(WALL + 45_001).unseen == ["posts:0", "posts:1"]
