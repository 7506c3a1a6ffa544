"""Many brands at once, in decisions: one group, its growth and its end."""

import json
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from alerting.dispatch.dispatcher import Dispatcher
from alerting.episodes.lifecycle import ALL_BRANDS, Decision, Memory, OpenEpisode
from alerting.notifications.receivers.pagerduty import MAX_EVENT_BYTES, encode, event
from alerting.notifications.routing import Route
from alerting.rules.models import Grouping, NegativeShareRule, RuleSet
from alerting.store.alert_store import AlerterState
from alerting.store.pending_commit import PendingCommit, RuleDecision
from brandpulse.schema.episodes import Episode, Severity, SourceCount, Term
from brandpulse.schema.silences import Acknowledgement, OperatorRequests, Silence
from tests.support.alerting.episode_builders import AT, an_episode, an_evidence
from tests.support.patience import patience

ROUTES = [Route("pager", "error", wants_every_update=False), Route("kafka", receives_all=True)]
WORDS = [Term(term=f"{'word' * 15}{n}", posts=9, of=20, usual_share=0.01) for n in range(5)]
SOURCES = [SourceCount(source="s" * 60 + str(n), posts=9) for n in range(6)]
WALL_MS = int(AT.timestamp() * 1_000)


class Scene:
    """A dispatcher and its episodes, minute by minute."""

    def __init__(self, **rules: Any) -> None:
        self.rules = RuleSet(grouping=Grouping(from_brands=10, minutes=10), **rules)
        self.requests = OperatorRequests()
        self.pending = PendingCommit(AlerterState())
        self.minute = 0
        self.sent: list[str] = []

    @property
    def at(self) -> datetime:
        return AT + timedelta(minutes=self.minute)

    def apply(self, *decisions: RuleDecision) -> list[str]:
        """One minute of decisions; what the pager is sent."""
        before = len(self.pending.deliveries)
        dispatcher = Dispatcher(ROUTES, rules=self.rules, requests=self.requests, now_ms=WALL_MS)
        dispatcher.acknowledge(self.pending, self.requests.acknowledgements)
        dispatcher.apply(self.pending, decisions)
        dispatcher.send_overdue(self.pending)
        self.minute += 1
        new = [one.notification for one in self.pending.deliveries[before:] if one.notification.receiver == "pager"]
        return [f"{one.transition} {one.episode.brand} {one.episode.severity}" for one in new]

    def fire(
        self, brand: str, severity: Severity = "error", rule: str = "negative_share", **proof_: Any
    ) -> RuleDecision:
        proof = an_evidence(**{"reason": f"{brand} burns.", "terms": WORDS, "sources": SOURCES, **proof_})
        episode = an_episode(
            f"{brand}:{rule}",
            brand=brand,
            rule=rule,
            severity=severity,
            fired_at=self.at,
            updated_at=self.at,
            latest=proof,
        )
        return RuleDecision(brand, rule, Decision("fires", "triggered", OpenEpisode(episode, Memory(told_at=self.at))))

    def end(self, brand: str, rule: str = "negative_share") -> RuleDecision:
        episode = self.pending.open[brand, rule].episode
        closed = episode.model_copy(update={"state": "resolved", "resolved_at": self.at, "updated_at": self.at})
        return RuleDecision(brand, rule, Decision("calm", "resolved", closed=closed))

    def worsen(self, brand: str, severity: Severity) -> RuleDecision:
        opened = self.pending.open[brand, "negative_share"]
        episode = opened.episode.model_copy(update={"severity": severity, "updated_at": self.at})
        after = replace(opened, episode=episode)
        return RuleDecision(brand, "negative_share", Decision("worse", "updated", after, severity_rose=True))

    def group(self, rule: str = "storm") -> Episode:
        return self.pending.open[ALL_BRANDS, rule].episode


BRANDS = [f"brand {number:03}" for number in range(500)]


