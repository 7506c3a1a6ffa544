"""From findings to episodes: fire once, update while the rise lasts, resolve after calm, freeze without data."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from alerting.detection.evidence import rise_nats
from alerting.detection.expected_delay import SHOWN_RISE, expected_delay
from alerting.detection.share_detector import Finding, WindowCounts, calm_evidence, proven_level
from alerting.episodes.example_posts import PostEvidence
from brandpulse.schema.episodes import SEVERITIES, Episode, Evidence, Severity, Transition
from brandpulse.state.keys import MINUTE_MS

DEFAULT_RULE_NAME = "negative_share"
ALL_BRANDS = "*"
"""Brand of an episode about the whole stream, or about many brands."""
MAX_KEY_CHARS = 255
PART_OF_RISE = 0.25
"""A multiplied share reaches a severity only if it also rose by this part of the rise that the severity needs."""


@dataclass(frozen=True, slots=True)
class EpisodePolicy:
    """How long an episode lasts, and its severity. Minutes are event time."""

    update_minutes: int = 30
    calm_minutes: int = 15
    """An episode resolves only after this time of continuous evidence for calm."""
    calm_nats: float = 9.0
    """Required evidence for calm (nats, one is a factor of 2.7). A brand with few people needs longer to reach it."""
    quiet_minutes: int = 180
    """An episode also resolves after this time with few people, if few are usual. Without any post it never
    resolves."""
    error_rise: float = 0.20
    critical_rise: float = 0.35
    error_ratio: float | None = None
    critical_ratio: float | None = None
    """This multiple of the usual share counts like the rise of the same name, from a quarter of that rise on: small
    shares may multiply and still be small. None: by the rise alone."""
    min_severity: Severity = "warning"
    max_severity: Severity = "critical"
    error_after_minutes: int | None = None
    """After this time without acknowledgement, an episode is an error at any size; None: never by time alone."""
    critical_after_minutes: int | None = None


class Memory(BaseModel):
    """The state of an open episode that later minutes need. Field names are stored, so they stay as they are."""

    model_config = ConfigDict(frozen=True)

    told_at: AwareDatetime
    """When receivers were last notified."""
    calm_minutes: int = 0
    calm_nats: float = 0.0
    """Evidence for calm, summed since it was last zero (a CUSUM)."""
    level: float = 0.0
    """The share that the episode reached for certain."""
    quiet_minutes: int = 0
    updates: int = 0
    told: tuple[str, ...] = ()
    """Receivers that were notified: they get the resolve."""
    held: tuple[str, ...] = ()
    """Receivers in `told` that missed an update while it was muted: they get one when the mute ends."""
    group: str = ""
    """Rule of the group whose notifications replace those of this episode."""
    members: tuple[tuple[str, str], ...] = ()
    """For a group: brand and rule of its members."""
    grew_at: AwareDatetime | None = None
    told_members: int = 0
    """For a group: number of members at the last notification."""


@dataclass(frozen=True, slots=True)
class OpenEpisode:
    """A firing episode and its memory."""

    episode: Episode
    memory: Memory


NoTransition = Literal[
    "nothing new",
    "no evidence of a rise",
    "frozen: no data",
    "frozen: no posts",
    "frozen: too few people",
    "calm so far",
    "still up",
]


@dataclass(frozen=True, slots=True)
class Decision:
    """The change of a brand's episode by one minute, and why."""

    reason: str
    """Why the transition happened; without one, a `NoTransition`."""
    transition: Transition | None = None
    after: OpenEpisode | None = None
    """The open episode after this minute; None if none is open."""
    closed: Episode | None = None
    severity_rose: bool = False


ReadPostEvidence = Callable[[WindowCounts], PostEvidence]
"""Reads what the stored posts of a window show."""
NO_POST_EVIDENCE = PostEvidence()


def decide(
    brand: str,
    before: OpenEpisode | None,
    finding: Finding,
    *,
    minute: int,
    minutes: int,
    policy: EpisodePolicy,
    rule: str = DEFAULT_RULE_NAME,
    examples: ReadPostEvidence = lambda _: NO_POST_EVIDENCE,
    thin: bool = False,
) -> Decision:
    """The decision at the end of event-time *minute*, *minutes* after the last one (1, or the stride).

    *thin*: no posts, or far fewer people than is usual for the brand at these hours. That is not calm.
    """
    at = minute_start(minute + 1)
    window, fresh = finding.window, finding.fresh
    if before is None:
        if finding.state != "spike" or window is None:
            return Decision("no evidence of a rise")
        return _fire(brand, rule, finding, window, at=at, policy=policy, examples=examples)
    before = _add_calm_evidence(before, finding, minutes)
    if finding.state == "too little evidence" or (finding.state == "no data" and finding.stream_alive):
        return _stay_quiet(before, finding, at=at, minutes=minutes, policy=policy, thin=thin)
    if window is None or fresh is None or finding.state == "no data":
        return Decision("frozen: no data", after=before)
    if finding.state == "spike":
        after, rose = _with_peak(before, finding, max((window, fresh), key=lambda w: w.share), policy)
        return _update_if_due(after, finding, fresh, at=at, rose=rose, policy=policy, examples=examples)
    return _calm_down(before, finding, fresh, at=at, policy=policy, examples=examples)


