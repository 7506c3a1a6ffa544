"""Episodes of rule kind `volume`: fire once, update while the surge lasts, resolve after calm. Pure."""

import math
from datetime import datetime

from alerting.detection.volume_detector import SurgeFinding, SurgePolicy
from alerting.episodes.lifecycle import (
    NO_POST_EVIDENCE,
    Decision,
    EpisodePolicy,
    Memory,
    OpenEpisode,
    ReadPostEvidence,
    clamp_severity,
    episode_key,
    minute_start,
)
from brandpulse.schema.episodes import SEVERITIES, Episode, Evidence, Severity


def decide_surge(
    brand: str,
    before: OpenEpisode | None,
    finding: SurgeFinding,
    *,
    minute: int,
    minutes: int,
    surge: SurgePolicy,
    policy: EpisodePolicy,
    rule: str,
    examples: ReadPostEvidence = lambda _: NO_POST_EVIDENCE,
) -> Decision:
    """The decision at the end of event-time *minute*, *minutes* after the last one: fires once, resolves when calm."""
    at = minute_start(minute + 1)
    if before is None:
        if finding.state != "surge":
            return Decision("no evidence of a rise")
        return _fire(brand, rule, _evidence(finding, examples), _severity(finding, surge, policy), at=at)
    if finding.state in ("no data", "warming up"):
        return Decision("frozen: no data", after=before)
    if finding.state == "normal" and finding.ratio < 1 + (surge.min_ratio - 1) / 2:
        return _calm_down(before, _evidence(finding), at=at, minutes=minutes, policy=policy)
    return _still_up(before, finding, at=at, surge=surge, policy=policy, examples=examples)


def _calm_down(before: OpenEpisode, latest: Evidence, *, at: datetime, minutes: int, policy: EpisodePolicy) -> Decision:
    calm = before.memory.calm_minutes + minutes
    if calm < policy.calm_minutes:
        memory = before.memory.model_copy(update={"calm_minutes": calm})
        return Decision("calm so far", after=OpenEpisode(before.episode, memory))
    ended = {"state": "resolved", "resolved_at": at, "updated_at": at, "latest": latest}
    return Decision(latest.reason, "resolved", closed=before.episode.model_copy(update=ended))


def _still_up(
    before: OpenEpisode,
    finding: SurgeFinding,
    *,
    at: datetime,
    surge: SurgePolicy,
    policy: EpisodePolicy,
    examples: ReadPostEvidence,
) -> Decision:
    episode = before.episode
    memory = before.memory.model_copy(update={"calm_minutes": 0})
    severity = max(episode.severity, _severity(finding, surge, policy), key=SEVERITIES.index)
    rose = severity != episode.severity
    if finding.state == "surge" and finding.window.authors > episode.peak.authors:
        episode = episode.model_copy(update={"peak": _evidence(finding)})
    if not rose and (at - memory.told_at).total_seconds() < policy.update_minutes * 60:
        return Decision("still up", after=OpenEpisode(episode, memory))
    latest = _evidence(finding, examples)
    episode = episode.model_copy(update={"latest": latest, "updated_at": at, "severity": severity})
    memory = memory.model_copy(update={"told_at": at, "updates": memory.updates + 1})
    return Decision(latest.reason, "updated", OpenEpisode(episode, memory), severity_rose=rose)


def _fire(brand: str, rule: str, evidence: Evidence, severity: Severity, *, at: datetime) -> Decision:
    episode = Episode(
        key=episode_key(brand, rule, evidence.window_start),
        brand=brand,
        rule=rule,
        severity=severity,
        state="firing",
        started_at=evidence.window_start,
        fired_at=at,
        updated_at=at,
        first=evidence,
        peak=evidence,
        latest=evidence,
    )
    return Decision(evidence.reason, "triggered", OpenEpisode(episode, Memory(told_at=at)))


def _severity(finding: SurgeFinding, surge: SurgePolicy, policy: EpisodePolicy) -> Severity:
    by_size: Severity = "warning"
    if finding.state == "surge" and finding.ratio >= surge.error_ratio:
        by_size = "critical" if finding.ratio >= surge.critical_ratio else "error"
    return clamp_severity(by_size, policy)


def _evidence(finding: SurgeFinding, examples: ReadPostEvidence = lambda _: NO_POST_EVIDENCE) -> Evidence:
    """The evidence that people see. *examples* reads posts, so it is given only for notifications."""
    # The shares are informational: only the volume is tested.
    window = finding.window
    posts = examples(window)
    return Evidence(
        window_start=minute_start(window.first_minute),
        window_end=minute_start(window.last_minute + 1),
        posts=window.posts,
        negative_posts=window.negative_posts,
        authors=window.authors,
        negative_authors=window.negative_authors,
        negative_share=window.share,
        baseline_share=window.share,
        p_value=min(1.0, math.exp(-finding.surprise)),
        nats=finding.surprise,
        usual_authors=finding.usual,
        reason=finding.reason,
        examples=list(posts.examples),
        sources=list(posts.sources),
        terms=list(posts.terms),
        one_text_accounts=posts.one_text_accounts,
        new_accounts=posts.new_accounts,
        shown_accounts=posts.accounts,
        terms_missing=posts.terms_missing,
        kept_posts=posts.kept,
    )
