"""How often rules would have fired over the stored history: the same tests and episodes, hour by hour.

Minutes and their people are stored for hours only, hours for 90 days. So windows here are whole hours, an author has
one vote in each, and a page comes at the end of its hour: surges of less than an hour may be missed, and delays are not
what they are in life.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from alerting.baseline import Span
from alerting.detect import DetectPolicy, WindowCounts, alarm_levels, judge
from alerting.episode import NO_POSTS, OpenEpisode, decide
from alerting.history import HourHistory
from alerting.rules import NegativeShareRule, Rule, RuleSet
from alerting.slow import slow_counts
from alerting.stretch import Place
from alerting.surge_rules import SurgeRules
from alerting.tick import Policies
from brandpulse.episodes import Episode
from brandpulse.keys import HOUR_MS

HOURS = (1, 3)
"""The windows: whole hours that end now."""


def preview(
    history: HourHistory, brand: str, *, first_hour: int, last_hour: int, rules: RuleSet, policies: Policies
) -> list[Episode]:
    """The episodes that *rules* would have had about *brand*, in order of time; the last may still be firing.

    *history* has read the hours from four weeks before *first_hour* to *last_hour*.
    """
    surges = SurgeRules(history, policies.surge, policies.episode, lambda _brand, _window: NO_POSTS)
    found: list[Episode] = []
    for rule in rules.rules:
        if rule.applies_to(brand):
            hours = range(first_hour, last_hour + 1)
            found += _episodes(brand, rule, hours, history=history, surges=surges, policies=policies)
    return sorted(found, key=lambda episode: (episode.fired_at, episode.key))


def _episodes(
    brand: str, rule: Rule, hours: range, *, history: HourHistory, surges: SurgeRules, policies: Policies
) -> Iterator[Episode]:
    rules = RuleSet(rules=(rule,))
    opened: OpenEpisode | None = None
    spans: list[Span] = []
    ends: dict[Place, int] = {}
    place = brand, rule.name
    for hour in hours:
        windows = [_window(history, brand, hour, width) for width in HOURS]
        if isinstance(rule, NegativeShareRule):
            detect = hourly(rule.detect_policy(policies.detect))
            finding = judge(
                windows,
                history.past(brand, window_starts=windows[-1].first_minute, incidents=spans),
                detect,
                levels=alarm_levels(detect),
                slow=slow_counts(windows[-1], history, brand, detect.slow_hours),
                stream_alive=history.is_alive(hour),
                not_before=ends.get(place),
            )
            if opened is None and finding.state != "spike":
                continue
            decision = decide(
                brand,
                opened,
                finding,
                minute=hour * 60 + 59,
                minutes=60,
                policy=rule.episode_policy(policies.episode),
                rule=rule.name,
            )
        else:
            decided = surges.decide(
                rules,
                brand,
                windows,
                {} if opened is None else {place: opened},
                ends,
                minutes=60,
                stream_alive=history.is_alive(hour),
            )
            if not decided:
                continue
            decision = decided[0].decision
        opened = decision.after
        if decision.closed is not None:
            ends[place] = (hour + 1) * 60
            spans.append((int(decision.closed.started_at.timestamp() * 1_000), (hour + 1) * HOUR_MS))
            yield decision.closed
    if opened is not None:
        yield opened.episode


def hourly(detect: DetectPolicy) -> DetectPolicy:
    """*detect* with whole hours as windows, the whole budget theirs."""
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


def rules_told(
    rules: RuleSet, episodes: Sequence[Episode], *, brands: int, days: float
) -> list[tuple[str, int, float]]:
    """Of each rule: its name, how many pages, and how many that makes per brand in four weeks."""
    counts = {rule.name: sum(episode.rule == rule.name for episode in episodes) for rule in rules.rules}
    return [(name, many, many / max(brands, 1) / max(days, 1e-9) * 28) for name, many in counts.items()]
