"""Rules about a share of a brand's people: of the negative ones (`negative_share`), or of those in a facet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_detector import (
    BaselineSource,
    DetectPolicy,
    Finding,
    WindowCounts,
    alarm_levels,
    detect_rise,
)
from alerting.detection.slow_windows import slow_window_counts
from alerting.episodes.example_posts import PostEvidence
from alerting.episodes.lifecycle import Decision, EpisodePolicy, OpenEpisode, decide
from alerting.evaluation.past_episodes import PastEpisodes
from alerting.rules.models import FacetShareRule, NegativeShareRule, RuleSet
from alerting.store.pending_commit import EpisodeSlot, RuleDecision

Show = Callable[[str, WindowCounts], PostEvidence]
"""A brand's or a facet's series, and a window -> what the kept posts of it show."""


@dataclass(frozen=True, slots=True)
class ShareRuleTest:
    """A rule, with what the settings say where it says nothing."""

    rule: NegativeShareRule | FacetShareRule
    detect: DetectPolicy
    episode: EpisodePolicy

    @property
    def facet(self) -> str:
        """Whose people are counted; empty: the negative ones."""
        return self.rule.facet if isinstance(self.rule, FacetShareRule) else ""

    def find(
        self,
        windows: Sequence[WindowCounts],
        usual: BaselineSource | None,
        *,
        slow: Sequence[WindowCounts],
        stream_alive: bool,
        not_before: int | None,
    ) -> Finding:
        """As `detect_rise`; the people counted as negative are those of the facet, where there is one."""
        found = detect_rise(
            windows,
            usual,
            self.detect,
            levels=alarm_levels(self.detect),
            slow=slow,
            stream_alive=stream_alive,
            not_before=not_before,
        )
        return replace(found, facet=self.facet) if self.facet else found

    def decide(
        self,
        brand: str,
        opened: OpenEpisode | None,
        found: Finding,
        *,
        minute: int,
        minutes: int,
        examples: Callable[[WindowCounts], PostEvidence],
        thin: bool = False,
    ) -> Decision | None:
        """What *found* does to the brand's episode; None where none is open and nothing rose."""
        if opened is None and found.state != "spike":
            return None
        return decide(
            brand,
            opened,
            found,
            minute=minute,
            minutes=minutes,
            policy=self.episode,
            rule=self.rule.name,
            examples=examples,
            thin=thin,
        )


class ShareRuleTests:
    """The tests of some kinds of rules, made anew when the rules change."""

    def __init__(
        self, kinds: tuple[type[NegativeShareRule | FacetShareRule], ...], detect: DetectPolicy, episode: EpisodePolicy
    ) -> None:
        self._kinds = kinds
        self._detect = detect
        self._episode = episode
        self._made_of: RuleSet | None = None
        self._tests: list[ShareRuleTest] = []

    def of(self, rules: RuleSet) -> Sequence[ShareRuleTest]:
        if rules is not self._made_of:
            self._made_of = rules
            self._tests = [
                ShareRuleTest(rule, rule.detect_policy(self._detect), rule.episode_policy(self._episode))
                for rule in rules.rules
                if isinstance(rule, NegativeShareRule | FacetShareRule) and isinstance(rule, self._kinds)
            ]
        return self._tests


class ShareRuleEvaluator:
    """Rules of kind `negative_share`."""

    def __init__(self, history: HourHistory, detect: DetectPolicy, episode: EpisodePolicy, show: Show) -> None:
        self._history = history
        self._slow_hours = detect.slow_hours
        self._tests = ShareRuleTests((NegativeShareRule,), detect, episode)
        self._show = show

    def decide(
        self,
        rules: RuleSet,
        brand: str,
        windows: Sequence[WindowCounts],
        opened: Mapping[EpisodeSlot, OpenEpisode],
        past: PastEpisodes,
        *,
        minutes: int,
        stream_alive: bool,
        thin: bool = False,
    ) -> tuple[Finding | None, list[RuleDecision]]:
        """What the rules of this kind decide of *brand* at the end of its *windows*, *minutes* after the last time.

        First what the first of them found; None where none watches the brand.
        """
        longest = windows[-1]
        tests = [test for test in self._tests.of(rules) if test.rule.applies_to(brand)]
        if not tests:
            return None, []
        first: Finding | None = None
        decided: list[RuleDecision] = []
        usual = self._history.usual_week(
            brand, window_starts=longest.first_minute, incidents=past.incidents(brand, tests[0].rule.name)
        )
        slow = slow_window_counts(longest, self._history, brand, self._slow_hours)
        for test in tests:
            place = brand, test.rule.name
            found = test.find(windows, usual, slow=slow, stream_alive=stream_alive, not_before=past.ends.get(place))
            first = found if first is None else first
            decision = test.decide(
                brand,
                opened.get(place),
                found,
                minute=longest.last_minute,
                minutes=minutes,
                examples=lambda window: self._show(brand, window),
                thin=thin,
            )
            if decision is not None:
                decided.append(RuleDecision(*place, decision))
        return first, decided
