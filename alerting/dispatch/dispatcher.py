"""From decisions to deliveries: who is told of what and when, what a silence holds back, what a group stands for."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from alerting.dispatch.grouping import group_triggers, is_group, rule_of, update_group
from alerting.episodes.lifecycle import ALL_BRANDS, Decision, OpenEpisode
from alerting.notifications.links import link_for
from alerting.notifications.routing import MuteReason, Route, overdue_deliveries, route, routes_of_rule
from alerting.rules.models import STREAM_RULES, CommonRule, RuleSet
from alerting.rules.quiet_hours import is_muted
from alerting.store.pending_commit import EpisodeSlot, PendingCommit, RuleDecision
from brandpulse.schema.episodes import Episode
from brandpulse.schema.silences import Acknowledgement, OperatorRequests


class Dispatcher:
    """Takes decisions into a stretch, with the deliveries that they ask for. One for each tick."""

    def __init__(
        self, routes: Sequence[Route], *, rules: RuleSet, orders: OperatorRequests, now_ms: int, link: str | None = None
    ) -> None:
        """*now_ms*: the wall clock, by which people sleep and silences end."""
        self._routes = routes
        self._rules = rules
        self._orders = orders
        self._now_ms = now_ms
        self._routes_of: dict[str, list[Route]] = {}
        self._link = link

    def take(self, stretch: PendingCommit, decided: Sequence[RuleDecision]) -> None:
        """*decided*: all that one event-time minute brought."""
        fired = [one for one in decided if self._may_be_grouped(one)]
        settled = [one for one in decided if not self._may_be_grouped(one)]
        alone, groups = group_triggers(fired, stretch.open, rules=self._rules) if fired else ([], [])
        changed = self._groups_of(stretch, settled)
        for one in (*settled, *alone, *groups):
            self._tell(stretch, one)
        at = max((moment for one in settled if (moment := _moment(one)) is not None), default=None)
        for group in changed:
            followed = None if at is None else update_group(group, stretch.open, at=at)
            if followed is not None:
                self._tell(stretch, followed)

    def release(self, stretch: PendingCommit) -> None:
        """Tell of open episodes whoever has not heard of them, now that nothing holds it back."""
        for place, opened in list(stretch.open.items()):
            routed = overdue_deliveries(
                opened,
                wanted=self._wanted(place),
                hush=partial(self._hush, opened.episode),
                grouped=_is_covered(stretch, opened),
                now_ms=self._now_ms,
                link=link_for(self._link, opened.episode),
            )
            if routed is not None:
                stretch.apply(RuleDecision(*place, routed.decision), routed.deliveries)

    def acknowledge(self, stretch: PendingCommit, acknowledgements: Iterable[Acknowledgement]) -> None:
        """Take them into their episodes, a group's into its members too; those of closed episodes are nothing."""
        asked = {one.key: one for one in acknowledgements}
        for place, opened in list(stretch.open.items()):
            answer = asked.get(opened.episode.key)
            if answer is None:
                continue
            for taken in (place, *opened.memory.members):
                one = stretch.open.get(taken)
                if one is not None and one.episode.acknowledged_at is None:
                    self._tell(stretch, RuleDecision(*taken, _acknowledged(one, answer)))

    def _tell(self, stretch: PendingCommit, one: RuleDecision) -> None:
        before = stretch.open.get(one.slot)
        after = one.decision.after
        episode = one.decision.closed or (after.episode if after is not None else None)
        routed = route(
            one.decision,
            before=before.memory if before is not None else None,
            routes=self._routes,
            wanted=self._wanted(one.slot),
            hush="" if episode is None else self._hush(episode),
            grouped=after is not None and _is_covered(stretch, after, joins=before is None),
            now_ms=self._now_ms,
            link=link_for(self._link, episode),
        )
        stretch.apply(RuleDecision(one.brand, one.rule, routed.decision), routed.deliveries, routed.suppressed)

    def _may_be_grouped(self, one: RuleDecision) -> bool:
        after = one.decision.after
        return (
            one.decision.transition == "triggered"
            and after is not None
            and one.rule not in STREAM_RULES
            and not self._hush(after.episode)
        )

    def _groups_of(self, stretch: PendingCommit, decided: Iterable[RuleDecision]) -> list[str]:
        """The groups whose members changed in a way that is told."""
        members = (stretch.open.get(one.slot) for one in decided if one.decision.transition is not None)
        return sorted({one.memory.group for one in members if one is not None and one.memory.group})

    def _rule(self, name: str) -> CommonRule | None:
        return rule_of(name, self._rules) if is_group(name) else self._rules.named(name)

    def _wanted(self, place: EpisodeSlot) -> list[Route]:
        rule = place[1]
        if rule not in self._routes_of:
            self._routes_of[rule] = routes_of_rule(self._rule(rule), self._routes)
        return self._routes_of[rule]

    def _hush(self, episode: Episode) -> MuteReason:
        now = datetime.fromtimestamp(self._now_ms / 1_000, UTC)
        if self._orders.silenced(episode.brand, episode.rule, episode.severity, now):
            return "silenced"
        rule = self._rule(episode.rule)
        if rule is not None and is_muted(rule.quiet_hours, episode.severity, now):
            return "quiet_hours"
        return ""


def _is_covered(stretch: PendingCommit, opened: OpenEpisode, *, joins: bool = False) -> bool:
    """Whether a group tells of it; *joins*: one that is being made."""
    group = opened.memory.group
    return bool(group) and (joins or (ALL_BRANDS, group) in stretch.open)


def _acknowledged(one: OpenEpisode, answer: Acknowledgement) -> Decision:
    who = answer.by or "somebody"
    episode = one.episode.model_copy(update={"acknowledged_at": answer.at, "acknowledged_by": answer.by or None})
    return Decision(f"{who} has taken it on", "acknowledged", replace(one, episode=episode))


def _moment(one: RuleDecision) -> datetime | None:
    after = one.decision.after
    episode = one.decision.closed or (after.episode if after is not None else None)
    return None if episode is None else episode.updated_at
