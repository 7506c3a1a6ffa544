"""Consequences of a brand's silence: its open episodes freeze and report it, and rule `brand_silent` fires once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from alerting.detection.brand_silence import THIN_PART, BrandSilence
from alerting.detection.share_detector import WindowCounts
from alerting.episodes.lifecycle import (
    ALL_BRANDS,
    Decision,
    Memory,
    OpenEpisode,
    episode_key,
    evidence_without_posts,
    minute_start,
)
from alerting.rules.models import BRAND_SILENT, RuleSet
from alerting.store.pending_commit import EpisodeSlot, RuleDecision
from brandpulse.schema.episodes import Episode, Evidence, SourceCount

REPORTED_AFTER_MINUTES = 30
"""An open episode reports its brand's silence after this time."""
REST_MINUTES = 360
"""After a silence ended, the same brand does not fire for this time: an unstable source is one page."""
MAX_OPEN = 10
"""Maximum of brands with an episode of their own. Further brands share one, of brand `*`."""
SHOWN_BRANDS = 20
RESUMED_MINUTES = 40
Sources = Callable[[str], Sequence[SourceCount]]
"""By brand: the sources of its stored posts."""


def is_watched(brand: str, rules: RuleSet) -> bool:
    """Whether any rule watches *brand*. The silence of other brands is not reported."""
    return any(rule.applies_to(brand) for rule in rules.rules)


def is_frozen(brand: str, silence: BrandSilence | None, opened: Mapping[EpisodeSlot, OpenEpisode]) -> bool:
    """Whether *silence* freezes the brand's episodes. Once an episode has reported it, until the next post."""
    if silence is None:
        return False
    return silence.is_suspect or any(
        slot[0] == brand and one.episode.silent_since is not None for slot, one in opened.items()
    )


def mark_silence(
    decisions: Sequence[RuleDecision], silence: BrandSilence | None, *, frozen: bool, minute: int
) -> list[RuleDecision]:
    """*decisions* of one brand. An open episode reports the silence once, and clears the mark with the next post."""
    return [_mark(one, silence if frozen else None, minute=minute) for one in decisions]


def _mark(one: RuleDecision, silence: BrandSilence | None, *, minute: int) -> RuleDecision:
    after = one.decision.after
    if after is None:
        return one
    episode = after.episode
    if silence is None:
        if episode.silent_since is None:
            return one
        unmarked = replace(after, episode=episode.model_copy(update={"silent_since": None}))
        return replace(one, decision=replace(one.decision, after=unmarked))
    if episode.silent_since is not None or minute - silence.since_minute < REPORTED_AFTER_MINUTES:
        return one
    at = minute_start(minute + 1)
    reason = f"{_sentence(episode.brand, silence)} Whether the rise is over is unknown. Before: {episode.latest.reason}"
    latest = episode.latest.model_copy(update={"reason": reason})
    marked = episode.model_copy(
        update={"silent_since": minute_start(silence.since_minute), "latest": latest, "updated_at": at}
    )
    memory = after.memory.model_copy(update={"told_at": at, "updates": after.memory.updates + 1})
    # Counts as news if the brand is too young for a page of `brand_silent`.
    decision = Decision(reason, "updated", OpenEpisode(marked, memory), severity_rose=silence.days == 0)
    return RuleDecision(one.brand, one.rule, decision)


def decide_silences(
    silences: Mapping[str, BrandSilence | None],
    windows: Mapping[str, Sequence[WindowCounts]],
    opened: Mapping[EpisodeSlot, OpenEpisode],
    ends: Mapping[EpisodeSlot, int],
    *,
    minute: int,
    sources: Sources,
) -> list[RuleDecision]:
    """The decisions of rule `brand_silent` at the end of *minute* for all brands. *windows*: of brands with posts."""
    decisions = [
        RuleDecision(*slot, _resumed(one, minute=minute))
        for slot, one in opened.items()
        if slot[1] == BRAND_SILENT and slot[0] != ALL_BRANDS and _has_resumed(one, windows.get(slot[0], ()))
    ]
    open_episodes = sum(rule == BRAND_SILENT and brand != ALL_BRANDS for brand, rule in opened)
    collective = opened.get((ALL_BRANDS, BRAND_SILENT))
    others: dict[str, BrandSilence] = {}
    for brand, silence in silences.items():
        slot = brand, BRAND_SILENT
        if silence is None or slot in opened or not silence.is_sure or minute - ends.get(slot, 0) < REST_MINUTES:
            continue
        if open_episodes >= MAX_OPEN:
            others[brand] = silence
            continue
        open_episodes += 1
        decisions.append(RuleDecision(*slot, _fire(brand, silence, minute=minute, sources=sources)))
    if others and collective is None and minute - ends.get((ALL_BRANDS, BRAND_SILENT), 0) >= REST_MINUTES:
        decisions.append(RuleDecision(ALL_BRANDS, BRAND_SILENT, _fire_collective(others, minute=minute)))
    elif collective is not None and not others:
        decisions.append(RuleDecision(ALL_BRANDS, BRAND_SILENT, _resumed(collective, minute=minute)))
    return decisions


