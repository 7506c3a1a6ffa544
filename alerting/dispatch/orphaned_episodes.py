"""Episodes whose rule was removed, or no longer watches their brand. Nothing else would ever resolve them."""

from collections.abc import Mapping
from datetime import datetime

from alerting.dispatch.grouping import is_group
from alerting.episodes.lifecycle import Decision, OpenEpisode
from alerting.rules.models import STREAM_RULES, RuleSet
from alerting.store.pending_commit import EpisodeSlot, RuleDecision


def close_orphaned(opened: Mapping[EpisodeSlot, OpenEpisode], rules: RuleSet, *, at: datetime) -> list[RuleDecision]:
    """The resolve of each, at event time *at*."""
    return [
        RuleDecision(brand, rule, _end(one, at))
        for (brand, rule), one in opened.items()
        if rule not in STREAM_RULES and not is_group(rule) and not _is_watched(brand, rule, rules)
    ]


def _is_watched(brand: str, rule: str, rules: RuleSet) -> bool:
    found = rules.named(rule)
    return found is not None and found.applies_to(brand)


def _end(one: OpenEpisode, at: datetime) -> Decision:
    episode = one.episode
    reason = f"Rule {episode.rule} no longer watches {episode.brand}; whether the rise is over was not checked."
    latest = episode.latest.model_copy(update={"reason": reason})
    closed = episode.model_copy(update={"state": "resolved", "resolved_at": at, "updated_at": at, "latest": latest})
    return Decision(reason, "resolved", closed=closed)
