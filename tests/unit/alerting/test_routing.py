from alerting.episode import Decision, Memory, OpenEpisode
from alerting.routing import Route, route
from brandpulse.episodes import Severity
from tests.unit.alerting.notes import AT, an_episode

PAGER = Route("pager", "error", wants_every_update=False)
TOPIC = Route("kafka")


def a_decision(transition: str, severity: Severity, *, rose: bool = False) -> Decision:
    if transition == "resolved":
        closed = an_episode(severity=severity, state="resolved", resolved_at=AT)
        return Decision("why", "resolved", closed=closed)
    opened = OpenEpisode(an_episode(severity=severity), Memory(told_at=AT, updates=3))
    return Decision("why", transition, opened, severity_rose=rose)  # type: ignore[arg-type]


def told(decision: Decision, *before: str) -> list[str]:
    _, deliveries = route(decision, told_before=before, routes=[PAGER, TOPIC], now_ms=0)
    return [delivery.id.removeprefix("Acme Air:negative_share:2026-03-02T10:00Z:") for delivery in deliveries]


def test_a_receiver_hears_from_its_severity_on() -> None:
    assert told(a_decision("triggered", "warning")) == ["triggered@kafka"]
    assert told(a_decision("triggered", "error")) == ["triggered@pager", "triggered@kafka"]


def test_an_update_that_reaches_a_receivers_severity_is_its_trigger() -> None:
    decision = a_decision("updated", "error", rose=True)
    assert told(decision, "kafka") == ["triggered@pager", "updated:3@kafka"]
    routed, _ = route(decision, told_before=("kafka",), routes=[PAGER, TOPIC], now_ms=0)
    assert routed.after is not None
    assert routed.after.memory.told == ("pager",)


def test_a_pager_gets_updates_only_when_the_severity_rose() -> None:
    assert told(a_decision("updated", "error"), "pager", "kafka") == ["updated:3@kafka"]
    assert told(a_decision("updated", "critical", rose=True), "pager", "kafka") == [
        "updated:3@pager",
        "updated:3@kafka",
    ]


def test_only_who_was_told_is_told_of_the_end() -> None:
    assert told(a_decision("resolved", "critical"), "kafka") == ["resolved@kafka"]
    assert told(a_decision("resolved", "warning"), "pager", "kafka") == ["resolved@pager", "resolved@kafka"]
