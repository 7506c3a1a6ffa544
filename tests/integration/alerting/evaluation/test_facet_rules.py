"""Facet rules in an evaluator, on panes in a real Valkey."""

import random
from typing import Any

import pytest
import redis

from alerting.detection.hour_history import HourHistory
from alerting.evaluation.facet_rules import FacetRuleEvaluator
from alerting.rules.models import RuleSet
from alerting.store.redis_store import RedisAlertStore
from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import facet_series
from brandpulse.state.pane_reader import PaneReader
from tests.integration.alerting.evaluation.test_evaluator import WALL, Scene
from tests.support.alerting.post_streams import MONDAY, PostStream

SURGE = MONDAY + 26 * 60
SURGE_END = SURGE + 120
END = SURGE_END + 360


def rules(**changes: Any) -> RuleSet:
    rule = {"name": "refunds", "kind": "facet_share", "facet": "refund", **changes}
    return RuleSet.model_validate({"rules": [rule]})


def a_day(
    *, before: float = 0.05, surge: float = 0.2, counted_from: int = MONDAY, brand: str = "Acme Air"
) -> PostStream:
    """A bit more than a day at 4 posts a minute; two hours of it many more people ask for refunds. All are calm."""
    rng = random.Random(5)
    stream = PostStream()
    for minute in range(MONDAY, END):
        share = surge if SURGE <= minute < SURGE_END else before
        for _ in range(4):
            inside = rng.random() < share and minute >= counted_from
            stream.post(brand, minute, negative=rng.random() < 0.2, facet="refund" if inside else "")
    return stream


@pytest.fixture
def scene(redis_client: redis.Redis, namespace: str) -> Scene:
    scene = Scene(redis_client, namespace)
    scene.rules = rules()
    return scene


def evaluated(scene: Scene, stream: PostStream, until: int = END) -> list[tuple[Episode, str]]:
    stream.write(scene.client, scene.namespace, wall_ms=WALL)
    return [(episode, transition) for episode, transition, _ in scene.evaluate(until).transitions]


def test_a_facet_that_multiplies_pages_once_and_resolves(scene: Scene) -> None:
    told = evaluated(scene, a_day())
    ends = [(episode, transition) for episode, transition in told if transition != "updated"]
    [(fired, _), (closed, _)] = ends
    assert [transition for _, transition in ends] == ["triggered", "resolved"]
    assert SURGE < fired.fired_at.timestamp() / 60 < SURGE + 60
    assert closed.resolved_at is not None
    assert SURGE_END < closed.resolved_at.timestamp() / 60 < SURGE_END + 120
    assert (fired.brand, fired.rule, fired.key.split(":")[1]) == ("Acme Air", "refunds", "refunds")


def test_a_page_names_the_facet_and_shows_its_posts(scene: Scene) -> None:
    evaluated(scene, a_day(), SURGE + 60)
    [one] = scene.store.load().open.values()
    proof = one.episode.first
    assert proof.facet == "refund"
    assert "Share of refund rose:" in proof.reason
    assert f"{proof.negative_authors} of {proof.authors} authors in" in proof.reason
    assert "were in refund" in proof.reason
    assert proof.baseline_share == pytest.approx(0.05, abs=0.02)
    assert proof.negative_posts < proof.posts


def test_facets_in_one_replay_equal_a_minute_by_minute_stream(redis_client: redis.Redis, namespace: str) -> None:
    stream = a_day()
    live, replay = Scene(redis_client, f"{namespace}-live"), Scene(redis_client, f"{namespace}-replay")
    for one in (live, replay):
        one.rules = rules()
        stream.write(redis_client, one.namespace, wall_ms=WALL)
        one.evaluate(SURGE - 30)
    at_once = [(t, e.updated_at) for e, t, _ in replay.evaluate(SURGE_END).transitions]
    step_by_step = []
    for until in range(SURGE - 29, SURGE_END + 1):
        step_by_step += [(t, e.updated_at) for e, t, _ in live.evaluate(until).transitions]
    assert at_once == step_by_step
    assert at_once[0][0] == "triggered"


def test_the_report_has_the_share_of_each_watched_facet(scene: Scene) -> None:
    stream = a_day()
    for minute in range(MONDAY, SURGE + 60, 20):
        stream.post("Acme Air", minute, facet="unwatched")
        stream.post("Quiet", minute)
    stream.write(scene.client, scene.namespace, wall_ms=WALL)
    found = scene.evaluate(SURGE + 60).facets
    assert set(found) == {facet_series("Acme Air", "refund"), facet_series("Quiet", "refund")}
    acme, quiet = (found[facet_series(brand, "refund")] for brand in ("Acme Air", "Quiet"))
    assert acme.share == pytest.approx(0.15, abs=0.04), "two thirds of 90 minutes at .2, the rest at .05"
    assert acme.usual == pytest.approx(0.05, abs=0.02)
    assert (quiet.share, quiet.usual) == (0, None)
    assert scene.evaluate(SURGE + 60).facets == {}, "no minute was evaluated"
    scene.rules = RuleSet()
    assert scene.evaluate(SURGE + 61).facets == {}


