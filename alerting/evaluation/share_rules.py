"""Rule kind `negative_share`, and the test that it shares with `facet_share`."""

from collections.abc import Callable, Sequence
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
from alerting.evaluation.rule_evaluator import BrandMinute, RuleContext, RuleViews
from alerting.rules.models import FacetShareRule, NegativeShareRule, RuleSet
from alerting.store.pending_commit import RuleDecision


@dataclass(frozen=True, slots=True)
class ShareRuleTest:
    """A rule with its policies: the rule's own values, and the settings' where the rule has none."""

    rule: NegativeShareRule | FacetShareRule
    detect: DetectPolicy
    episode: EpisodePolicy

    @property
    def facet(self) -> str:
        """The facet whose people are counted; empty: the negative people."""
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
        """The result of `detect_rise`. For a facet rule, *windows* count the facet's people as the negative ones."""
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
        """What *found* does to the brand's episode. None if no episode is open and the share did not rise."""
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
    """The tests of some rule kinds, rebuilt when the rules change."""

    def __init__(
        self, kinds: tuple[type[NegativeShareRule | FacetShareRule], ...], detect: DetectPolicy, episode: EpisodePolicy
    ) -> None:
        self._kinds = kinds
        self._detect = detect
        self._episode = episode
        self._rules: RuleSet | None = None
        self._tests: list[ShareRuleTest] = []

    def for_rules(self, rules: RuleSet) -> Sequence[ShareRuleTest]:
        """One test for each rule of these kinds, in the order of *rules*."""
        if rules is not self._rules:
            self._rules = rules
            self._tests = [
                ShareRuleTest(rule, rule.detect_policy(self._detect), rule.episode_policy(self._episode))
                for rule in rules.rules
                if isinstance(rule, NegativeShareRule | FacetShareRule) and isinstance(rule, self._kinds)
            ]
        return self._tests


FLOOD_AUTHORS = 40
"""People of a window; fewer are no flood, whatever is usual."""
FLOOD_RATIO = 2.0
"""From this multiple of the usual people on, copies that are not negative may hide a rise."""
COMPARED_DAYS = 7


def is_flooded(history: HourHistory, brand: str, windows: Sequence[WindowCounts]) -> bool:
    """Whether one of *windows* has far more people than the same hours of the days before; False if these are not
    known."""
    crowded = [window for window in windows if window.authors >= FLOOD_AUTHORS]
    if not crowded:
        return False
    first, hours = windows[-1].first_minute // 60, -(-windows[-1].width // 60)
    days = [
        sum(history.people(brand, hour - 24 * day) for hour in range(first, first + hours))
        for day in range(1, COMPARED_DAYS + 1)
    ]
    known = [people / hours for people in days if people]
    if not known:
        return False
    an_hour = sum(known) / len(known)
    return any(window.authors > FLOOD_RATIO * an_hour * window.width / 60 for window in crowded)


class ShareRuleEvaluator:
    """Rule kind `negative_share`."""

    def __init__(self, context: RuleContext) -> None:
        detect, episode = context.policies.detect, context.policies.episode
        self._history = context.history
        self._slow_hours = detect.slow_hours
        self._tests = ShareRuleTests((NegativeShareRule,), detect, episode)
        self._post_evidence = context.post_evidence
        self._votes = context.votes
        self._findings: dict[str, Finding] = {}
        """By brand: the last finding of the first rule that watches it."""

    def read(self, rules: RuleSet, brands: Sequence[str], minutes: Sequence[int]) -> None:
        """Nothing to load: the windows and hours of all brands are read for every kind."""
        self._findings = {}

    def decide(self, rules: RuleSet, minute: BrandMinute) -> list[RuleDecision]:
        brand, windows, past = minute.brand, minute.windows, minute.past
        tests = [test for test in self._tests.for_rules(rules) if test.rule.applies_to(brand)]
        if not tests:
            return []
        longest = windows[-1]
        usual = self._history.usual_week(
            brand, window_starts=longest.first_minute, incidents=past.incidents(brand, tests[0].rule.name)
        )
        slow = slow_window_counts(longest, self._history, brand, self._slow_hours)
        reviewed: tuple[Sequence[WindowCounts], Sequence[WindowCounts]] | None = None
        decisions: list[RuleDecision] = []
        for number, test in enumerate(tests):
            slot = brand, test.rule.name
            found = test.find(
                windows, usual, slow=slow, stream_alive=minute.stream_alive, not_before=past.ends.get(slot)
            )
            if found.state == "spike" or slot in minute.open_episodes or is_flooded(self._history, brand, windows):
                if reviewed is None:
                    reviewed = self._votes.review(brand, windows, self._history, self._slow_hours)
                found = test.find(
                    reviewed[0],
                    usual,
                    slow=reviewed[1],
                    stream_alive=minute.stream_alive,
                    not_before=past.ends.get(slot),
                )
            if number == 0:
                self._findings[brand] = found
            decision = test.decide(
                brand,
                minute.open_episodes.get(slot),
                found,
                minute=longest.last_minute,
                minutes=minute.elapsed_minutes,
                examples=lambda window: self._post_evidence.read(brand, window),
                thin=minute.thin,
            )
            if decision is not None:
                decisions.append(RuleDecision(*slot, decision))
        return decisions

    def views(self) -> RuleViews:
        return RuleViews(findings=self._findings)
