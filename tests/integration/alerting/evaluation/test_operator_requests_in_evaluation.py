"""Silences, quiet hours and acknowledgements over a crisis, through a real evaluator and store."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from alerting.rules.models import NegativeShareRule, RuleSet
from brandpulse.schema.silences import Acknowledgement, Silence
from brandpulse.state.operator_requests import OperatorRequestStore
from tests.integration.alerting.evaluation.test_evaluator import CRISIS, CRISIS_END, WALL, Scene, a_crisis

NOW = datetime.fromtimestamp(WALL / 1_000, UTC)


class Desk(Scene):
    """A scene with a person at it."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        super().__init__(client, namespace)
        self.requests = OperatorRequestStore(client, namespace)

    def pager_after(self, until_minute: int, *, wall_ms: int = WALL) -> list[str]:
        """What the pager gets from an evaluation."""
        before = set(self.sent())
        self.evaluate(until_minute, wall_ms=wall_ms)
        return [one.split(":")[-1] for one in self.sent() if one not in before and one.endswith("@pager")]

    def silence(self, **what: Any) -> Silence:
        silence = Silence(starts_at=NOW, ends_at=NOW + timedelta(hours=1), created_at=NOW, **what)
        self.requests.add(silence)
        return silence


@pytest.fixture
def desk(redis_client: redis.Redis, namespace: str) -> Desk:
    a_crisis().write(redis_client, namespace, wall_ms=WALL)
    return Desk(redis_client, namespace)


def test_a_silence_mutes_updates_but_not_the_resolve(desk: Desk) -> None:
    assert desk.pager_after(CRISIS + 20) == ["triggered@pager"]
    desk.silence(brand="Acme Air")
    assert desk.pager_after(CRISIS_END) == []
    assert desk.pager_after(CRISIS_END + 240) == ["resolved@pager"]
    assert desk.store.tally().counts.get(("pager", "silenced"), 0) + desk.store.tally().counts["pager", "no_news"] > 0


@pytest.mark.parametrize("expired_by_hand", [True, False])
def test_when_a_silence_ends_a_firing_episode_is_notified_once(desk: Desk, expired_by_hand: bool) -> None:
    silence = desk.silence(rule="negative_share")
    assert desk.pager_after(CRISIS + 20) == []
    later = WALL + 3_600_000
    if expired_by_hand:
        desk.requests.expire(silence.id, NOW)
        later = WALL
    assert desk.pager_after(CRISIS + 20, wall_ms=later) == ["triggered@pager"]
    assert desk.pager_after(CRISIS + 20, wall_ms=later) == []
    desk.lead()
    assert desk.pager_after(CRISIS + 20, wall_ms=later) == [], "a new leader knows that it was told"
    assert desk.pager_after(CRISIS_END + 240, wall_ms=later)[-1] == "resolved@pager"


def test_an_episode_within_a_silence_reaches_only_the_record(desk: Desk) -> None:
    desk.silence()
    assert desk.pager_after(CRISIS_END + 240) == []
    ends = [one for one in desk.sent() if one.endswith("resolved@kafka")]
    assert len(ends) == 1


@pytest.mark.parametrize("what", [{"brand": "Zeta"}, {"rule": "other"}, {"below": "warning"}])
def test_a_silence_of_another_brand_mutes_nothing(desk: Desk, what: dict[str, Any]) -> None:
    desk.silence(**what)
    assert desk.pager_after(CRISIS + 20) == ["triggered@pager"]


def test_quiet_hours_mute_until_they_are_over(desk: Desk) -> None:
    quiet = {"from": "00:00", "to": "12:00", "time_zone": "UTC", "below": "critical"}
    rule = NegativeShareRule.model_validate(
        {
            "name": "negative_share",
            "kind": "negative_share",
            "quiet_hours": [quiet],
            "severity": {"error_rise": 0.9, "critical_rise": 0.95},
        }
    )
    desk.rules = RuleSet(rules=(rule,))
    midnight = int(NOW.replace(hour=0, minute=0).timestamp() * 1_000)
    assert desk.pager_after(CRISIS + 20, wall_ms=midnight) == []
    assert desk.pager_after(CRISIS + 20, wall_ms=midnight + 12 * 3_600_000) == ["triggered@pager"]


def test_an_acknowledgement_is_notified_and_stops_escalation(desk: Desk) -> None:
    severity = {"error_rise": 0.9, "critical_rise": 0.95, "error_after_minutes": 30}
    desk.rules = RuleSet(
        rules=(NegativeShareRule.model_validate({"name": "n", "kind": "negative_share", "severity": severity}),)
    )
    assert desk.pager_after(CRISIS + 20) == ["triggered@pager"]
    [episode] = desk.requests.episodes()
    desk.requests.acknowledge(Acknowledgement(key=episode.key, by="kim", at=NOW))
    assert desk.pager_after(CRISIS + 20) == ["acknowledged@pager"]
    [episode] = desk.requests.episodes()
    assert (episode.acknowledged_by, episode.acknowledged_at) == ("kim", NOW)
    assert desk.requests.read(NOW).acknowledgements == [], "it lies in the episode now"
    assert desk.pager_after(CRISIS_END) == [], "twice thirty minutes, and no error"
    assert desk.pager_after(CRISIS_END + 240) == ["resolved@pager"]


def test_an_acknowledgement_of_a_closed_episode_changes_nothing(desk: Desk) -> None:
    desk.evaluate(CRISIS + 20)
    [episode] = desk.requests.episodes()
    desk.requests.acknowledge(Acknowledgement(key=episode.key, by="kim", at=NOW))
    desk.lead()
    desk.store.forget_acknowledgements([])
    desk.evaluate(CRISIS_END + 240)
    assert desk.requests.read(NOW).acknowledgements == []
    assert [one.split(":")[-1] for one in desk.sent() if one.endswith("@pager")][-1] == "resolved@pager"


def test_every_notification_is_sent_or_counted_as_suppressed(desk: Desk) -> None:
    desk.silence(brand="Acme Air", below="critical")
    transitions = sum(len(desk.evaluate(until).transitions) for until in range(CRISIS, CRISIS_END + 240, 5))
    tally = desk.store.tally()
    for receiver in ("pager", "kafka"):
        assert sum(number for (one, _), number in tally.counts.items() if one == receiver) == transitions
    assert tally.total("accepted") == tally.waiting


def test_a_wall_clock_jump_of_an_hour_changes_no_decision(desk: Desk) -> None:
    """Episodes go by event time; only sleep and silences go by the wall clock."""
    walls = [WALL, WALL + 3_600_000, WALL - 3_600_000, WALL]
    sent = [
        one
        for step, until in enumerate(range(CRISIS - 10, CRISIS_END + 240, 10))
        for one in desk.pager_after(until, wall_ms=walls[step % 4])
    ]
    assert sent == ["triggered@pager", "resolved@pager"]
    assert {episode.rule for episode in desk.store.load().closed} == {"negative_share"}