def _add_calm_evidence(before: OpenEpisode, finding: Finding, minutes: int) -> OpenEpisode:
    """*before* with the newest people's evidence for or against calm. Windows overlap, so each counts by its new
    part."""
    newest, memory = finding.newest, before.memory
    if newest is None or finding.baseline is None:
        return before
    level = memory.level or before.episode.peak.negative_share
    if finding.state == "spike" and finding.window is not None:
        level = max(level, proven_level(finding.window))
    new = min(minutes, newest.width) / newest.width
    nats = max(0.0, memory.calm_nats + new * calm_evidence(newest, finding.baseline.share, level, finding.policy))
    after = memory.model_copy(
        update={"calm_nats": nats, "level": level, "calm_minutes": memory.calm_minutes + minutes if nats > 0 else 0}
    )
    return OpenEpisode(before.episode, after)


def _fire(
    brand: str,
    rule: str,
    finding: Finding,
    window: WindowCounts,
    *,
    at: datetime,
    policy: EpisodePolicy,
    examples: ReadPostEvidence,
) -> Decision:
    evidence = evidence_of(finding, window, examples=examples)
    episode = Episode(
        key=episode_key(brand, rule, evidence.window_start),
        brand=brand,
        rule=rule,
        severity=severity_of(evidence, policy),
        state="firing",
        started_at=evidence.window_start,
        fired_at=at,
        updated_at=at,
        first=evidence,
        peak=evidence,
        latest=evidence,
    )
    return Decision(evidence.reason, "triggered", OpenEpisode(episode, Memory(told_at=at, level=proven_level(window))))


def _with_peak(
    before: OpenEpisode, finding: Finding, worst: WindowCounts, policy: EpisodePolicy
) -> tuple[OpenEpisode, bool]:
    """The episode with *worst* included in its peak and severity, and whether the severity rose."""
    episode = before.episode
    peak = evidence_of(finding, worst) if worst.share > episode.peak.negative_share else episode.peak
    severity = max(episode.severity, severity_of(peak, policy), key=SEVERITIES.index)
    after = episode.model_copy(update={"peak": peak, "severity": severity})
    return OpenEpisode(after, _not_quiet(before.memory)), severity != episode.severity


def _not_quiet(memory: Memory) -> Memory:
    return memory if memory.quiet_minutes == 0 else memory.model_copy(update={"quiet_minutes": 0})


def _calm_down(
    before: OpenEpisode,
    finding: Finding,
    fresh: WindowCounts,
    *,
    at: datetime,
    policy: EpisodePolicy,
    examples: ReadPostEvidence,
) -> Decision:
    memory = before.memory
    if memory.calm_nats >= policy.calm_nats and memory.calm_minutes >= policy.calm_minutes:
        return _resolve(before, evidence_of(finding, fresh), at=at)
    after = OpenEpisode(before.episode, _not_quiet(memory))
    if memory.calm_minutes > 0:
        return Decision("calm so far", after=after)
    return _update_if_due(after, finding, fresh, at=at, rose=False, policy=policy, examples=examples)


def _stay_quiet(
    before: OpenEpisode, finding: Finding, *, at: datetime, minutes: int, policy: EpisodePolicy, thin: bool
) -> Decision:
    """Too few people for a test, while other brands have posts: neither calm nor a rise.

    If so few are usual, the episode resolves after three hours. If more are usual (*thin*), a source may be missing:
    then only evidence for calm resolves it.
    """
    memory = before.memory
    quiet = memory.quiet_minutes + (0 if thin else minutes)
    calm = thin and memory.calm_nats >= policy.calm_nats and memory.calm_minutes >= policy.calm_minutes
    if (calm or quiet >= policy.quiet_minutes) and finding.window is not None:
        return _resolve(before, evidence_of(finding, finding.window), at=at)
    memory = memory.model_copy(update={"quiet_minutes": quiet})
    reason: NoTransition = "frozen: no posts" if finding.state == "no data" else "frozen: too few people"
    return Decision(reason, after=OpenEpisode(before.episode, memory))


def _update_if_due(
    now: OpenEpisode,
    finding: Finding,
    fresh: WindowCounts,
    *,
    at: datetime,
    rose: bool,
    policy: EpisodePolicy,
    examples: ReadPostEvidence,
) -> Decision:
    """The rise continues: an update at once if the severity rose, by size or by time, else every half hour."""
    now, by_time = _severity_by_time(now, at=at, policy=policy)
    rose = rose or by_time
    if not rose and (at - now.memory.told_at).total_seconds() < policy.update_minutes * 60:
        return Decision("still up", after=now)
    latest = evidence_of(finding, fresh, examples=examples)
    episode = now.episode.model_copy(update={"latest": latest, "updated_at": at})
    memory = now.memory.model_copy(update={"told_at": at, "updates": now.memory.updates + 1})
    return Decision(latest.reason, "updated", OpenEpisode(episode, memory), severity_rose=rose)