@pytest.mark.parametrize("until", [MONDAY + 100, MONDAY + 120], ids=["flowing", "standing still"])
def test_while_a_facet_is_learnt_it_has_no_usual_share(scene: Scene, until: int) -> None:
    stream = PostStream()
    for minute in range(MONDAY, MONDAY + 100):
        for number in range(4):
            stream.post("Acme Air", minute, facet="" if number else "refund")
    stream.write(scene.client, scene.namespace, wall_ms=WALL)
    [view] = scene.evaluate(until).facets.values()
    assert view.share == pytest.approx(0.25, abs=0.02)
    assert view.usual is None


def test_a_facet_without_recent_posts_shows_a_share_of_zero(scene: Scene) -> None:
    stream = PostStream()
    for minute in range(MONDAY, MONDAY + 700):
        stream.post("Acme Air", minute, facet="refund" if minute < MONDAY + 450 else "")
    stream.write(scene.client, scene.namespace, wall_ms=WALL)
    [view] = scene.evaluate(MONDAY + 700).facets.values()
    assert (view.share, view.usual) == (0, None)


def test_a_steady_facet_does_not_page(scene: Scene) -> None:
    assert evaluated(scene, a_day(surge=0.05)) == []


def test_a_newly_counted_facet_is_learnt_first(scene: Scene) -> None:
    """Its earlier hours are unknown, not empty: otherwise every new facet would page."""
    assert evaluated(scene, a_day(before=0.2, surge=0.2, counted_from=SURGE)) == []


def test_a_rise_by_a_quarter_pages_only_if_the_rule_allows_it(scene: Scene) -> None:
    stream = a_day(before=0.4, surge=0.6)
    assert evaluated(scene, stream) == []
    scene.store, scene.rules = RedisAlertStore(scene.client, f"{scene.namespace}-2"), rules(min_ratio=1.2)
    scene.lead()
    assert [transition for _, transition in evaluated(scene, stream)][:1] == ["triggered"]


def test_one_author_with_forty_facet_posts_is_one_vote(scene: Scene) -> None:
    stream = a_day(surge=0.05)
    for number in range(120):
        stream.post("Acme Air", SURGE + number, author=7, facet="refund")
    assert evaluated(scene, stream) == []


def test_rules_of_other_brands_and_kinds_ignore_a_facet(scene: Scene) -> None:
    scene.rules = rules(brands=["Zeta"])
    assert evaluated(scene, a_day()) == []
    scene.store = RedisAlertStore(scene.client, f"{scene.namespace}-2")
    scene.rules = RuleSet.model_validate({"rules": [{"name": "negative_share", "kind": "negative_share"}]})
    scene.lead()
    assert evaluated(scene, a_day()) == []


def test_the_episode_of_a_removed_facet_rule_is_closed(scene: Scene) -> None:
    evaluated(scene, a_day(), SURGE + 60)
    scene.rules = RuleSet()
    [(episode, transition, reason)] = scene.evaluate(SURGE + 60).transitions
    assert (episode.rule, transition) == ("refunds", "resolved")
    assert "no longer watches" in reason


def test_a_facet_series_is_not_a_brand(scene: Scene) -> None:
    a_day().write(scene.client, scene.namespace, wall_ms=WALL)
    report = scene.evaluate(SURGE + 60)
    reader = PaneReader(scene.client, scene.namespace)
    assert set(report.views) == set(reader.brands()) == {"Acme Air"}


def test_a_facet_history_read_in_steps_equals_one_read_at_once(scene: Scene) -> None:
    """Two histories: read hour by hour, and read at once."""
    stream = a_day(before=0.3, surge=0.3)
    series = facet_series("Acme Air", "refund")
    stream.write(scene.client, scene.namespace, wall_ms=WALL)
    for until in range(MONDAY + 300, MONDAY + 1_500, 60):
        scene.evaluate(until)
    grown = _history(scene)
    scene.lead()
    scene.evaluate(MONDAY + 1_500)
    hour = MONDAY // 60 + 20
    assert grown.votes(series, hour - 15, hour) == _history(scene).votes(series, hour - 15, hour)
    everybody = scene.evaluator._history.votes("Acme Air", hour - 15, hour)[0].everyone
    inside, weight = grown.votes(series, hour - 15, hour)
    assert (inside.everyone, weight) == (everybody, None)
    assert inside.negative / inside.everyone == pytest.approx(0.3, abs=0.05)


def _history(scene: Scene) -> HourHistory:
    facet_rules = scene.evaluator._kinds["facet_share"]
    assert isinstance(facet_rules, FacetRuleEvaluator)
    return facet_rules._history


def test_hours_of_a_facet_episode_are_left_out_of_its_baseline(scene: Scene) -> None:
    rng = random.Random(6)
    stream = PostStream()
    first, second = range(MONDAY + 26 * 60, MONDAY + 36 * 60), range(MONDAY + 44 * 60, MONDAY + 46 * 60)
    for minute in range(MONDAY, second.stop):
        share = 0.9 if minute in first or minute in second else 0.05
        for _ in range(4):
            stream.post("Acme Air", minute, facet="refund" if rng.random() < share else "")
    fired = [episode for episode, transition in evaluated(scene, stream, second.stop) if transition == "triggered"]
    assert [episode.fired_at.timestamp() / 60 > second.start for episode in fired] == [False, True]
    assert fired[1].first.baseline_share == pytest.approx(0.05, abs=0.02)
