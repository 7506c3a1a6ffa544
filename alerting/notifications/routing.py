"""Which receivers are notified of a transition. Only receivers that know of an episode are notified of its end."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from alerting.episodes.lifecycle import Decision, Memory, OpenEpisode, is_at_least
from alerting.notifications.delivery import Delivery
from alerting.rules.models import CommonRule
from brandpulse.schema.episodes import SEVERITIES, Episode, Notification, Severity, Transition

MuteReason = Literal["", "silenced", "quiet_hours"]
SuppressionReason = Literal[
    "", "silenced", "quiet_hours", "grouped", "below_severity", "acknowledged", "no_news", "never_told", "other_rule"
]
"""Why a receiver is not notified. no_news: the severity did not rise, and the receiver wants only such updates.
Stored in the tally, so the words stay as they are."""
SUPPRESSED: tuple[SuppressionReason, ...] = (
    "silenced",
    "quiet_hours",
    "grouped",
    "below_severity",
    "acknowledged",
    "no_news",
    "never_told",
    "other_rule",
)
SuppressionKey = tuple[str, SuppressionReason]
"""(receiver, reason)."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """A receiver is not notified."""

    reason: SuppressionReason


@dataclass(frozen=True, slots=True)
class Route:
    """What a receiver wants to be notified of."""

    receiver: str
    min_severity: Severity = "info"
    wants_every_update: bool = True
    """False: updates only when the severity rose."""
    receives_all: bool = False
    """A record of all alerts: no rule, silence or group leaves it out."""


@dataclass(frozen=True, slots=True)
class Routed:
    """A decision whose memory knows the notified receivers, and the deliveries."""

    decision: Decision
    deliveries: Sequence[Delivery] = ()
    suppressed: Counter[SuppressionKey] = field(default_factory=Counter)


def routes_of_rule(rule: CommonRule | None, routes: Sequence[Route]) -> list[Route]:
    """Those of *routes* that *rule* names, each with the higher of its own and the rule's minimum severity.

    None is a built-in rule about the stream: all receivers are notified.
    """
    if rule is None or rule.receivers is None:
        return list(routes)
    wanted = {one.name: one.min_severity for one in rule.receivers}
    chosen = []
    for one in routes:
        if one.receives_all:
            chosen.append(one)
        elif one.receiver in wanted:
            min_severity = max(one.min_severity, wanted[one.receiver] or "info", key=SEVERITIES.index)
            chosen.append(replace(one, min_severity=min_severity))
    return chosen


def route(
    decision: Decision,
    *,
    before: Memory | None,
    routes: Sequence[Route],
    wanted: Sequence[Route],
    mute: MuteReason = "",
    grouped: bool = False,
    now_ms: int,
    link: str | None = None,
) -> Routed:
    """The deliveries of *decision*, and the decision with the notified receivers in its memory.

    *routes* are all routes, *wanted* those of the rule. *mute*: why notifications are muted now, or empty. *grouped*:
    a group's page replaces the page of this episode. An update that raises an episode to a receiver's minimum severity
    is a trigger for that receiver.
    """
    episode = decision.closed or (decision.after.episode if decision.after is not None else None)
    if decision.transition is None or episode is None:
        return Routed(decision)
    known_by = before.told if before is not None else ()
    wanted_by_name = {one.receiver: one for one in wanted}
    deliveries: list[Delivery] = []
    suppressed: Counter[SuppressionKey] = Counter()
    newly_notified: list[str] = []
    missed: list[str] = []
    for one in routes:
        transition = _transition(
            wanted_by_name.get(one.receiver),
            one,
            decision,
            episode=episode,
            knows_episode=one.receiver in known_by,
            mute="" if one.receives_all else mute,
            grouped=grouped and not one.receives_all,
        )
        if isinstance(transition, Suppression):
            suppressed[one.receiver, transition.reason] += 1
            if transition.reason in ("silenced", "quiet_hours") and one.receiver in known_by:
                missed.append(one.receiver)
            continue
        if one.receiver not in known_by:
            newly_notified.append(one.receiver)
        updates = decision.after.memory.updates if decision.after is not None else 0
        deliveries.append(_delivery(episode, transition, one.receiver, updates=updates, link=link, now_ms=now_ms))
    if decision.after is not None and (newly_notified or missed):
        decision = replace(decision, after=remember(decision.after, newly_notified, missed))
    return Routed(decision, deliveries, suppressed)


def _transition(
    wanted: Route | None,
    one: Route,
    decision: Decision,
    *,
    episode: Episode,
    knows_episode: bool,
    mute: MuteReason,
    grouped: bool,
) -> "Transition | Suppression":
    """The transition that *one* is notified of, or why it is not. *wanted*: its route under the rule; None: it has
    none."""
    transition = decision.transition
    is_end = transition in ("resolved", "acknowledged")
    if knows_episode and is_end and transition is not None:
        return transition
    acknowledged = episode.acknowledged_at is not None and not decision.severity_rose and not one.receives_all
    is_news = one.wants_every_update or decision.severity_rose
    reasons: tuple[tuple[bool, SuppressionReason], ...] = (
        (is_end, "never_told"),
        (wanted is None, "other_rule"),
        (
            not knows_episode and wanted is not None and not is_at_least(episode.severity, wanted.min_severity),
            "below_severity",
        ),
        (not knows_episode and grouped, "grouped"),
        (acknowledged, "acknowledged"),
        (knows_episode and not is_news, "no_news"),
        (bool(mute), mute),
    )
    reason = next((reason for holds, reason in reasons if holds), None)
    if reason is not None:
        return Suppression(reason)
    return "updated" if knows_episode else "triggered"


def overdue_deliveries(
    opened: OpenEpisode,
    *,
    wanted: Sequence[Route],
    mute: Callable[[], MuteReason],
    grouped: bool,
    now_ms: int,
    link: str | None = None,
) -> Routed | None:
    """Notifications of an open episode that receivers missed: while a silence muted them, or before they were added.

    None: no receiver missed one. Each is sent once, as the memory then holds the receiver. *mute* is called only if one
    is overdue.
    """
    episode, memory = opened.episode, opened.memory
    if episode.acknowledged_at is not None:
        return None
    overdue = [one for one in wanted if _is_overdue(one, opened, grouped=grouped)]
    if overdue and mute():
        overdue = [one for one in overdue if one.receives_all]
    if not overdue:
        return None
    missed = {one.receiver for one in overdue} & set(memory.held)
    updates = memory.updates + bool(missed)
    still_held = tuple(name for name in memory.held if name not in missed)
    after = replace(opened, memory=memory.model_copy(update={"updates": updates, "held": still_held}))
    deliveries = [
        _delivery(
            episode,
            "updated" if one.receiver in missed else "triggered",
            one.receiver,
            updates=updates,
            link=link,
            now_ms=now_ms,
        )
        for one in overdue
    ]
    return Routed(Decision("still up", after=remember(after, [one.receiver for one in overdue], ())), deliveries)


def _is_overdue(one: Route, opened: OpenEpisode, *, grouped: bool) -> bool:
    if grouped and not one.receives_all:
        return False
    if one.receiver in opened.memory.told:
        return one.receiver in opened.memory.held
    return is_at_least(opened.episode.severity, one.min_severity)


def remember(opened: OpenEpisode, notified: Sequence[str], missed: Sequence[str]) -> OpenEpisode:
    """*opened* with the receivers that were *notified* of it and those that *missed* an update in its memory."""
    memory = opened.memory
    return replace(
        opened,
        memory=memory.model_copy(update={"told": _joined(memory.told, notified), "held": _joined(memory.held, missed)}),
    )


def _joined(names: tuple[str, ...], more: Sequence[str]) -> tuple[str, ...]:
    return (*names, *(name for name in more if name not in names))


def _delivery(
    episode: Episode, transition: Transition, receiver: str, *, updates: int, link: str | None, now_ms: int
) -> Delivery:
    counted = f":{updates}" if transition == "updated" else ""
    notification = Notification(
        id=f"{episode.key}:{transition}{counted}@{receiver}",
        receiver=receiver,
        transition=transition,
        episode=episode,
        link=link,
    )
    return Delivery(id=notification.id, notification=notification, decided_ms=now_ms)
