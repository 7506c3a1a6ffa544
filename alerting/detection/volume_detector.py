"""Is a brand talked about by more people than is usual for it? The rule kind `volume`, in the alerter.

The same evidence as `brandpulse backtest counts` (`alerting.detection.volume_score`), on people instead of posts: one author has one
vote an hour, so neither a flood by one nor a redelivery is a surge. What is usual, how much it varies, and how often
such an hour comes, are learnt from the brand's hours; a hot hour is cut before it is learnt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from alerting.detection.share_detector import WindowCounts
from alerting.detection.volume_score import VolumePolicy, VolumeWatch
from alerting.episodes.lifecycle import (
    NO_POSTS,
    Decision,
    EpisodePolicy,
    Examples,
    Memory,
    OpenEpisode,
    episode_key,
    moment,
    within,
)
from brandpulse.schema.episodes import SEVERITIES, Episode, Evidence, Severity

HOUR_SECONDS = 3_600
SLIDES = math.log(4)
"""What is usual was learnt of whole hours. Windows that slide through an hour reach its worst stretch: about as often
beyond a high level as four hours would."""


@dataclass(frozen=True, slots=True)
class SurgePolicy:
    """What counts as a surge. Windows are those of the share rule."""

    false_alarms: float = 1.0
    """Expected false pages per brand in four weeks."""
    least_minutes: int = 20
    """Shorter windows see mostly noise."""
    min_authors: int = 20
    min_ratio: float = 2.0
    """Less than so many times what is usual is no news, however rare."""
    error_ratio: float = 5.0
    critical_ratio: float = 20.0
    volume: VolumePolicy = field(default_factory=lambda: VolumePolicy(window_minutes=60))

    @property
    def alarm_surprise(self) -> float:
        return SLIDES + math.log(4 * 7 * 24 * self.volume.tail.part / self.false_alarms)


State = Literal["no data", "warming up", "normal", "surge"]


@dataclass(frozen=True, slots=True)
class SurgeFinding:
    """What one minute's look at one brand found."""

    state: State
    window: WindowCounts
    usual: float = 0.0
    """People usual in a window like it."""
    surprise: float = 0.0
    """How far out on the brand's own tail, `alerting.detection.volume_tail`."""

    @property
    def ratio(self) -> float:
        return self.window.authors / max(self.usual, 1e-3)

    @property
    def reason(self) -> str:
        """One sentence for a person."""
        people = f"{self.window.authors} people in {self.window.width} minutes"
        if self.state == "no data":
            return "No posts came: nothing can be said."
        if self.state == "warming up":
            return f"Still learning what is usual: {people}."
        usual = f"{people} wrote about it where {self.usual:.1f} are usual"
        return f"Volume rose: {usual}, {self.ratio:.1f} times as many." if self.state == "surge" else f"{usual}."


def judge_surge(
    windows: Sequence[WindowCounts],
    watch: VolumeWatch,
    policy: SurgePolicy,
    *,
    stream_alive: bool = True,
    not_before: int | None = None,
) -> SurgeFinding:
    """The finding of one minute from its *windows*, shortest first. *watch* has learnt the hours before the longest."""
    if not stream_alive:
        return SurgeFinding("no data", windows[-1])
    looked = [_weighed(window, watch) for window in windows if window.width >= policy.least_minutes]
    known = [one for one in looked if one is not None]
    if not known:
        return SurgeFinding("warming up", windows[-1])
    fresh = known[0]
    rises = [
        one
        for one in known
        if one.surprise >= policy.alarm_surprise
        and one.window.authors >= policy.min_authors
        and one.ratio >= policy.min_ratio
        and (not_before is None or one.window.first_minute >= not_before)
    ]
    # The freshest window must still show half of it: else the surge of two hours ago fires now.
    if rises and fresh.ratio >= 1 + (max(one.ratio for one in rises) - 1) / 4:
        best = max(rises, key=lambda one: one.surprise)
        return SurgeFinding("surge", best.window, best.usual, best.surprise)
    return fresh


