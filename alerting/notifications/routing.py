"""Which receivers are told of a transition. Whoever was told of an episode is told of its end, nobody else."""

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
"""Why a receiver is not told. no_news: an update that is no worse, for one that wants only worse ones."""
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
"""(receiver, why)."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """It is not told, and why."""

    why: SuppressionReason


@dataclass(frozen=True, slots=True)
class Route:
    """What a receiver wants to hear."""

    receiver: str
    min_severity: Severity = "info"
    wants_every_update: bool = True
    """False: updates only when the severity rose."""
    hears_all: bool = False
    """A record, not a person: no rule leaves it out."""


@dataclass(frozen=True, slots=True)
class Routed:
    """A decision with its memory of who was told, and what goes out."""

    decision: Decision
    deliveries: Sequence[Delivery] = ()
    suppressed: Counter[SuppressionKey] = field(default_factory=Counter)


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
    before: Memory | None,
    routes: Sequence[Route],
    wanted: Sequence[Route],
    hush: MuteReason = "",
    grouped: bool = False,
    now_ms: int,
    link: str | None = None,
) -> Routed:
    """Who is told of *decision*, and the decision with its memory of that.

    *routes* are all there are, *wanted* those of the rule. *hush*: a silence or quiet hours keep people from being
    told. *grouped*: the page of a group stands for this episode. An update that lifts an episode to a receiver's
    minimum severity is that receiver's trigger.
    """
    episode = decision.closed or (decision.after.episode if decision.after is not None else None)
    if decision.transition is None or episode is None:
        return Routed(decision)
    told_before = before.told if before is not None else ()
    mine = {one.receiver: one for one in wanted}
    deliveries: list[Delivery] = []
    suppressed: Counter[SuppressionKey] = Counter()
    newly_told: list[str] = []
    held: list[str] = []
    for one in routes:
        fate = _fate(
            mine.get(one.receiver),
            one,
            decision,
            episode=episode,
            knows=one.receiver in told_before,
            hush="" if one.hears_all else hush,
            grouped=grouped and not one.hears_all,
        )
        if isinstance(fate, Suppression):
            suppressed[one.receiver, fate.why] += 1
            if fate.why in ("silenced", "quiet_hours") and one.receiver in told_before:
                held.append(one.receiver)
            continue
        if one.receiver not in told_before:
            newly_told.append(one.receiver)
        updates = decision.after.memory.updates if decision.after is not None else 0
        deliveries.append(_delivery(episode, fate, one.receiver, updates=updates, link=link, now_ms=now_ms))
    if decision.after is not None and (newly_told or held):
        decision = replace(decision, after=remember(decision.after, newly_told, held))
    return Routed(decision, deliveries, suppressed)


def _fate(
    mine: Route | None,
    one: Route,
    decision: Decision,
    *,
    episode: Episode,
    knows: bool,
    hush: MuteReason,
    grouped: bool,
) -> "Transition | Suppression":
    """What *one* is told, or why not. *mine* is its route under the rule; None when the rule leaves it out."""
    transition = decision.transition
    is_end = transition in ("resolved", "acknowledged")
    if knows and is_end and transition is not None:
        return transition
    answered = episode.acknowledged_at is not None and not decision.severity_rose and not one.hears_all
    is_news = one.wants_every_update or decision.severity_rose
    reasons: tuple[tuple[bool, SuppressionReason], ...] = (
        (is_end, "never_told"),
        (mine is None, "other_rule"),
        (not knows and mine is not None and not is_at_least(episode.severity, mine.min_severity), "below_severity"),
        (not knows and grouped, "grouped"),
        (answered, "acknowledged"),
        (knows and not is_news, "no_news"),
        (bool(hush), hush),
    )
    why = next((reason for holds, reason in reasons if holds), None)
    if why is not None:
        return Suppression(why)
    return "updated" if knows else "triggered"


def overdue_deliveries(
    opened: OpenEpisode,
    *,
    wanted: Sequence[Route],
    hush: Callable[[], MuteReason],
    grouped: bool,
    now_ms: int,
    link: str | None = None,
) -> Routed | None:
    """What an open episode owes: to those it was kept from while a silence lasted, or who came later. None: nothing.

    It is owed once: the memory says afterwards that they were told. *hush* is asked only where something is owed.
    """
    episode, memory = opened.episode, opened.memory
    if episode.acknowledged_at is not None:
        return None
    owed = [one for one in wanted if _is_owed(one, opened, grouped=grouped)]
    if owed and hush():
        owed = [one for one in owed if one.hears_all]
    if not owed:
        return None
    missed = {one.receiver for one in owed} & set(memory.held)
    updates = memory.updates + bool(missed)
    kept = tuple(name for name in memory.held if name not in missed)
    after = replace(opened, memory=memory.model_copy(update={"updates": updates, "held": kept}))
    deliveries = [
        _delivery(
            episode,
            "updated" if one.receiver in missed else "triggered",
            one.receiver,
            updates=updates,
            link=link,
            now_ms=now_ms,
        )
        for one in owed
    ]
    return Routed(Decision("still up", after=remember(after, [one.receiver for one in owed], ())), deliveries)


def _is_owed(one: Route, opened: OpenEpisode, *, grouped: bool) -> bool:
    if grouped and not one.hears_all:
        return False
    if one.receiver in opened.memory.told:
        return one.receiver in opened.memory.held
    return is_at_least(opened.episode.severity, one.min_severity)


def remember(opened: OpenEpisode, told: Sequence[str], held: Sequence[str]) -> OpenEpisode:
    """*opened*, with who knows of it now and who missed something."""
    memory = opened.memory
    return replace(
        opened,
        memory=memory.model_copy(update={"told": _joined(memory.told, told), "held": _joined(memory.held, held)}),
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
