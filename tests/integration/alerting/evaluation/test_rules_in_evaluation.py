"""Several rules in one evaluator, and rules that change while it runs."""

from typing import Any

import pytest
import redis

from alerting.rules.models import NegativeShareRule, RuleSet
from tests.integration.alerting.evaluation.test_evaluator import CRISIS, CRISIS_END, WALL, Scene, a_crisis


def a_rule(name: str, **changes: Any) -> NegativeShareRule:
    return NegativeShareRule.model_validate({"name": name, "kind": "negative_share", **changes})


@pytest.fixture
def scene(redis_client: redis.Redis, namespace: str) -> Scene:
    a_crisis().write(redis_client, namespace, wall_ms=WALL)
    return Scene(redis_client, namespace)


def triggered(scene: Scene) -> list[tuple[str, str]]:
    return [
        (one.notification.episode.rule, one.notification.receiver)
        for one in scene.store.pending()
        if one.notification.transition == "triggered"
    ]


def test_each_rule_has_its_own_episodes_and_receivers(scene: Scene) -> None:
    scene.rules = RuleSet(rules=(a_rule("page", receivers=["pager"]), a_rule("note", receivers=[])))
    report = scene.evaluate(CRISIS_END + 240)
    assert {(episode.rule, transition) for episode, transition, _ in report.transitions} >= {
        ("page", "triggered"),
        ("page", "resolved"),
        ("note", "triggered"),
        ("note", "resolved"),
    }
    assert sorted(triggered(scene)) == [("note", "kafka"), ("page", "kafka"), ("page", "pager")]
    keys = {one.notification.episode.key for one in scene.store.pending()}
    assert {key.split(":")[1] for key in keys} == {"page", "note"}


def test_a_rule_watches_only_its_brands(scene: Scene) -> None:
    scene.rules = RuleSet(rules=(a_rule("others", brands=["Zeta"]),))
    assert scene.evaluate(CRISIS_END + 240).transitions == []


def test_a_rule_that_needs_more_evidence_fires_later(scene: Scene) -> None:
    scene.rules = RuleSet(rules=(a_rule("soon"), a_rule("late", min_negative_authors=100)))
    report = scene.evaluate(CRISIS_END + 240)
    fired = {
        episode.rule: episode.fired_at for episode, transition, _ in report.transitions if transition == "triggered"
    }
    assert fired["late"] > fired["soon"]


@pytest.mark.parametrize("left", [[a_rule("another")], [a_rule("negative_share", brands=["Zeta"])]])
def test_the_episode_of_a_removed_rule_is_closed_with_a_reason(scene: Scene, left: list[NegativeShareRule]) -> None:
    assert scene.evaluate(CRISIS + 40).open
    scene.rules = RuleSet(rules=tuple(left))
    report = scene.evaluate(CRISIS + 40)
    [(episode, transition, reason)] = report.transitions
    assert (episode.rule, transition) == ("negative_share", "resolved")
    assert "no longer watches Acme Air" in reason
    assert [one.id.split(":")[-1] for one in scene.store.pending()][-2:] == ["resolved@pager", "resolved@kafka"]


def test_the_severity_of_an_unacknowledged_episode_rises_with_time(scene: Scene) -> None:
    scene.rules = RuleSet(
        rules=(
            a_rule(
                "negative_share", severity={"least": "info", "most": "error", "error_rise": 0.9, "critical_rise": 0.95}
            ),
            a_rule("pressing", severity={"error_rise": 0.9, "critical_rise": 0.95, "error_after_minutes": 12}),
        )
    )
    report = scene.evaluate(CRISIS_END + 240)
    first = {episode.rule: episode for episode, transition, _ in report.transitions if transition == "triggered"}
    assert [first[rule].severity for rule in ("negative_share", "pressing")] == ["warning", "warning"]
    rose = [
        episode for episode, _, _ in report.transitions if (episode.rule, episode.severity) == ("pressing", "error")
    ]
    assert (rose[0].updated_at - rose[0].fired_at).total_seconds() == 12 * 60
    assert "error" not in {episode.severity for episode, _, _ in report.transitions if episode.rule != "pressing"}
    # The pager hears of no half-hourly updates, but of this one.
    updates = [one for one in scene.store.pending() if one.notification.transition == "updated"]
    assert [one.notification.episode.rule for one in updates if one.notification.receiver == "pager"] == ["pressing"]
