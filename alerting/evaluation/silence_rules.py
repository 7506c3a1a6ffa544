"""What a brand's silence does: its open episodes freeze and say so, and `brand_silent` fires once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from alerting.detection.brand_silence import THIN_PART, BrandSilence
from alerting.detection.share_detector import WindowCounts
from alerting.episodes.lifecycle import ALL_BRANDS, Decision, Memory, OpenEpisode, episode_key, minute_start
from alerting.rules.models import BRAND_SILENT, RuleSet
from alerting.store.pending_commit import EpisodeSlot, RuleDecision
from brandpulse.schema.episodes import Episode, Evidence, SourceCount

SAID_AFTER_MINUTES = 30
"""An open episode says after so long that its brand is silent."""
REST_MINUTES = 360
"""So long after its end the silence of the same brand fires no more: a source that comes and goes is one page."""
MOST_OPEN = 10
"""Brands with an episode of their own. Those beyond share one, of brand `*`."""
SHOWN_BRANDS = 20
RESUMED_MINUTES = 40
Sources = Callable[[str], Sequence[SourceCount]]
"""Where the kept posts of a brand came from."""


def is_watched(brand: str, rules: RuleSet) -> bool:
    """Whether any rule is about *brand*: a silence of others is no news."""
    return any(rule.applies_to(brand) for rule in rules.rules)


def is_frozen(brand: str, silence: BrandSilence | None, opened: Mapping[EpisodeSlot, OpenEpisode]) -> bool:
    """Whether *silence* keeps the brand's episodes as they are; once one said so, until the next post."""
    if silence is None:
        return False
    return silence.is_suspect or any(
        place[0] == brand and one.episode.silent_since is not None for place, one in opened.items()
    )


def mark_silence(
    decided: Sequence[RuleDecision], silence: BrandSilence | None, *, frozen: bool, minute: int
) -> list[RuleDecision]:
    """*decided* of one brand; an open episode whose brand fell silent says so once, and forgets it with the posts."""
    return [_say(one, silence if frozen else None, minute=minute) for one in decided]


def _say(one: RuleDecision, silence: BrandSilence | None, *, minute: int) -> RuleDecision:
    after = one.decision.after
    if after is None:
        return one
    episode = after.episode
    if silence is None:
        if episode.silent_since is None:
            return one
        spoken = replace(after, episode=episode.model_copy(update={"silent_since": None}))
        return replace(one, decision=replace(one.decision, after=spoken))
    if episode.silent_since is not None or minute - silence.since_minute < SAID_AFTER_MINUTES:
        return one
    at = minute_start(minute + 1)
    reason = f"{_sentence(episode.brand, silence)} Whether it is over is not known. Before: {episode.latest.reason}"
    latest = episode.latest.model_copy(update={"reason": reason})
    said = episode.model_copy(
        update={"silent_since": minute_start(silence.since_minute), "latest": latest, "updated_at": at}
    )
    memory = after.memory.model_copy(update={"told_at": at, "updates": after.memory.updates + 1})
    # News to people where no page of `brand_silent` will bring it: the brand is too young for one.
    decision = Decision(reason, "updated", OpenEpisode(said, memory), severity_rose=silence.days == 0)
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
    """What the rule `brand_silent` decides at the end of *minute*, of all brands. *windows*: of those with posts."""
    decided = [
        RuleDecision(*place, _resumed(one, minute=minute))
        for place, one in opened.items()
        if place[1] == BRAND_SILENT and place[0] != ALL_BRANDS and _has_resumed(one, windows.get(place[0], ()))
    ]
    many = sum(rule == BRAND_SILENT and brand != ALL_BRANDS for brand, rule in opened)
    crowd = opened.get((ALL_BRANDS, BRAND_SILENT))
    others: dict[str, BrandSilence] = {}
    for brand, silence in silences.items():
        place = brand, BRAND_SILENT
        if silence is None or place in opened or not silence.is_sure or minute - ends.get(place, 0) < REST_MINUTES:
            continue
        if many >= MOST_OPEN:
            others[brand] = silence
            continue
        many += 1
        decided.append(RuleDecision(*place, _fire(brand, silence, minute=minute, sources=sources)))
    if others and crowd is None and minute - ends.get((ALL_BRANDS, BRAND_SILENT), 0) >= REST_MINUTES:
        decided.append(RuleDecision(ALL_BRANDS, BRAND_SILENT, _fire_crowd(others, minute=minute)))
    elif crowd is not None and not others:
        decided.append(RuleDecision(ALL_BRANDS, BRAND_SILENT, _resumed(crowd, minute=minute)))
    return decided