def _fire(brand: str, silence: BrandSilence, *, minute: int, sources: Sources) -> Decision:
    found = list(sources(brand))
    came = f" Stored posts came from {', '.join(f'{one.source} ({one.posts})' for one in found)}." if found else ""
    evidence = _evidence(silence, f"{_sentence(brand, silence)} Other brands are written about.{came}", minute=minute)
    return _opened(brand, evidence.model_copy(update={"sources": found}), minute=minute)


def _fire_collective(others: Mapping[str, BrandSilence], *, minute: int) -> Decision:
    named = ", ".join(f"{brand} since {_at(one.since_minute)}" for brand, one in list(others.items())[:SHOWN_BRANDS])
    more = f" and {len(others) - SHOWN_BRANDS} more" if len(others) > SHOWN_BRANDS else ""
    first = min(others.values(), key=lambda one: one.since_minute)
    reason = f"No posts of {len(others)} more brands, while others are written about: {named}{more}."
    return _opened(ALL_BRANDS, _evidence(first, reason, minute=minute), minute=minute)


def _opened(brand: str, evidence: Evidence, *, minute: int) -> Decision:
    at = minute_start(minute + 1)
    episode = Episode(
        key=episode_key(brand, BRAND_SILENT, evidence.window_start),
        brand=brand,
        rule=BRAND_SILENT,
        severity="warning",
        state="firing",
        started_at=evidence.window_start,
        fired_at=at,
        updated_at=at,
        silent_since=evidence.window_start,
        first=evidence,
        peak=evidence,
        latest=evidence,
    )
    return Decision(evidence.reason, "triggered", OpenEpisode(episode, Memory(told_at=at)))


def _has_resumed(one: OpenEpisode, windows: Sequence[WindowCounts]) -> bool:
    """A quarter of the usual people write again: a single post does not show that the source works."""
    window = next((seen for seen in windows if seen.width >= RESUMED_MINUTES), None)
    usual = one.episode.first.usual_authors or 0.0
    return window is not None and window.authors >= max(1.0, THIN_PART * usual * window.width / 60)


def _resumed(one: OpenEpisode, *, minute: int) -> Decision:
    at = minute_start(minute + 1)
    subject = "them" if one.episode.brand == ALL_BRANDS else one.episode.brand
    latest = one.episode.latest.model_copy(update={"reason": f"Posts of {subject} come again.", "window_end": at})
    closed = one.episode.model_copy(
        update={"state": "resolved", "resolved_at": at, "updated_at": at, "silent_since": None, "latest": latest}
    )
    return Decision(latest.reason, "resolved", closed=closed)


def _evidence(silence: BrandSilence, reason: str, *, minute: int) -> Evidence:
    return evidence_without_posts(
        minute_start(silence.since_minute),
        minute_start(minute + 1),
        reason,
        p_value=silence.chance,
        usual_authors=silence.usual_per_hour,
    )


def _sentence(brand: str, silence: BrandSilence) -> str:
    """`No posts of Acme Air since 2026-03-02 14:05 UTC; usually 34 people an hour.`"""
    people = silence.usual_per_hour
    usual = f"{people:.0f}" if people >= 10 else f"{people:.1f}"
    return f"No posts of {brand} since {_at(silence.since_minute)}; usually {usual} people an hour."


def _at(minute: int) -> str:
    return f"{datetime.fromtimestamp(minute * 60, UTC):%Y-%m-%d %H:%M} UTC"
