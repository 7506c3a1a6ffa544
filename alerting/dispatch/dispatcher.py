"""From decisions to deliveries: which receivers are notified when, what silences mute, and what groups replace."""

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
    """Adds decisions and their deliveries to a pending commit. One for each evaluation."""

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        rules: RuleSet,
        requests: OperatorRequests,
        now_ms: int,
        link: str | None = None,
    ) -> None:
        """*now_ms*: the wall clock, by which silences and quiet hours begin and end."""
        self._routes = routes
        self._rules = rules
        self._requests = requests
        self._now_ms = now_ms
        self._routes_by_rule: dict[str, list[Route]] = {}
        self._link = link

    def apply(self, pending: PendingCommit, decisions: Sequence[RuleDecision]) -> None:
        """Take all *decisions* of one event-time minute."""
        triggers = [one for one in decisions if self._may_be_grouped(one)]
        others = [one for one in decisions if not self._may_be_grouped(one)]
        alone, groups = group_triggers(triggers, pending.open, rules=self._rules) if triggers else ([], [])
        changed = self._changed_groups(pending, others)
        for one in (*others, *alone, *groups):
            self._route(pending, one)
        at = max((updated for one in others if (updated := _updated_at(one)) is not None), default=None)
        for group in changed:
            decision = None if at is None else update_group(group, pending.open, at=at)
            if decision is not None:
                self._route(pending, decision)

    def send_overdue(self, pending: PendingCommit) -> None:
        """Notify receivers of open episodes that they missed, now that no silence or quiet hours mute them."""
        for slot, opened in list(pending.open.items()):
            routed = overdue_deliveries(
                opened,
                wanted=self._wanted(slot),
                mute=partial(self._mute, opened.episode),
                grouped=_is_covered(pending, opened),
                now_ms=self._now_ms,
                link=link_for(self._link, opened.episode),
            )
            if routed is not None:
                pending.apply(RuleDecision(*slot, routed.decision), routed.deliveries)

    def acknowledge(self, pending: PendingCommit, acknowledgements: Iterable[Acknowledgement]) -> None:
        """Mark episodes as acknowledged, and the members of a group with it. Closed episodes are ignored."""
        requested = {one.key: one for one in acknowledgements}
        for slot, opened in list(pending.open.items()):
            request = requested.get(opened.episode.key)
            if request is None:
                continue
            for member in (slot, *opened.memory.members):
                one = pending.open.get(member)
                if one is not None and one.episode.acknowledged_at is None:
                    self._route(pending, RuleDecision(*member, _acknowledged(one, request)))

    def _route(self, pending: PendingCommit, one: RuleDecision) -> None:
        before = pending.open.get(one.slot)
        after = one.decision.after
        episode = one.decision.closed or (after.episode if after is not None else None)
        routed = route(
            one.decision,
            before=before.memory if before is not None else None,
            routes=self._routes,
            wanted=self._wanted(one.slot),
            mute="" if episode is None else self._mute(episode),
            grouped=after is not None and _is_covered(pending, after, joins=before is None),
            now_ms=self._now_ms,
            link=link_for(self._link, episode),
        )
        pending.apply(RuleDecision(one.brand, one.rule, routed.decision), routed.deliveries, routed.suppressed)

    def _may_be_grouped(self, one: RuleDecision) -> bool:
        after = one.decision.after
        return (
            one.decision.transition == "triggered"
            and after is not None
            and one.rule not in STREAM_RULES
            and not self._mute(after.episode)
        )

    def _changed_groups(self, pending: PendingCommit, decisions: Iterable[RuleDecision]) -> list[str]:
        """The groups that have a member with a transition among *decisions*."""
        members = (pending.open.get(one.slot) for one in decisions if one.decision.transition is not None)
        return sorted({one.memory.group for one in members if one is not None and one.memory.group})

    def _rule(self, name: str) -> CommonRule | None:
        return rule_of(name, self._rules) if is_group(name) else self._rules.named(name)

    def _wanted(self, slot: EpisodeSlot) -> list[Route]:
        rule = slot[1]
        if rule not in self._routes_by_rule:
            self._routes_by_rule[rule] = routes_of_rule(self._rule(rule), self._routes)
        return self._routes_by_rule[rule]

    def _mute(self, episode: Episode) -> MuteReason:
        now = datetime.fromtimestamp(self._now_ms / 1_000, UTC)
        if self._requests.silenced(episode.brand, episode.rule, episode.severity, now):
            return "silenced"
        rule = self._rule(episode.rule)
        if rule is not None and is_muted(rule.quiet_hours, episode.severity, now):
            return "quiet_hours"
        return ""


def _is_covered(pending: PendingCommit, opened: OpenEpisode, *, joins: bool = False) -> bool:
    """Whether a group's notifications replace those of *opened*. *joins*: the group is created in this minute."""
    group = opened.memory.group
    return bool(group) and (joins or (ALL_BRANDS, group) in pending.open)


def _acknowledged(one: OpenEpisode, request: Acknowledgement) -> Decision:
    operator = request.by or "an operator"
    episode = one.episode.model_copy(update={"acknowledged_at": request.at, "acknowledged_by": request.by or None})
    return Decision(f"acknowledged by {operator}", "acknowledged", replace(one, episode=episode))


def _updated_at(one: RuleDecision) -> datetime | None:
    after = one.decision.after
    episode = one.decision.closed or (after.episode if after is not None else None)
    return None if episode is None else episode.updated_at
