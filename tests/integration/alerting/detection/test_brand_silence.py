"""A brand whose posts stop while others continue: its episodes freeze, it pages once, and usual quiet hours do not."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
import redis

from alerting.detection.brand_silence import BrandSilenceDetector
from alerting.detection.hour_history import HourHistory
from alerting.detection.share_baseline import BaselinePolicy
from alerting.evaluation.evaluator import EvaluationReport
from alerting.rules.models import NegativeShareRule, RuleSet, VolumeRule
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import Pane
from tests.integration.alerting.evaluation.test_evaluator import CRISIS, WALL, Scene, transitions_of
from tests.support.alerting.post_streams import MONDAY, PostStream

HOUR0 = MONDAY // 60
BRAND = "Acme Air"


class Hours:
    """What HourHistory reads: people by hour since MONDAY, of one brand; other brands never stop."""

    def __init__(self, people: np.ndarray) -> None:
        self._people = people

    def hour_authors(self, brands: object, first_hour: int, last_hour: int) -> dict[str, dict[int, AuthorCounts]]:
        hours = range(max(first_hour, HOUR0), min(last_hour, HOUR0 + len(self._people) - 1) + 1)
        of = {hour: AuthorCounts(int(self._people[hour - HOUR0]), 0) for hour in hours}
        return {
            BRAND: {hour: one for hour, one in of.items() if one.everyone},
            "Bolt": dict.fromkeys(of, AuthorCounts(9, 0)),
        }

    def hours(self, *_: object) -> dict[str, dict[int, Pane]]:
        return {}


def silences(posts: np.ndarray, *, from_day: int = 0) -> Iterator[tuple[int, bool, bool]]:
    """(minute since MONDAY, suspect, sure) each five minutes, of posts by minute."""
    by_hour = posts.reshape(-1, 60).sum(axis=1)
    history = HourHistory(Hours(by_hour), BaselinePolicy())
    watch = BrandSilenceDetector(history)
    for hour in range(max(4, from_day * 24), len(by_hour)):
        before = HOUR0 + hour - 3
        history.read([BRAND, "Bolt"], before_hour=before)
        panes = {
            MONDAY + minute: Pane(neutral=int(posts[minute]))
            for minute in range(hour * 60 - 180, hour * 60 + 60)
            if posts[minute]
        }
        others = {MONDAY + minute: Pane(neutral=1) for minute in range(hour * 60 - 180, hour * 60 + 60)}
        watch.read({BRAND: Minutes(panes), "Bolt": Minutes(others)}, before_hour=before)
        for minute in range(hour * 60 + 4, hour * 60 + 60, 5):
            found = watch.check(BRAND, MONDAY + minute)
            if found is not None:
                yield minute, found.is_suspect, found.is_sure


def flat(minute: np.ndarray) -> np.ndarray:
    return np.ones(len(minute))


def day(minute: np.ndarray) -> np.ndarray:
    return 1 + 0.95 * np.sin(2 * np.pi * minute / 1_440)


def peak(minute: np.ndarray) -> np.ndarray:
    return np.where((minute // 60) % 24 // 3 == 2, 6.0, 0.3)


def week(minute: np.ndarray) -> np.ndarray:
    shape: np.ndarray = np.where((minute // 1_440) % 7 < 5, 1.35, 0.05) * day(minute)
    return shape


def office(minute: np.ndarray) -> np.ndarray:
    hour = (minute // 60) % 24
    return np.where((hour >= 8) & (hour < 18), 2.4, 0.0)


def bulk(minute: np.ndarray) -> np.ndarray:
    return np.where(minute % 60 < 5, 12.0, 0.0)


RHYTHMS: list[Callable[[np.ndarray], np.ndarray]] = [flat, day, peak, week, office, bulk]


@pytest.mark.parametrize("rhythm", RHYTHMS)
@pytest.mark.parametrize("an_hour", [3.0, 34.0])
def test_usual_quiet_hours_are_no_silence(rhythm: Callable[[np.ndarray], np.ndarray], an_hour: float) -> None:
    rng = np.random.default_rng(1)
    minutes = np.arange(16 * 1_440)
    level = np.repeat(rng.gamma(4.0, 0.25, 16 * 24), 60)  # hours differ by half
    posts = rng.poisson(an_hour / 60 * rhythm(minutes) * level)
    assert [minute for minute, _, is_sure in silences(posts) if is_sure] == []


@pytest.mark.parametrize(
    ("an_hour", "suspect_within", "sure_within"), [(34.0, 35, 125), (300.0, 15, 125), (3.0, 400, 1_900)]
)
def test_a_stopped_source_is_suspect_soon_and_certain_in_hours(
    an_hour: float, suspect_within: int, sure_within: int
) -> None:
    rng = np.random.default_rng(5)
    stop = 10 * 1_440 + 14 * 60 + 5
    posts = rng.poisson(an_hour / 60, 14 * 1_440)
    posts[stop:] = 0
    found = list(silences(posts, from_day=10))
    last = int(np.flatnonzero(posts).max())
    assert min(minute for minute, suspect, _ in found if suspect and minute > last) - last <= suspect_within
    assert min(minute for minute, _, sure in found if sure) - last <= sure_within


def test_on_the_first_day_no_silence_fires() -> None:
    posts = np.random.default_rng(5).poisson(1.0, 1_440)
    posts[18 * 60 :] = 0
    assert any(suspect for _, suspect, _ in silences(posts))
    assert not any(sure for _, _, sure in silences(posts))


@pytest.fixture
def scene(redis_client: redis.Redis, namespace: str) -> Scene:
    return Scene(redis_client, namespace)


def a_dead_source(*, days: int, back_after: int | None = None, share_after: float = 0.2) -> PostStream:
    """Days at two posts a minute; a bad half hour, then no post of Acme Air at all while Bolt goes on."""
    rng = random.Random(11)
    stream = PostStream()
    begin = CRISIS - max(720, days * 1_440)
    stream.steady(BRAND, range(begin, CRISIS), per_minute=1, share=0.2, rng=rng)
    stream.steady(BRAND, range(CRISIS, CRISIS + 30), per_minute=4, share=0.8, rng=rng)
    stream.steady("Bolt", range(begin, CRISIS + 600), per_minute=1, share=0.2, rng=rng)
    if back_after is not None:
        back = CRISIS + 30 + back_after
        stream.steady(BRAND, range(back, back + 120), per_minute=2, share=share_after, rng=rng)
    return stream


def run(scene: Scene, stream: PostStream, first: int, last: int, step: int = 5) -> list[EvaluationReport]:
    stream.write(scene.client, scene.namespace, wall_ms=WALL)
    scene.evaluate(first)
    return [scene.evaluate(until) for until in range(first + step, last + 1, step)]


def test_when_a_source_stops_its_open_episode_freezes_and_reports_it(scene: Scene) -> None:
    reports = run(scene, a_dead_source(days=0), CRISIS - 10, CRISIS + 480)
    said = [one for report in reports for one in report.transitions if one[0].brand == BRAND]
    assert said[0][1] == "triggered"
    assert "resolved" not in [transition for _, transition, _ in said]
    [frozen] = [one for one in said if one[2].startswith("No posts of Acme Air since 2026-03-02 12:30 UTC; usually")]
    assert frozen[0].silent_since == datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
    assert "Whether the rise is over is unknown." in frozen[2]
    assert 30 <= (frozen[0].updated_at.timestamp() / 60) - (CRISIS + 30) <= 45
    [opened] = [one for one in scene.store.load().open.values() if one.episode.rule == "negative_share"]
    assert opened.episode.silent_since is not None
    # Two people's receivers: also the one that hears of updates only when something is new.
    assert any(
        delivery.notification.receiver == "pager" and "No posts of" in delivery.notification.episode.latest.reason
        for delivery in scene.store.pending()
    )


def test_a_frozen_episode_resolves_only_by_calm_posts(scene: Scene) -> None:
    reports = run(scene, a_dead_source(days=0, back_after=240), CRISIS - 10, CRISIS + 390)
    ended = [one for report in reports for one in report.transitions if one[1] == "resolved"]
    [(episode, _, _)] = [one for one in ended if one[0].rule == "negative_share"]
    assert episode.resolved_at is not None
    assert episode.resolved_at.timestamp() / 60 > CRISIS + 30 + 240
    assert episode.latest.authors >= 20


def test_a_new_leader_leaves_an_episode_frozen(scene: Scene) -> None:
    stream = a_dead_source(days=0)
    run(scene, stream, CRISIS - 10, CRISIS + 120)
    for until in range(CRISIS + 125, CRISIS + 480, 35):
        scene.lead()
        assert "resolved" not in [transition for transition, _ in transitions_of(scene.evaluate(until))]


def test_when_a_source_stops_its_volume_episode_does_not_resolve(scene: Scene) -> None:
    scene.rules = RuleSet(
        rules=(
            NegativeShareRule(name="negative_share", kind="negative_share"),
            VolumeRule(name="surge", kind="volume", min_ratio=2),
        )
    )
    rng = random.Random(4)
    stream = PostStream()
    stream.steady(BRAND, range(CRISIS - 11_520, CRISIS), per_minute=1, share=0.2, rng=rng)
    stream.steady(BRAND, range(CRISIS, CRISIS + 40), per_minute=9, share=0.2, rng=rng)
    stream.steady("Bolt", range(CRISIS - 11_520, CRISIS + 400), per_minute=1, share=0.2, rng=rng)
    reports = run(scene, stream, CRISIS - 5, CRISIS + 300)
    surge = [transition for report in reports for one, transition, _ in report.transitions if one.rule == "surge"]
    assert surge[0] == "triggered"
    assert "resolved" not in surge


def test_a_silent_brand_pages_once_and_resolves_with_its_posts(scene: Scene) -> None:
    rng = random.Random(7)
    stream = PostStream()
    days = 3 * 1_440
    stop = MONDAY + days + 840
    stream.steady(BRAND, range(MONDAY, stop), per_minute=0.6, share=0.2, rng=rng)
    stream.steady("Bolt", range(MONDAY, stop + 600), per_minute=0.6, share=0.2, rng=rng)
    stream.steady(BRAND, range(stop + 300, stop + 420), per_minute=0.6, share=0.2, rng=rng)
    reports = run(scene, stream, stop - 5, stop + 420)
    said = [one for report in reports for one in report.transitions]
    assert [(one.brand, one.rule, transition) for one, transition, _ in said] == [
        (BRAND, "brand_silent", "triggered"),
        (BRAND, "brand_silent", "resolved"),
    ]
    episode, _, reason = said[0]
    assert reason.startswith("No posts of Acme Air since 2026-03-05 1")
    assert "people an hour. Other brands are written about. Stored posts came from test (" in reason
    assert episode.severity == "warning"
    assert 60 <= episode.fired_at.timestamp() / 60 - stop <= 130
    assert said[1][2] == "Posts of Acme Air come again."


def test_a_silence_of_the_whole_stream_is_not_of_a_brand(scene: Scene) -> None:
    rng = random.Random(7)
    stream = PostStream()
    stop = MONDAY + 3 * 1_440 + 600
    for brand in (BRAND, "Bolt"):
        stream.steady(brand, range(MONDAY, stop), per_minute=0.6, share=0.2, rng=rng)
    stream.steady("Bolt", range(stop + 300, stop + 330), per_minute=0.6, share=0.2, rng=rng)
    stream.steady(BRAND, range(stop + 320, stop + 330), per_minute=0.6, share=0.2, rng=rng)
    reports = run(scene, stream, stop - 5, stop + 330)
    assert [one for report in reports for one in report.transitions] == []


def test_when_a_shared_source_stops_brands_share_a_page(scene: Scene) -> None:
    rng = random.Random(7)
    stream = PostStream()
    stop = MONDAY + 3 * 1_440 + 600
    brands = [f"Brand {number:02}" for number in range(30)]
    for brand in brands:
        stream.steady(brand, range(stop - 2 * 1_440 - 200, stop), per_minute=0.6, share=0.2, rng=rng)
    stream.steady("Bolt", range(stop - 2 * 1_440 - 200, stop + 200), per_minute=0.6, share=0.2, rng=rng)
    reports = run(scene, stream, stop - 5, stop + 180, step=10)
    fired = [one for report in reports for one, transition, _ in report.transitions if transition == "triggered"]
    assert len(fired) == 11
    [crowd] = [one for one in fired if one.brand == "*"]
    assert crowd.latest.reason.startswith("No posts of ")