def _severity_by_time(now: OpenEpisode, *, at: datetime, policy: EpisodePolicy) -> tuple[OpenEpisode, bool]:
    """The episode with its severity raised by time, unless it is acknowledged; and whether that changed it."""
    episode = now.episode
    if episode.acknowledged_at is not None:
        return now, False
    minutes = (at - episode.fired_at).total_seconds() / 60
    reached: Severity = episode.severity
    steps: tuple[tuple[Severity, int | None], ...] = (
        ("error", policy.error_after_minutes),
        ("critical", policy.critical_after_minutes),
    )
    for severity, after in steps:
        if after is not None and minutes >= after:
            reached = max(reached, clamp_severity(severity, policy), key=SEVERITIES.index)
    if reached == episode.severity:
        return now, False
    return OpenEpisode(episode.model_copy(update={"severity": reached}), now.memory), True


def _resolve(before: OpenEpisode, latest: Evidence, *, at: datetime) -> Decision:
    closed = before.episode.model_copy(
        update={"state": "resolved", "resolved_at": at, "updated_at": at, "latest": latest}
    )
    return Decision(latest.reason, "resolved", closed=closed)


def evidence_of(
    finding: Finding, window: WindowCounts, *, examples: ReadPostEvidence = lambda _: NO_POST_EVIDENCE
) -> Evidence:
    """The evidence of *window* that people see."""
    shown, posts = replace(finding, window=window), examples(window)
    return Evidence(
        window_start=minute_start(window.first_minute),
        window_end=minute_start(window.last_minute + 1),
        posts=window.posts,
        negative_posts=window.negative_posts,
        authors=window.authors,
        negative_authors=window.negative_authors,
        negative_share=window.share,
        baseline_share=finding.baseline.share if finding.baseline is not None else 0.0,
        p_value=shown.p_value,
        nats=0.0 if finding.baseline is None else rise_nats(window, finding.baseline),
        expected_delay_minutes=_delay(finding),
        facet=finding.facet or None,
        reason=shown.reason,
        examples=list(posts.examples),
        sources=list(posts.sources),
        terms=list(posts.terms),
        copied_authors=window.copied,
        excluded_authors=window.excluded,
        one_text_accounts=posts.one_text_accounts,
        new_accounts=posts.new_accounts,
        shown_accounts=posts.accounts,
        terms_missing=posts.terms_missing,
        kept_posts=posts.kept,
    )


def evidence_without_posts(
    start: datetime, end: datetime, reason: str, *, p_value: float = 1.0, usual_authors: float | None = None
) -> Evidence:
    """The evidence of an episode about missing posts, or about the stream itself."""
    return Evidence(
        window_start=start,
        window_end=end,
        posts=0,
        negative_posts=0,
        authors=0,
        negative_authors=0,
        negative_share=0.0,
        baseline_share=0.0,
        p_value=p_value,
        usual_authors=usual_authors,
        reason=reason,
    )


def _delay(finding: Finding) -> float | None:
    usual = finding.baseline
    if usual is None:
        return None
    rise = 2 * usual.share if finding.facet else SHOWN_RISE
    return expected_delay(usual, finding.policy, rise=rise)


def severity_of(evidence: Evidence, policy: EpisodePolicy) -> Severity:
    """By the rise of the share over its baseline, or by its multiple of the baseline."""
    by_size: Severity = "warning"
    if _reaches(evidence, policy.critical_rise, policy.critical_ratio):
        by_size = "critical"
    elif _reaches(evidence, policy.error_rise, policy.error_ratio):
        by_size = "error"
    return clamp_severity(by_size, policy)


def _reaches(evidence: Evidence, wanted: float, ratio: float | None) -> bool:
    share, usual = evidence.negative_share, evidence.baseline_share
    if share - usual >= wanted:
        return True
    if ratio is None or share - usual < wanted * PART_OF_RISE:
        return False
    # One standard error less: five people of twenty are eight times three per cent, but may be chance.
    return share - math.sqrt(share * (1 - share) / max(evidence.authors, 1)) >= ratio * usual


def clamp_severity(severity: Severity, policy: EpisodePolicy) -> Severity:
    """*severity*, limited to the minimum and the maximum of the rule."""
    return min(max(severity, policy.min_severity, key=SEVERITIES.index), policy.max_severity, key=SEVERITIES.index)


def is_at_least(severity: Severity, minimum: Severity) -> bool:
    return SEVERITIES.index(severity) >= SEVERITIES.index(minimum)


def episode_key(brand: str, rule: str, start: datetime) -> str:
    """`brand:rule:start`, at most 255 characters: a long brand name loses its end, never the rule or the start."""
    tail = f":{rule}:{start.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
    return brand[: MAX_KEY_CHARS - len(tail)] + tail


def minute_start(minute: int) -> datetime:
    """The first instant of event-time *minute*."""
    return datetime.fromtimestamp(minute * MINUTE_MS / 1_000, UTC)