def _fire(brand: str, silence: BrandSilence, *, minute: int, sources: Sources) -> Decision:
    kept = list(sources(brand))
    came = f" Kept posts came from {', '.join(f'{one.source} ({one.posts})' for one in kept)}." if kept else ""
    proof = _proof(silence, f"{_sentence(brand, silence)} Other brands are written about.{came}", minute=minute)
    return _opened(brand, proof.model_copy(update={"sources": kept}), minute=minute)


def _fire_crowd(others: Mapping[str, BrandSilence], *, minute: int) -> Decision:
    named = ", ".join(f"{brand} since {_at(one.since_minute)}" for brand, one in list(others.items())[:SHOWN_BRANDS])
    more = f" and {len(others) - SHOWN_BRANDS} more" if len(others) > SHOWN_BRANDS else ""
    first = min(others.values(), key=lambda one: one.since_minute)
    reason = f"No posts of {len(others)} more brands, while others are written about: {named}{more}."
    return _opened(ALL_BRANDS, _proof(first, reason, minute=minute), minute=minute)


def _opened(brand: str, proof: Evidence, *, minute: int) -> Decision:
    at = minute_start(minute + 1)
    episode = Episode(
        key=episode_key(brand, BRAND_SILENT, proof.window_start),
        brand=brand,
        rule=BRAND_SILENT,
        severity="warning",
        state="firing",
        started_at=proof.window_start,
        fired_at=at,
        updated_at=at,
        silent_since=proof.window_start,
        first=proof,
        peak=proof,
        latest=proof,
    )
    return Decision(proof.reason, "triggered", OpenEpisode(episode, Memory(told_at=at)))


def _has_resumed(one: OpenEpisode, windows: Sequence[WindowCounts]) -> bool:
    """A quarter of the usual people again: one stray post is no source that works."""
    window = next((seen for seen in windows if seen.width >= RESUMED_MINUTES), None)
    usual = one.episode.first.usual_authors or 0.0
    return window is not None and window.authors >= max(1.0, THIN_PART * usual * window.width / 60)


def _resumed(one: OpenEpisode, *, minute: int) -> Decision:
    at = minute_start(minute + 1)
    who = "them" if one.episode.brand == ALL_BRANDS else one.episode.brand
    latest = one.episode.latest.model_copy(update={"reason": f"Posts of {who} come again.", "window_end": at})
    closed = one.episode.model_copy(
        update={"state": "resolved", "resolved_at": at, "updated_at": at, "silent_since": None, "latest": latest}
    )
    return Decision(latest.reason, "resolved", closed=closed)


def _proof(silence: BrandSilence, reason: str, *, minute: int) -> Evidence:
    return Evidence(
        window_start=minute_start(silence.since_minute),
        window_end=minute_start(minute + 1),
        posts=0,
        negative_posts=0,
        authors=0,
        negative_authors=0,
        negative_share=0.0,
        baseline_share=0.0,
        p_value=silence.chance,
        usual_authors=silence.usual_per_hour,
        reason=reason,
    )


def _sentence(brand: str, silence: BrandSilence) -> str:
    """`No posts of Acme Air since 2026-03-02 14:05 UTC; usually 34 people an hour.`"""
    many = silence.usual_per_hour
    usual = f"{many:.0f}" if many >= 10 else f"{many:.1f}"
    return f"No posts of {brand} since {_at(silence.since_minute)}; usually {usual} people an hour."


def _at(minute: int) -> str:
    return f"{datetime.fromtimestamp(minute * 60, UTC):%Y-%m-%d %H:%M} UTC"