def test_500_brands_are_one_page_that_ends_with_the_last_brand() -> None:
    scene = Scene()
    assert scene.apply(*[scene.fire(brand) for brand in BRANDS]) == ["triggered * error"]
    assert scene.group().members_total == 500
    assert scene.group().latest.reason.startswith("500 brands at once: brand 000, ")
    for start in range(0, 499, 20):
        assert scene.apply(*[scene.end(brand) for brand in BRANDS[start : min(start + 20, 499)]]) == []
    assert {one.state for one in scene.group().members} == {"firing", "resolved"}
    assert scene.apply(scene.end(BRANDS[-1])) == ["resolved * error"]
    notifications = [one.notification for one in scene.pending.deliveries if one.notification.receiver == "kafka"]
    ended = {one.episode.brand for one in notifications if one.transition == "resolved"}
    assert ended == {ALL_BRANDS, *BRANDS}, "each member's end is on record"


def test_one_critical_brand_makes_the_page_critical() -> None:
    scene = Scene()
    fired = [scene.fire(brand, "critical" if brand == "brand 007" else "warning") for brand in BRANDS[:20]]
    assert scene.apply(*fired) == ["triggered * critical"]
    assert scene.group().members[0].brand == "brand 007"


def test_the_page_shows_the_worst_members_and_shared_words() -> None:
    scene = Scene()
    large: dict[str, Any] = {"authors": 900, "negative_authors": 540}
    fired = [scene.fire(brand) for brand in BRANDS[:20]]
    scene.apply(
        *fired, scene.fire("vast", "warning", **large), scene.fire("large", **large), scene.fire("dire", "critical")
    )
    members = scene.group().members
    assert [one.brand for one in members[:3]] == ["dire", "large", "brand 000"]
    assert (members[1].extra_people, members[-1].brand) == (360, "vast")
    latest = scene.group().latest
    assert "Worst: dire burns." in latest.reason
    assert [(one.term, one.brands, one.posts) for one in latest.terms] == [(one.term, 23, 207) for one in WORDS]
    assert {one.posts for one in latest.sources} == {207}
    scene.apply(scene.end("dire"), scene.end("large"))
    members = scene.group().members
    assert [one.brand for one in members[:2]] == ["brand 000", "brand 001"]
    assert [(one.brand, one.state) for one in members[-2:]] == [("dire", "resolved"), ("large", "resolved")]
    assert scene.group().latest.terms[0].brands == 21


def test_the_severity_of_a_group_rises_with_its_members() -> None:
    scene = Scene()
    assert scene.apply(*[scene.fire(brand, "warning") for brand in BRANDS[:20]]) == []
    assert scene.apply(scene.worsen("brand 003", "error")) == ["triggered * error"], "the pager's severity is reached"
    assert scene.apply(scene.worsen("brand 004", "critical")) == ["updated * critical"]


def test_the_tenth_brand_within_ten_minutes_starts_a_group() -> None:
    scene = Scene()
    assert scene.apply(*[scene.fire(brand) for brand in BRANDS[:5]]) == [f"triggered {one} error" for one in BRANDS[:5]]
    assert scene.apply(*[scene.fire(brand) for brand in BRANDS[5:9]]) == [
        f"triggered {one} error" for one in BRANDS[5:9]
    ]
    assert scene.apply(scene.fire(BRANDS[9])) == ["triggered * error"]
    assert scene.apply(scene.fire(BRANDS[10])) == ["updated * error"], "twice as many as were reported of"
    assert scene.apply(scene.fire(BRANDS[11])) == []
    assert scene.group().members_total == 3


def test_an_episode_long_after_the_group_has_its_own_page() -> None:
    scene = Scene()
    scene.apply(*[scene.fire(brand) for brand in BRANDS[:20]])
    scene.minute += 11
    assert scene.apply(scene.fire("another")) == ["triggered another error"]


def test_a_member_that_fires_again_later_has_its_own_page() -> None:
    scene = Scene()
    scene.apply(*[scene.fire(brand) for brand in BRANDS[:20]])
    scene.apply(scene.end(BRANDS[0]))
    scene.minute += 30
    assert scene.apply(scene.fire(BRANDS[0])) == [f"triggered {BRANDS[0]} error"]
    assert scene.apply(*[scene.end(brand) for brand in BRANDS[1:20]]) == ["resolved * error"]
    assert scene.apply(scene.end(BRANDS[0])) == [f"resolved {BRANDS[0]} error"]


def test_brands_that_fire_over_hours_are_no_group() -> None:
    scene = Scene()
    for brand in BRANDS[:30]:
        assert scene.apply(scene.fire(brand)) == [f"triggered {brand} error"]
        scene.minute += 5


