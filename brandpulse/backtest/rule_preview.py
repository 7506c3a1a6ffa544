"""Replays rules over the stored history, hour by hour: how often would they have paged?

Redis stores hours for 90 days, but minutes and their authors for hours only. So windows are whole hours, an author has
one vote in each, and a page comes at the end of its hour: a surge shorter than an hour may be missed, and delays are
longer than in the alerter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_baseline import Span
from alerting.detection.share_detector import DetectPolicy, WindowCounts
from alerting.detection.slow_windows import slow_window_counts
from alerting.episodes.lifecycle import NO_POST_EVIDENCE, Decision, OpenEpisode
from alerting.evaluation.facet_rules import facet_history
from alerting.evaluation.policies import Policies
from alerting.evaluation.share_rules import ShareRuleTest
from alerting.evaluation.volume_rules import VolumeRuleTests
from alerting.rules.brand_zones import Zones
from alerting.rules.models import FacetShareRule, NegativeShareRule, Rule, RuleSet
from alerting.store.pending_commit import EpisodeSlot
from brandpulse.backtest.backtest import PastEpisode
from brandpulse.backtest.charts.brand_chart import write_brand_chart
from brandpulse.backtest.charts.hourly_series import hour_points
from brandpulse.runtime.local_hours import UTC
from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import HOUR_MS, facet_series
from brandpulse.state.pane_reader import PaneReader

HOURS = (1, 3)
"""Widths of the windows, in hours."""


def preview_history(
    reader: PaneReader,
    rules: RuleSet,
    *,
    policies: Policies,
    zones: Zones,
    last_hour: int,
    days: int,
    charts: Path | None = None,
) -> dict[str, list[Episode]]:
    """Brand -> the episodes of *rules* over the *days* that end with *last_hour*. *charts*: folder for a chart each."""
    brands, first_hour = reader.brands(), last_hour - days * 24 + 1
    since_hour = last_hour - (days + policies.baseline.days) * 24
    history = HourHistory(reader, policies.baseline, zones=lambda brand: zones.get(brand, UTC))
    history.read(brands, before_hour=last_hour + 1, since_hour=since_hour)
    facets = facet_history(reader, history, policies.baseline)
    facets.read(watched_facet_series(rules, brands), before_hour=last_hour + 1, since_hour=since_hour)
    found = {}
    for brand in brands:
        episodes = found[brand] = preview_rules(
            history, facets, brand, first_hour=first_hour, last_hour=last_hour, rules=rules, policies=policies
        )
        if charts is not None:
            hours = reader.hours([brand], first_hour, last_hour)[brand]
            points = hour_points(history, brand, hours, policy=hourly_policy(policies.detect), episodes=episodes)
            past = [PastEpisode(episode, episode.fired_at, episode.resolved_at) for episode in episodes]
            write_brand_chart(charts, brand, points, past)
    return found


def preview_rules(
    history: HourHistory,
    facets: HourHistory,
    brand: str,
    *,
    first_hour: int,
    last_hour: int,
    rules: RuleSet,
    policies: Policies,
) -> list[Episode]:
    """The episodes of *rules* about *brand*, in order of time; the last may still be firing.

    *history* has read the hours from four weeks before *first_hour* to *last_hour*; *facets* the same hours of the
    series of `watched_facet_series`.
    """
    surges = VolumeRuleTests(history, policies.surge, policies.episode)
    found: list[Episode] = []
    for rule in rules.rules:
        if rule.applies_to(brand):
            hours = range(first_hour, last_hour + 1)
            shares = facets if isinstance(rule, FacetShareRule) else history
            found += _episodes(brand, rule, hours, history=history, shares=shares, surges=surges, policies=policies)
    return sorted(found, key=lambda episode: (episode.fired_at, episode.key))


def watched_facet_series(rules: RuleSet, brands: Sequence[str]) -> list[str]:
    """Series of the facets of *brands* that *rules* watch."""
    return sorted(
        {
            facet_series(brand, rule.facet)
            for rule in rules.rules
            if isinstance(rule, FacetShareRule)
            for brand in brands
            if rule.applies_to(brand)
        }
    )


def _episodes(
    brand: str,
    rule: Rule,
    hours: range,
    *,
    history: HourHistory,
    shares: HourHistory,
    surges: VolumeRuleTests,
    policies: Policies,
) -> Iterator[Episode]:
    series = facet_series(brand, rule.facet) if isinstance(rule, FacetShareRule) else brand
    opened: OpenEpisode | None = None
    spans: list[Span] = []
    ends: dict[EpisodeSlot, int] = {}
    place = brand, rule.name
    for hour in hours:
        windows = [_window(shares, series, hour, width) for width in HOURS]
        decision: Decision | None
        if isinstance(rule, NegativeShareRule | FacetShareRule):
            detect = hourly_policy(rule.detect_policy(policies.detect))
            test = ShareRuleTest(rule, detect, rule.episode_policy(policies.episode))
            finding = test.find(
                windows,
                shares.usual_week(series, window_starts=windows[-1].first_minute, incidents=spans),
                slow=slow_window_counts(windows[-1], shares, series, detect.slow_hours),
                stream_alive=history.is_alive(hour),
                not_before=ends.get(place),
            )
            decision = test.decide(
                brand, opened, finding, minute=hour * 60 + 59, minutes=60, examples=lambda _: NO_POST_EVIDENCE
            )
        else:
            decision = surges.decide(
                rule,
                brand,
                windows,
                opened,
                minutes=60,
                stream_alive=history.is_alive(hour),
                not_before=ends.get(place),
                examples=lambda _: NO_POST_EVIDENCE,
            )
        if decision is None:
            continue
        opened = decision.after
        if decision.closed is not None:
            ends[place] = (hour + 1) * 60
            spans.append((int(decision.closed.started_at.timestamp() * 1_000), (hour + 1) * HOUR_MS))
            yield decision.closed
    if opened is not None:
        yield opened.episode


def hourly_policy(detect: DetectPolicy) -> DetectPolicy:
    """*detect* with whole hours as windows, which share its whole false-alarm budget."""
    return replace(detect, windows=tuple(60 * width for width in HOURS))


def _window(history: HourHistory, brand: str, hour: int, width: int) -> WindowCounts:
    votes, weight = history.votes(brand, hour - width + 1, hour)
    return WindowCounts(
        last_minute=hour * 60 + 59,
        width=60 * width,
        posts=votes.everyone,
        negative_posts=votes.negative,
        authors=votes.everyone,
        negative_authors=votes.negative,
        weight=weight,
    )


def pages_by_rule(
    rules: RuleSet, episodes: Sequence[Episode], *, brands: int, days: float
) -> list[tuple[str, int, float]]:
    """For each rule: its name, its pages, and its pages per brand in four weeks."""
    counts = {rule.name: sum(episode.rule == rule.name for episode in episodes) for rule in rules.rules}
    return [(name, pages, pages / max(brands, 1) / max(days, 1e-9) * 28) for name, pages in counts.items()]
