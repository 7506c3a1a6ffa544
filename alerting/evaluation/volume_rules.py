"""Rule kind `volume`: learns what is usual for each brand, hour by hour, from the alerter's history."""

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_detector import WindowCounts
from alerting.detection.volume_detector import HOUR_SECONDS, SurgePolicy, detect_surge
from alerting.detection.volume_score import VolumeScorer
from alerting.episodes.example_posts import PostEvidence
from alerting.episodes.lifecycle import Decision, EpisodePolicy, OpenEpisode
from alerting.episodes.volume_lifecycle import decide_surge
from alerting.evaluation.rule_evaluator import BrandMinute, RuleContext, RuleViews
from alerting.rules.models import RuleSet, VolumeRule
from alerting.store.pending_commit import RuleDecision


class VolumeRuleTests:
    """One `VolumeScorer` for each brand. A new leader rebuilds them from the stored hours."""

    def __init__(self, history: HourHistory, surge: SurgePolicy, episode: EpisodePolicy) -> None:
        self._history = history
        self._surge = surge
        self._episode = episode
        self._scorers: dict[str, tuple[int, ZoneInfo, VolumeScorer]] = {}
        """By brand: the first hour that is not learnt yet, the time zone, and the scorer."""

    def decide(
        self,
        rule: VolumeRule,
        brand: str,
        windows: Sequence[WindowCounts],
        opened: OpenEpisode | None,
        *,
        minutes: int,
        stream_alive: bool,
        not_before: int | None,
        examples: Callable[[WindowCounts], PostEvidence],
    ) -> Decision | None:
        """The decision at the end of *windows*, *minutes* after the last one. None if none is open and none rises."""
        surge = rule.surge_policy(self._surge)
        found = detect_surge(
            windows,
            self._scorer(brand, before_hour=windows[-1].first_minute // 60),
            surge,
            stream_alive=stream_alive,
            not_before=not_before,
        )
        if opened is None and found.state != "surge":
            return None
        return decide_surge(
            brand,
            opened,
            found,
            minute=windows[-1].last_minute,
            minutes=minutes,
            surge=surge,
            policy=rule.episode_policy(self._episode),
            rule=rule.name,
            examples=examples,
        )

    def _scorer(self, brand: str, *, before_hour: int) -> VolumeScorer:
        """The scorer of *brand* after it learnt the hours before *before_hour*. Later calls must not go back."""
        # If the brand's time zone changed, it is learnt from the start.
        zone = self._history.zone(brand)
        known = self._scorers.get(brand)
        if known is None or known[1] is not zone:
            fresh = VolumeScorer(HOUR_SECONDS, self._surge.volume, zone=zone)
            first = self._history.first_hour(brand)
            if first is None:
                return fresh
            known = first, zone, fresh
        begin, _, scorer = known
        for hour in range(begin, before_hour):
            # An hour without posts of any brand is unknown. An hour with posts of other brands counts as zero.
            if self._history.is_alive(hour):
                scorer.score(float(hour * HOUR_SECONDS), float(self._history.people(brand, hour)))
        self._scorers[brand] = max(begin, before_hour), zone, scorer
        return scorer


class VolumeRuleEvaluator:
    """Rule kind `volume`."""

    def __init__(self, context: RuleContext) -> None:
        self._tests = VolumeRuleTests(context.history, context.policies.surge, context.policies.episode)
        self._post_evidence = context.post_evidence

    def read(self, rules: RuleSet, brands: Sequence[str], minutes: Sequence[int]) -> None:
        """Nothing to load: the windows and hours of all brands are read for every kind."""

    def decide(self, rules: RuleSet, minute: BrandMinute) -> list[RuleDecision]:
        brand = minute.brand
        decisions: list[RuleDecision] = []
        for rule in rules.rules:
            if not isinstance(rule, VolumeRule) or not rule.applies_to(brand):
                continue
            slot = brand, rule.name
            decision = self._tests.decide(
                rule,
                brand,
                minute.windows,
                minute.open_episodes.get(slot),
                minutes=minute.elapsed_minutes,
                stream_alive=minute.stream_alive and not minute.thin,
                not_before=minute.past.ends.get(slot),
                examples=lambda window: self._post_evidence.read_all(brand, window),
            )
            if decision is not None:
                decisions.append(RuleDecision(*slot, decision))
        return decisions

    def views(self) -> RuleViews:
        return RuleViews()
