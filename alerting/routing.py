"""Which receivers are told of a transition. Whoever was told of an episode is told of its end, nobody else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from alerting.episode import Decision, at_least, told
from alerting.outbox import Delivery
from alerting.rules import CommonRule
from brandpulse.episodes import SEVERITIES, Episode, Notification, Severity, Transition


@dataclass(frozen=True, slots=True)
class Route:
    """What a receiver wants to hear."""

    receiver: str
    min_severity: Severity = "info"
    wants_every_update: bool = True
    """False: updates only when the severity rose."""
    hears_all: bool = False
    """A record, not a person: no rule leaves it out."""


def routes_of_rule(rule: CommonRule | None, routes: Sequence[Route]) -> list[Route]:
    """Those of *routes* that hear of *rule*, each with the graver of its own and the rule's minimum severity.

    None is a rule of our own, about the stream: all hear of it.
    """
    if rule is None or rule.receivers is None:
        return list(routes)
    wanted = {one.name: one.min_severity for one in rule.receivers}
    chosen = []
    for one in routes:
        if one.hears_all:
            chosen.append(one)
        elif one.receiver in wanted:
            least = max(one.min_severity, wanted[one.receiver] or "info", key=SEVERITIES.index)
            chosen.append(replace(one, min_severity=least))
    return chosen


def route(
    decision: Decision,
    *,
    told_before: Sequence[str],
    routes: Sequence[Route],
    now_ms: int,
    link: str | None = None,
) -> tuple[Decision, list[Delivery]]:
    """The deliveries that *decision* asks for, and the decision with its memory of who was told.

    An update that lifts an episode to a receiver's minimum severity is that receiver's trigger.
    """
    episode = decision.closed or (decision.after.episode if decision.after is not None else None)
    if decision.transition is None or episode is None:
        return decision, []
    deliveries: list[Delivery] = []
    newly_told: list[str] = []
    for one in routes:
        knows = one.receiver in told_before
        transition: Transition
        if knows:
            transition = decision.transition
            if transition == "updated" and not (one.wants_every_update or decision.severity_rose):
                continue
        elif decision.transition == "resolved" or not at_least(episode.severity, one.min_severity):
            continue
        else:
            transition = "triggered"
            newly_told.append(one.receiver)
        number = decision.after.memory.updates if transition == "updated" and decision.after is not None else None
        notification = _notification(episode, transition, number, one.receiver, link)
        deliveries.append(Delivery(id=notification.id, notification=notification, decided_ms=now_ms))
    if decision.after is not None and newly_told:
        after = told(decision.after, newly_told)
        decision = Decision(decision.reason, decision.transition, after, decision.closed, decision.severity_rose)
    return decision, deliveries


def _notification(
    episode: Episode, transition: Transition, number: int | None, receiver: str, link: str | None
) -> Notification:
    counted = "" if number is None else f":{number}"
    return Notification(
        id=f"{episode.key}:{transition}{counted}@{receiver}",
        receiver=receiver,
        transition=transition,
        episode=episode,
        link=link,
    )