def _weighed(window: WindowCounts, watch: VolumeWatch) -> SurgeFinding | None:
    usual, minute = 0.0, window.first_minute
    while minute <= window.last_minute:
        hour = minute // 60
        end = min((hour + 1) * 60, window.last_minute + 1)
        an_hour = _usual_rate(hour, watch, whole=end - minute == 60)
        if an_hour is None:
            return None
        usual += an_hour * (end - minute) / 60
        minute = end
    surprise = watch.surprise(window.authors, usual)
    return None if surprise is None else SurgeFinding("normal", window, usual, surprise)


def _usual_rate(hour: int, watch: VolumeWatch, *, whole: bool) -> float | None:
    """People usual in *hour*; of a part of it, as many as in the busiest of it and its two neighbours.

    Whole hours are what is learnt. Where in an hour a morning begins, or half an hour of a zone, is not known.
    """
    at = float(hour * HOUR_SECONDS)
    if not watch.knows(at):
        return None
    near = (at,) if whole else (at, at - HOUR_SECONDS, at + HOUR_SECONDS)
    return max((usual for moment in near if (usual := watch.usual_at(moment)) is not None), default=None)


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
    examples: Examples = lambda _: NO_POSTS,
) -> Decision:
    """The decision at the end of event-time *minute*, *minutes* after the last one: fires once, resolves when calm."""
    at = moment(minute + 1)
    if before is None:
        if finding.state != "surge":
            return Decision("no evidence of a rise")
        return _fire(brand, rule, _proof(finding, examples), _severity(finding, surge, policy), at=at)
    if finding.state in ("no data", "warming up"):
        return Decision("frozen: no data", after=before)
    if finding.state == "normal" and finding.ratio < 1 + (surge.min_ratio - 1) / 2:
        return _calm_down(before, _proof(finding), at=at, minutes=minutes, policy=policy)
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
    examples: Examples,
) -> Decision:
    episode = before.episode
    memory = before.memory.model_copy(update={"calm_minutes": 0})
    severity = max(episode.severity, _severity(finding, surge, policy), key=SEVERITIES.index)
    rose = severity != episode.severity
    if finding.state == "surge" and finding.window.authors > episode.peak.authors:
        episode = episode.model_copy(update={"peak": _proof(finding)})
    if not rose and (at - memory.told_at).total_seconds() < policy.update_minutes * 60:
        return Decision("still up", after=OpenEpisode(episode, memory))
    latest = _proof(finding, examples)
    episode = episode.model_copy(update={"latest": latest, "updated_at": at, "severity": severity})
    memory = memory.model_copy(update={"told_at": at, "updates": memory.updates + 1})
    return Decision(latest.reason, "updated", OpenEpisode(episode, memory), severity_rose=rose)


def _fire(brand: str, rule: str, proof: Evidence, severity: Severity, *, at: datetime) -> Decision:
    episode = Episode(
        key=episode_key(brand, rule, proof.window_start),
        brand=brand,
        rule=rule,
        severity=severity,
        state="firing",
        started_at=proof.window_start,
        fired_at=at,
        updated_at=at,
        first=proof,
        peak=proof,
        latest=proof,
    )
    return Decision(proof.reason, "triggered", OpenEpisode(episode, Memory(told_at=at)))


def _severity(finding: SurgeFinding, surge: SurgePolicy, policy: EpisodePolicy) -> Severity:
    by_size: Severity = "warning"
    if finding.state == "surge" and finding.ratio >= surge.error_ratio:
        by_size = "critical" if finding.ratio >= surge.critical_ratio else "error"
    return within(by_size, policy)


def _proof(finding: SurgeFinding, examples: Examples = lambda _: NO_POSTS) -> Evidence:
    """The numbers, as people get them. *examples* cost a read: handed in only where people are told."""
    # Shares stand beside the volume; nothing was tested of them.
    window = finding.window
    posts = examples(window)
    return Evidence(
        window_start=moment(window.first_minute),
        window_end=moment(window.last_minute + 1),
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
        terms_missing=posts.terms_missing,
        kept_posts=posts.kept,
    )
