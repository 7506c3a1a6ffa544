"""Which receivers are notified: the table of deliveries, and of suppressed ones with their reasons."""

from typing import Any

import pytest

from alerting.episodes.lifecycle import Decision, Memory, OpenEpisode
from alerting.notifications.routing import MuteReason, Route, Routed, overdue_deliveries, route
from brandpulse.schema.episodes import Severity, Transition
from tests.support.alerting.episode_builders import AT, an_episode

PAGER = Route("pager", "error", wants_every_update=False)
CHAT = Route("chat")
TOPIC = Route("kafka", receives_all=True)
ROUTES = [PAGER, CHAT, TOPIC]


def a_decision(transition: Transition, severity: Severity, *, rose: bool = False, acked: bool = False) -> Decision:
    changes: dict[str, Any] = {"severity": severity, "acknowledged_at": AT if acked else None}
    if transition == "resolved":
        return Decision("why", "resolved", closed=an_episode(**changes, state="resolved", resolved_at=AT))
    opened = OpenEpisode(an_episode(**changes), Memory(told_at=AT, updates=3))
    return Decision("why", transition, opened, severity_rose=rose)


def deliveries_of(
    decision: Decision,
    *before: str,
    mute: MuteReason = "",
    grouped: bool = False,
    wanted: list[Route] = ROUTES,
) -> list[str]:
    """What goes out, and what does not as `receiver: why`."""
    routed = route(
        decision,
        before=Memory(told_at=AT, told=before) if before else None,
        routes=ROUTES,
        wanted=wanted,
        mute=mute,
        grouped=grouped,
        now_ms=0,
    )
    key = "Acme Air:negative_share:2026-03-02T10:00Z:"
    return [delivery.id.removeprefix(key) for delivery in routed.deliveries] + [
        f"{receiver}: {why}" for receiver, why in routed.suppressed
    ]


ALL = ("pager", "chat", "kafka")


@pytest.mark.parametrize(
    ("decision", "before", "circumstances", "expected"),
    [
        (
            a_decision("triggered", "warning"),
            (),
            {},
            ["triggered@chat", "triggered@kafka", "pager: below_severity"],
        ),
        (a_decision("triggered", "error"), (), {}, ["triggered@pager", "triggered@chat", "triggered@kafka"]),
        # An update that reaches a receiver's severity is its trigger.
        (
            a_decision("updated", "error", rose=True),
            ("chat", "kafka"),
            {},
            ["triggered@pager", "updated:3@chat", "updated:3@kafka"],
        ),
        # A pager gets updates only when the severity rose.
        (a_decision("updated", "error"), ALL, {}, ["updated:3@chat", "updated:3@kafka", "pager: no_news"]),
        (
            a_decision("updated", "critical", rose=True),
            ALL,
            {},
            ["updated:3@pager", "updated:3@chat", "updated:3@kafka"],
        ),
        # Only notified receivers get the end.
        (
            a_decision("resolved", "critical"),
            ("kafka",),
            {},
            ["resolved@kafka", "pager: never_told", "chat: never_told"],
        ),
        (a_decision("resolved", "warning"), ALL, {}, ["resolved@pager", "resolved@chat", "resolved@kafka"]),
        # A silence mutes all but ends, and never the record.
        (
            a_decision("triggered", "critical"),
            (),
            {"mute": "silenced"},
            ["triggered@kafka", "pager: silenced", "chat: silenced"],
        ),
        (
            a_decision("updated", "critical", rose=True),
            ALL,
            {"mute": "quiet_hours"},
            ["updated:3@kafka", "pager: quiet_hours", "chat: quiet_hours"],
        ),
        (
            a_decision("resolved", "critical"),
            ALL,
            {"mute": "silenced"},
            ["resolved@pager", "resolved@chat", "resolved@kafka"],
        ),
        # An acknowledged episode is notified only if its severity rises.
        (
            a_decision("updated", "error", acked=True),
            ALL,
            {},
            ["updated:3@kafka", "pager: acknowledged", "chat: acknowledged"],
        ),
        (
            a_decision("updated", "critical", rose=True, acked=True),
            ALL,
            {},
            ["updated:3@pager", "updated:3@chat", "updated:3@kafka"],
        ),
        (
            a_decision("acknowledged", "error", acked=True),
            ("pager", "kafka"),
            {},
            ["acknowledged@pager", "acknowledged@kafka", "chat: never_told"],
        ),
        # A group's page replaces those of its members.
        (
            a_decision("triggered", "critical"),
            (),
            {"grouped": True},
            ["triggered@kafka", "pager: grouped", "chat: grouped"],
        ),
        # A receiver that the rule does not name gets only ends of episodes that it knows.
        (
            a_decision("triggered", "critical"),
            (),
            {"wanted": [CHAT, TOPIC]},
            ["triggered@chat", "triggered@kafka", "pager: other_rule"],
        ),
        (
            a_decision("resolved", "critical"),
            ALL,
            {"wanted": [TOPIC]},
            ["resolved@pager", "resolved@chat", "resolved@kafka"],
        ),
    ],
)
def test_each_route_gets_a_delivery_or_a_reason(
    decision: Decision, before: tuple[str, ...], circumstances: dict[str, Any], expected: list[str]
) -> None:
    assert deliveries_of(decision, *before, **circumstances) == expected


def test_every_receiver_is_notified_or_counted_as_suppressed() -> None:
    for transition in ("triggered", "updated", "acknowledged", "resolved"):
        for before in ((), ALL):
            for mute in ("", "silenced", "quiet_hours"):
                decision = a_decision(transition, "error")
                assert len(deliveries_of(decision, *before, mute=mute)) == len(ROUTES)


def opened(*, notified: tuple[str, ...], held: tuple[str, ...] = (), acked: bool = False) -> OpenEpisode:
    episode = an_episode(severity="error", acknowledged_at=AT if acked else None)
    return OpenEpisode(episode, Memory(told_at=AT, told=notified, held=held, updates=3))


@pytest.mark.parametrize(
    ("one", "mute", "grouped", "expected"),
    [
        (opened(notified=("kafka",)), "", False, ["triggered@pager", "triggered@chat"]),
        (opened(notified=("kafka",)), "silenced", False, []),
        (opened(notified=("kafka",)), "", True, []),
        (opened(notified=("kafka",), acked=True), "", False, []),
        (opened(notified=ALL), "", False, []),
        (opened(notified=ALL, held=("pager", "chat")), "", False, ["updated:4@pager", "updated:4@chat"]),
        (opened(notified=ALL, held=("pager",)), "quiet_hours", False, []),
        (opened(notified=("pager", "chat")), "silenced", False, ["triggered@kafka"]),
    ],
)
def test_muted_notifications_are_sent_once_when_the_mute_ends(
    one: OpenEpisode, mute: MuteReason, grouped: bool, expected: list[str]
) -> None:
    def ask(now: OpenEpisode) -> Routed | None:
        return overdue_deliveries(now, wanted=ROUTES, mute=lambda: mute, grouped=grouped, now_ms=0)

    routed = ask(one)
    ids = [] if routed is None else [":".join(delivery.id.split(":")[4:]) for delivery in routed.deliveries]
    assert ids == expected
    if routed is not None:
        assert routed.decision.after is not None
        assert ask(routed.decision.after) is None
