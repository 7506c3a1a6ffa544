"""Groups: when many brands fire at once, one page replaces theirs. A group is an episode of brand `*` with members.

Episodes whose rules have the same receivers and quiet hours share a group. Pure.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alerting.dispatch.group_evidence import extra_people, group_evidence, worst_first
from alerting.episodes.lifecycle import ALL_BRANDS, Decision, Memory, OpenEpisode, episode_key
from alerting.rules.models import STORM, CommonRule, RuleSet
from alerting.store.pending_commit import EpisodeSlot, RuleDecision
from brandpulse.schema.episodes import SEVERITIES, Episode, Member, Severity

SHOWN_MEMBERS = 500
"""Maximum of the stored episode. A receiver may show fewer."""
UPDATE_MINUTES = 30


def is_group(rule: str) -> bool:
    return rule == STORM or rule.startswith(f"{STORM}.")


def group_name(rule: CommonRule) -> str:
    """The rule name of the group that *rule*'s episodes join: equal for rules with equal receivers and quiet hours."""
    if rule.receivers is None and not rule.quiet_hours:
        return STORM
    receivers = "|".join([*(one.model_dump_json() for one in rule.receivers or ()), str(rule.receivers is None)])
    quiet = "|".join(one.model_dump_json() for one in rule.quiet_hours)
    return f"{STORM}.{hashlib.sha256(f'{receivers}#{quiet}'.encode()).hexdigest()[:8]}"


def rule_of(group: str, rules: RuleSet) -> CommonRule | None:
    """A rule whose episodes join *group*; None if the rules have changed since."""
    return next((rule for rule in rules.rules if group_name(rule) == group), None)


def group_triggers(
    fired: Sequence[RuleDecision], opened: Mapping[EpisodeSlot, OpenEpisode], *, rules: RuleSet
) -> tuple[list[RuleDecision], list[RuleDecision]]:
    """*fired* are the triggers of one minute that are not muted. Returns them, those that join a group with the group's
    name in their memory, and the decisions about the groups."""
    triggers: list[RuleDecision] = []
    groups: list[RuleDecision] = []
    for group, members in _by_group(fired, rules).items():
        at = max(_episode(one).fired_at for one in members)
        before = opened.get((ALL_BRANDS, group))
        if not _is_grouped(before, members, opened, at=at, rules=rules, group=group):
            triggers += members
            continue
        triggers += [_with_group(one, group) for one in members]
        groups.append(RuleDecision(ALL_BRANDS, group, _grow(before, members, opened, at=at, group=group)))
    return triggers, groups


def _by_group(fired: Iterable[RuleDecision], rules: RuleSet) -> dict[str, list[RuleDecision]]:
    found: dict[str, list[RuleDecision]] = {}
    for one in fired:
        rule = rules.named(one.rule)
        if rule is not None:
            found.setdefault(group_name(rule), []).append(one)
    return found


def _is_grouped(
    before: OpenEpisode | None,
    members: Sequence[RuleDecision],
    opened: Mapping[EpisodeSlot, OpenEpisode],
    *,
    at: datetime,
    rules: RuleSet,
    group: str,
) -> bool:
    span = timedelta(minutes=rules.grouping.minutes)
    if before is not None and before.memory.grew_at is not None and at - before.memory.grew_at <= span:
        return True
    same = {rule.name for rule in rules.rules if group_name(rule) == group}
    recent = sum(
        rule in same and not one.memory.group and at - one.episode.fired_at <= span for (_, rule), one in opened.items()
    )
    return recent + len(members) >= rules.grouping.from_brands


def _with_group(one: RuleDecision, group: str) -> RuleDecision:
    after = one.decision.after
    assert after is not None  # noqa: S101 - a trigger opens an episode
    joined = replace(after, memory=after.memory.model_copy(update={"group": group}))
    return RuleDecision(one.brand, one.rule, replace(one.decision, after=joined))


def _grow(
    before: OpenEpisode | None,
    members: Sequence[RuleDecision],
    opened: Mapping[EpisodeSlot, OpenEpisode],
    *,
    at: datetime,
    group: str,
) -> Decision:
    old = before.memory.members if before is not None else ()
    slots = tuple(dict.fromkeys((*old, *(one.slot for one in members))))
    new = {one.slot: _episode(one) for one in members}
    episodes = {slot: new[slot] if slot in new else _member_at(opened, slot, group) for slot in slots}
    if before is None:
        episode = _group_episode(episodes, at=at, group=group, before=None)
        memory = Memory(told_at=at, members=slots, grew_at=at, told_members=len(slots))
        return Decision(episode.latest.reason, "triggered", OpenEpisode(episode, memory))
    episode = _group_episode(episodes, at=at, group=group, before=before.episode)
    memory = before.memory.model_copy(update={"members": slots, "grew_at": at})
    return _update_if_news(OpenEpisode(episode, memory), before, at=at)


