"""A backtest against an alerter that reads the same posts from Valkey, minute by minute."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis

from alerting.detection.share_detector import DetectPolicy
from alerting.evaluation.evaluator import Evaluator
from alerting.evaluation.policies import Policies
from alerting.rules.models import RuleSet
from alerting.store.memory_store import MemoryAlertStore
from brandpulse.backtest.backtest import Backtest, PastEpisode
from brandpulse.backtest.recorded_post import RecordedPost
from brandpulse.schema.episodes import Episode, Transition
from brandpulse.state.keys import MINUTE_MS
from brandpulse.state.pane_reader import PaneReader
from tests.support.alerting.post_streams import MONDAY, PostStream, write_status
from tests.support.alerting.reference_scenario import LIMITS, RETENTION

POLICIES = Policies(detect=DetectPolicy(min_history_hours=6))
CRISIS = 720
CRISIS_END = 780
END = 1_080
NEGATIVE, NEUTRAL, IRRELEVANT = (0.9, 0.1, 0.0, 0.0), (0.1, 0.8, 0.1, 0.0), (0.1, 0.1, 0.1, 0.7)


def a_day(seed: int = 11) -> list[RecordedPost]:
    """Eighteen hours at two posts per minute with one bad hour; each arrives a second after it was written."""
    rng = random.Random(seed)
    posts = []
    for number in range(END * 2):
        minute = number // 2
        bad = CRISIS <= minute < CRISIS_END
        posts.append(
            RecordedPost(
                source="test",
                id=str(number),
                author=number + 1_000,
                brands=("Acme Air",),
                event_ms=(MONDAY + minute) * MINUTE_MS + 30_000 * (number % 2),
                arrived_ms=(MONDAY + minute) * MINUTE_MS + 30_000 * (number % 2) + 1_000,
                probabilities=(NEGATIVE if rng.random() < (0.8 if bad else 0.2) else NEUTRAL,),
            )
        )
    return posts


def backtested(posts: list[RecordedPost]) -> tuple[list[PastEpisode], Backtest]:
    backtest = Backtest(POLICIES, RETENTION, LIMITS)
    backtest.feed(sorted(posts, key=lambda post: post.arrived_ms))
    return backtest.finish(), backtest


def minute_of(at: datetime | None) -> float:
    """Minutes since the posts began."""
    assert at is not None
    return at.timestamp() / 60 - MONDAY


def test_an_alerter_on_redis_and_a_backtest_find_the_same_episode(redis_client: redis.Redis, namespace: str) -> None:
    posts = a_day()
    stream = PostStream(partitions=1)
    for post in posts:
        minute = post.event_ms // MINUTE_MS
        stream.post("Acme Air", minute, negative=post.probabilities == (NEGATIVE,), author=post.author)
    stream.write(redis_client, namespace)
    store = MemoryAlertStore()
    token = store.acquire("me", lease_ms=600_000)
    assert token is not None
    evaluator = Evaluator(PaneReader(redis_client, namespace), store, token=token, policies=POLICIES, routes=())
    alerter_transitions: list[tuple[Episode, Transition, str]] = []
    for until in range(MONDAY + CRISIS - 60, MONDAY + END - 2):
        write_status(redis_client, namespace, 0, watermark_ms=until * MINUTE_MS, next_offset=until, caught_up=False)
        alerter_transitions += evaluator.evaluate(until * MINUTE_MS + RETENTION.lateness_ms).transitions
    [(fired, _, _), *_, (closed, last, _)] = alerter_transitions
    [found], _ = backtested(posts)
    assert last == "resolved"
    assert (found.episode.key, found.episode.fired_at) == (fired.key, fired.fired_at)
    assert found.episode.resolved_at == closed.resolved_at


def test_an_episode_fires_at_the_first_evaluation_that_can_see_it() -> None:
    [found], _ = backtested(a_day())
    waited = found.fired_at - found.episode.fired_at
    # The watermark stays two minutes behind the newest post, which is up to half a minute old.
    assert 120 <= waited.total_seconds() <= 240
    assert found.fired_at.second == 0
    assert CRISIS < minute_of(found.fired_at) < CRISIS + 30
    assert minute_of(found.resolved_at) > CRISIS_END


def test_a_redelivered_day_has_the_same_episodes() -> None:
    posts = a_day()
    again = [replace(post, arrived_ms=post.arrived_ms + 45_000) for post in posts]
    assert backtested(posts + again)[0] == backtested(posts)[0]
    assert backtested(posts + again)[1].panes.status.repeated == len(posts)


def test_a_backlog_that_arrives_after_the_crisis_fires_no_episode() -> None:
    posts = a_day()
    flooded = (MONDAY + CRISIS_END + 60) * MINUTE_MS
    held_back = [
        replace(post, arrived_ms=flooded + number)
        if CRISIS <= post.event_ms // MINUTE_MS - MONDAY < CRISIS_END
        else post
        for number, post in enumerate(posts)
    ]
    # Posts of another brand keep the clock going.
    clock = [replace(post, id=f"other {post.id}", brands=("Bolt",), probabilities=(NEUTRAL,)) for post in posts]
    episodes, backtest = backtested(held_back + clock)
    assert episodes == []
    assert backtest.panes.status.late == 2 * (CRISIS_END - CRISIS)


def test_a_recording_that_ends_in_a_crisis_leaves_a_firing_episode() -> None:
    [found], _ = backtested([post for post in a_day() if post.event_ms < (MONDAY + CRISIS_END) * MINUTE_MS])
    assert found.resolved_at is None
    assert found.episode.state == "firing"


def test_irrelevant_posts_change_no_episode() -> None:
    posts = a_day()
    chatter = [
        replace(post, id=f"{post.id} {copy}", author=post.author * 7 + copy, probabilities=(IRRELEVANT,))
        for post in posts
        for copy in range(3)
    ]
    [found], backtest = backtested(posts + chatter)
    [usual], _ = backtested(posts)
    assert found == usual
    hours = backtest.panes.all_hours("Acme Air").values()
    assert (sum(pane.posts for pane in hours), sum(pane.irrelevant for pane in hours)) == (
        4 * len(posts),
        3 * len(posts),
    )


def test_no_posts_fire_no_episode() -> None:
    assert Backtest(Policies(), RETENTION, LIMITS).finish() == []


@pytest.mark.parametrize("gap_minutes", [10, 600])
def test_a_gap_in_the_recording_delays_no_earlier_episode(gap_minutes: int) -> None:
    gap_ms = gap_minutes * MINUTE_MS
    posts = [
        replace(post, event_ms=post.event_ms + gap_ms, arrived_ms=post.arrived_ms + gap_ms)
        if post.event_ms >= (MONDAY + CRISIS_END + 150) * MINUTE_MS
        else post
        for post in a_day()
    ]
    [found], _ = backtested(posts)
    [usual], _ = backtested(a_day())
    assert (found.fired_at, found.resolved_at) == (usual.fired_at, usual.resolved_at)
    assert found.fired_at.tzinfo is UTC


def test_a_facet_rule_fires_as_in_an_alerter(redis_client: redis.Redis, namespace: str) -> None:
    rules = RuleSet.model_validate({"rules": [{"name": "refunds", "kind": "facet_share", "facet": "refund"}]})
    rng = random.Random(4)
    posts = [
        replace(post, probabilities=(NEUTRAL,), facets=((("refund",) if rng.random() < wanted else ()),))
        for post in a_day()
        for minute in [post.event_ms // MINUTE_MS - MONDAY]
        for wanted in [0.5 if CRISIS <= minute < CRISIS_END else 0.1]
    ]
    stream = PostStream(partitions=1)
    for post in posts:
        facet = "refund" if post.facets[0] else ""
        stream.post("Acme Air", post.event_ms // MINUTE_MS, author=post.author, facet=facet)
    stream.write(redis_client, namespace)
    store = MemoryAlertStore()
    token = store.acquire("me", lease_ms=600_000)
    assert token is not None
    evaluator = Evaluator(
        PaneReader(redis_client, namespace), store, token=token, policies=POLICIES, routes=(), rules=lambda: rules
    )
    write_status(redis_client, namespace, 0, watermark_ms=(MONDAY + END - 2) * MINUTE_MS, caught_up=False)
    alerter_transitions = [
        (episode.key, episode.fired_at)
        for episode, transition, _ in evaluator.evaluate((MONDAY + END) * MINUTE_MS).transitions
        if transition == "triggered"
    ]
    backtest = Backtest(POLICIES, RETENTION, LIMITS, rules=rules)
    backtest.feed(posts)
    found = backtest.finish()
    assert [(one.episode.key, one.episode.fired_at) for one in found] == alerter_transitions
    assert [one.episode.first.facet for one in found] == ["refund"]