def test_rules_with_other_receivers_have_their_own_groups() -> None:
    scene = Scene(
        rules=(
            NegativeShareRule(name="negative_share", kind="negative_share"),
            NegativeShareRule(name="other", kind="negative_share"),
            NegativeShareRule(name="desk", kind="negative_share", receivers=()),
        )
    )
    fired = [scene.fire(brand, rule=rule) for brand in BRANDS[:20] for rule in ("negative_share", "other", "desk")]
    assert scene.apply(*fired) == ["triggered * error"], "the desk's rule has no route to the pager"
    assert scene.group().members_total == 40
    assert len([place for place in scene.pending.open if place[0] == ALL_BRANDS]) == 2


def test_acknowledging_a_group_acknowledges_its_members_once() -> None:
    scene = Scene()
    scene.apply(*[scene.fire(brand) for brand in BRANDS[:20]])
    scene.requests = OperatorRequests(acknowledgements=[Acknowledgement(key=scene.group().key, by="kim", at=AT)])
    assert scene.apply() == ["acknowledged * error"]
    assert scene.apply() == []
    assert {one.episode.acknowledged_by for one in scene.pending.open.values()} == {"kim"}


def test_silenced_brands_join_no_group_and_page_after_the_silence() -> None:
    scene = Scene()
    silence = Silence(brand=BRANDS[0], starts_at=AT, ends_at=AT + timedelta(hours=1), created_at=AT)
    scene.requests = OperatorRequests(silences=[silence])
    assert scene.apply(*[scene.fire(brand) for brand in BRANDS[:5]]) == [
        f"triggered {one} error" for one in BRANDS[1:5]
    ]
    scene.requests = OperatorRequests()
    assert scene.apply() == [f"triggered {BRANDS[0]} error"]
    assert scene.apply() == []


@pytest.mark.parametrize("ends", ["brand 000", None])
def test_a_silenced_group_pages_when_the_silence_ends(ends: str | None) -> None:
    scene = Scene()
    hour = {"starts_at": AT, "ends_at": AT + timedelta(hours=1), "created_at": AT}
    scene.requests = OperatorRequests(silences=[Silence(brand=ALL_BRANDS, **hour)])
    assert scene.apply(*[scene.fire(brand) for brand in BRANDS[:20]]) == []
    if ends is not None:
        scene.apply(scene.end(ends))
    scene.requests = OperatorRequests()
    assert scene.apply() == ["triggered * error"]


@pytest.mark.parametrize("letter", ["x", "\U0001f525"])
def test_a_page_of_500_long_brand_names_fits_pagerdutys_limit(letter: str) -> None:
    scene = Scene()
    scene.apply(*[scene.fire(f"{number:03}{letter * 197}", "critical") for number in range(500)])
    [page] = [one.notification for one in scene.pending.deliveries if one.notification.receiver == "pager"]
    body = encode(event(page, routing_key="0" * 32))
    assert len(body) < MAX_EVENT_BYTES
    sent = json.loads(body)["payload"]
    assert (sent["severity"], len(sent["custom_details"]["members"])) == ("critical", 500)
    assert len(sent["summary"]) <= 1_024


def test_500_brands_of_20_rules_in_a_minute_are_one_page_in_seconds() -> None:
    names = [f"rule_{number}" for number in range(20)]
    scene = Scene(rules=tuple(NegativeShareRule(name=name, kind="negative_share") for name in names))
    fired = [scene.fire(brand, rule=rule) for brand in BRANDS for rule in names]
    began = time.process_time()
    assert scene.apply(*fired) == ["triggered * error"]
    seconds = time.process_time() - began
    [page] = [one.notification for one in scene.pending.deliveries if one.notification.receiver == "pager"]
    body = encode(event(page, routing_key="0" * 32))
    print(f"\n10,000 episodes in one minute: grouped in {seconds:.2f} s of CPU, one page of {len(body) // 1_000} KB")
    assert len(body) < MAX_EVENT_BYTES
    assert scene.group().members_total == 10_000
    assert len(scene.pending.deliveries) == 10_002, "each is on record, and the group twice"
    assert seconds < patience(5)
