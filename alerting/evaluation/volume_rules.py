"""Rules of kind `volume`: what is usual for each brand is learnt hour by hour from the alerter's history."""

from collections.abc import Callable, Mapping, Sequence
from zoneinfo import ZoneInfo

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_detector import WindowCounts
from alerting.detection.volume_detector import HOUR_SECONDS, SurgePolicy, detect_surge
from alerting.detection.volume_score import VolumeScorer
from alerting.episodes.example_posts import PostEvidence
from alerting.episodes.lifecycle import EpisodePolicy, OpenEpisode
from alerting.episodes.volume_lifecycle import decide_surge
from alerting.rules.models import RuleSet, VolumeRule
from alerting.store.pending_commit import EpisodeSlot, RuleDecision


class VolumeRuleEvaluator:
    """A `VolumeScorer` for each brand. A new leader learns the weeks anew from the hour panes."""

    def __init__(
        self,
        history: HourHistory,
        surge: SurgePolicy,
        episode: EpisodePolicy,
        examples: Callable[[str, WindowCounts], PostEvidence],
    ) -> None:
        self._history = history
        self._surge = surge
        self._episode = episode
        self._examples = examples
        self._watches: dict[str, tuple[int, ZoneInfo, VolumeScorer]] = {}
        """Up to which hour each has learnt, and on which clock."""

    def decide(
        self,
        rules: RuleSet,
        brand: str,
        windows: Sequence[WindowCounts],
        opened: Mapping[EpisodeSlot, OpenEpisode],
        ends: Mapping[EpisodeSlot, int],
        *,
        minutes: int,
        stream_alive: bool,
    ) -> list[RuleDecision]:
        """What the rules of this kind decide of *brand* at the end of its *windows*, *minutes* after the last time."""
        decided: list[RuleDecision] = []
        for rule in rules.rules:
            if not isinstance(rule, VolumeRule) or not rule.applies_to(brand):
                continue
            place = brand, rule.name
            surge = rule.surge_policy(self._surge)
            found = detect_surge(
                windows,
                self._watch(brand, before_hour=windows[-1].first_minute // 60),
                surge,
                stream_alive=stream_alive,
                not_before=ends.get(place),
            )
            if place not in opened and found.state != "surge":
                continue
            decision = decide_surge(
                brand,
                opened.get(place),
                found,
                minute=windows[-1].last_minute,
                minutes=minutes,
                surge=surge,
                policy=rule.episode_policy(self._episode),
                rule=rule.name,
                examples=lambda window: self._examples(brand, window),
            )
            decided.append(RuleDecision(brand, rule.name, decision))
        return decided

    def _watch(self, brand: str, *, before_hour: int) -> VolumeScorer:
        """The watch of *brand*, having learnt the hours before *before_hour*; later calls do not go back."""
        # A brand whose zone changed is learnt again.
        zone = self._history.zone(brand)
        held = self._watches.get(brand)
        if held is None or held[1] is not zone:
            fresh = VolumeScorer(HOUR_SECONDS, self._surge.volume, zone=zone)
            first = self._history.first_hour(brand)
            if first is None:
                return fresh
            held = first, zone, fresh
        begin, _, watch = held
        for hour in range(begin, before_hour):
            # An hour in which nobody was talked about is unknown; one in which others were is an hour of none.
            if self._history.is_alive(hour):
                watch.score(float(hour * HOUR_SECONDS), float(self._history.people(brand, hour)))
        self._watches[brand] = max(begin, before_hour), zone, watch
        return watch