def update_group(group: str, opened: Mapping[EpisodeSlot, OpenEpisode], *, at: datetime) -> RuleDecision | None:
    """The decision about *group* after a minute in which members changed; None if the group is not open."""
    before = opened.get((ALL_BRANDS, group))
    if before is None:
        return None
    episodes = {slot: _member_at(opened, slot, group) for slot in before.memory.members}
    episode = _group_episode(episodes, at=at, group=group, before=before.episode)
    if not any(episodes.values()):
        reason = f"All {len(episodes)} of the group are over."
        latest = episode.latest.model_copy(update={"reason": reason})
        closed = episode.model_copy(update={"state": "resolved", "resolved_at": at, "latest": latest})
        return RuleDecision(ALL_BRANDS, group, Decision(reason, "resolved", closed=closed))
    decision = _update_if_news(OpenEpisode(episode, before.memory), before, at=at)
    return RuleDecision(ALL_BRANDS, group, decision)


def _update_if_news(after: OpenEpisode, before: OpenEpisode, *, at: datetime) -> Decision:
    """An update at once if the severity rose or the members doubled, else every half hour."""
    rose = after.episode.severity != before.episode.severity
    number = len(after.memory.members)
    doubled = number >= 2 * max(1, before.memory.told_members)
    if not rose and not doubled and at - before.memory.told_at < timedelta(minutes=UPDATE_MINUTES):
        return Decision("still up", after=after)
    memory = after.memory.model_copy(
        update={"told_at": at, "updates": after.memory.updates + 1, "told_members": number}
    )
    return Decision(
        after.episode.latest.reason, "updated", replace(after, memory=memory), severity_rose=rose or doubled
    )


def _group_episode(
    episodes: Mapping[EpisodeSlot, Episode | None], *, at: datetime, group: str, before: Episode | None
) -> Episode:
    """The group's episode. *episodes*: its members; None for a member that is over."""
    firing = [one for one in episodes.values() if one is not None]
    worst = worst_first(firing)
    severities: list[Severity] = [one.severity for one in firing]
    evidence = before.latest if before is not None and not worst else group_evidence(worst, len(episodes))
    highest = max([*severities, *([before.severity] if before is not None else [])], key=SEVERITIES.index)
    known = {one.key: _member(one) for one in worst}
    for one in before.members if before is not None else ():
        if one.key not in known:
            known[one.key] = one if one.state == "resolved" else one.model_copy(update={"state": "resolved"})
    members = sorted(
        known.values(), key=lambda one: (one.state, -SEVERITIES.index(one.severity), -one.extra_people, one.key)
    )
    if before is not None:
        return before.model_copy(
            update={
                "severity": highest,
                "updated_at": at,
                "latest": evidence,
                "peak": evidence if len(worst) >= before.members_total else before.peak,
                "members": members[:SHOWN_MEMBERS],
                "members_total": len(episodes),
            }
        )
    return Episode(
        key=episode_key(ALL_BRANDS, group, at),
        brand=ALL_BRANDS,
        rule=group,
        severity=highest,
        state="firing",
        started_at=min(one.started_at for one in firing),
        fired_at=at,
        updated_at=at,
        first=evidence,
        peak=evidence,
        latest=evidence,
        members=members[:SHOWN_MEMBERS],
        members_total=len(episodes),
    )


def _member(episode: Episode) -> Member:
    return Member(
        key=episode.key,
        brand=episode.brand,
        rule=episode.rule,
        severity=episode.severity,
        state="firing",
        negative_share=round(episode.latest.negative_share, 4),
        baseline_share=round(episode.latest.baseline_share, 4),
        people=None if episode.latest.usual_authors is None else episode.latest.authors,
        usual_people=episode.latest.usual_authors,
        extra_people=extra_people(episode.latest),
    )


def _episode(one: RuleDecision) -> Episode:
    assert one.decision.after is not None  # noqa: S101 - a trigger opens an episode
    return one.decision.after.episode


def _member_at(opened: Mapping[EpisodeSlot, OpenEpisode], slot: EpisodeSlot, group: str) -> Episode | None:
    """The open episode at *slot*, if it belongs to the group. A later episode of the same rule does not."""
    found = opened.get(slot)
    return found.episode if found is not None and found.memory.group == group else None
