"""Rules of kind `facet_share`: the share of a brand's people who are in a facet, against its own past.

A facet's people are those of its own series of panes; the brand's people are everybody. So a window of the facet is the
brand's window with the facet's people where the negative ones stand, and all that judges shares judges it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_baseline import BaselinePolicy
from alerting.detection.share_detector import DetectPolicy, Finding, WindowCounts
from alerting.detection.sliding_windows import sliding_counts
from alerting.detection.slow_windows import slow_window_counts
from alerting.episodes.example_posts import PostEvidenceReader
from alerting.episodes.lifecycle import EpisodePolicy, OpenEpisode
from alerting.evaluation.minute_cache import MinuteCache
from alerting.evaluation.past_episodes import PastEpisodes
from alerting.evaluation.share_rules import ShareRuleTests
from alerting.rules.models import FacetShareRule, RuleSet
from alerting.store.pending_commit import EpisodeSlot, RuleDecision
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import brand_of, facet_of, facet_series
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import Pane

PRIOR_SHARE, PRIOR_RHO, RHO_FLOOR = 0.03, 0.01, 0.0005
"""Facets are small; and the smaller a share, the less over-dispersion the same unrest makes of it."""
NOBODY = AuthorCounts()
SHOWN_MINUTES = 60
"""Dashboards show the first window of so many minutes or more, of those that are counted anyway."""


@dataclass(frozen=True, slots=True)
class FacetView:
    """How a facet of a brand stood at the last evaluated minute: shares of the brand's people."""

    share: float
    usual: float | None
    """None while it is learnt, or where nobody was in it for the longest window."""


class FacetPanes(Protocol):
    """The part of `brandpulse.state.pane_reader.PaneReader` that is needed here."""

    def minutes(
        self, brands: Sequence[str], first_minute: int, last_minute: int, *, authors: bool = False
    ) -> dict[str, Minutes]: ...

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]: ...


class FacetHours:
    """What `HourHistory` reads of facets: everybody is the brand's people, negative are those in the facet."""

    def __init__(self, panes: FacetPanes, brands: HourHistory) -> None:
        """*brands* has read the hours that are asked for here."""
        self._panes = panes
        self._brands = brands
        self._begins: dict[str, int] = {}
        """First hour in which each facet was seen, of any brand. Before it nobody counted it: those hours are unknown,
        not empty. A facet that is new in the brands file would else page as a rise from nothing."""

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]:
        inside = self._panes.hour_authors(brands, first_hour, last_hour)
        for series, hours in inside.items():
            if hours:
                facet, first = facet_of(series), min(hours)
                self._begins[facet] = min(self._begins.get(facet, first), first)
        return {
            series: self._beside_everybody(series, hours, first_hour, last_hour) for series, hours in inside.items()
        }

    def _beside_everybody(
        self, series: str, hours: Mapping[int, AuthorCounts], first_hour: int, last_hour: int
    ) -> dict[int, AuthorCounts]:
        brand, begins = brand_of(series), self._begins.get(facet_of(series), last_hour + 1)
        return {
            hour: AuthorCounts(people, hours.get(hour, NOBODY).everyone)
            for hour in range(max(first_hour, begins), last_hour + 1)
            if (people := self._brands.people(brand, hour))
        }

    def hours(self, brands: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]:
        """None: what posts weigh says how negative they are, nothing of a facet."""
        return {}


def facet_baseline_policy(policy: BaselinePolicy) -> BaselinePolicy:
    """*policy* for shares of facets."""
    return replace(policy, prior_share=PRIOR_SHARE, prior_rho=PRIOR_RHO, rho_floor=min(policy.rho_floor, RHO_FLOOR))


def facet_history(panes: FacetPanes, brands: HourHistory, policy: BaselinePolicy) -> HourHistory:
    """Hours and baselines by facet series; read after *brands* at each turn."""
    return HourHistory(FacetHours(panes, brands), facet_baseline_policy(policy), zones=brands.zone)


class FacetRuleEvaluator:
    """Reads the series of the facets that rules name, and nothing where there are none."""

    def __init__(
        self,
        panes: FacetPanes,
        brands: HourHistory,
        *,
        baseline: BaselinePolicy,
        detect: DetectPolicy,
        episode: EpisodePolicy,
        shelf: PostEvidenceReader,
    ) -> None:
        self._panes = panes
        self._brands = brands
        self._baseline = baseline
        self._detect = detect
        self._tests = ShareRuleTests((FacetShareRule,), detect, episode)
        self._shelf = shelf
        self._watched: list[tuple[str, object]] = []
        self._recent = MinuteCache(panes)
        self._history = facet_history(panes, brands, baseline)
        self._windows: dict[str, list[list[WindowCounts]]] = {}
        """By series: of each width, the window that ends with each minute of the stretch."""
        self._seen: dict[str, tuple[Sequence[WindowCounts], Finding] | None] = {}
        """By series, of the last minute in which somebody was in it or an episode was open; None: of none."""
        self._last_minute = 0

    def read(self, rules: RuleSet, brands: Sequence[str], minutes: Sequence[int]) -> None:
        """Have the windows that end with each of *minutes* (rising), after the history of *brands* was read."""
        tests = self._tests.of(rules)
        watched: list[tuple[str, object]] = [(test.facet, test.rule.brands) for test in tests]
        if watched != self._watched:
            # Series that nobody watched for a while have a hole in their minutes.
            self._watched = watched
            self._recent = MinuteCache(self._panes)
            self._history = facet_history(self._panes, self._brands, self._baseline)
        self._windows, self._seen, self._last_minute = {}, {}, minutes[-1]
        series = sorted({facet_series(b, test.facet) for test in tests for b in brands if test.rule.applies_to(b)})
        if not series:
            return
        widths = self._detect.windows
        read = self._recent.read(series, minutes[0] - widths[-1] + 1, minutes[-1])
        self._history.read(series, before_hour=(minutes[-1] - widths[-1] + 1) // 60)
        self._windows = {
            one: [sliding_counts(read[one], width, minutes) for width in widths] for one in series if read[one].panes
        }

    def decide(
        self,
        rules: RuleSet,
        brand: str,
        windows: Sequence[WindowCounts],
        opened: Mapping[EpisodeSlot, OpenEpisode],
        past: PastEpisodes,
        *,
        at: int,
        minutes: int,
        stream_alive: bool,
        thin: bool = False,
    ) -> list[RuleDecision]:
        """What the rules of this kind decide of *brand* at the end of its *windows*: the minute *at* of the stretch."""
        decided: list[RuleDecision] = []
        for test in self._tests.of(rules):
            if not test.rule.applies_to(brand):
                continue
            place, series = (brand, test.rule.name), facet_series(brand, test.facet)
            inside = self._windows.get(series)
            if place not in opened and (inside is None or not inside[-1][at].authors):
                # Nobody in it for three hours: there is no rise that is still there.
                self._seen.setdefault(series, None)
                continue
            seen = [
                within(everybody, None if inside is None else inside[width][at])
                for width, everybody in enumerate(windows)
            ]
            usual = self._history.usual_week(
                series, window_starts=seen[-1].first_minute, incidents=past.incidents(brand, test.rule.name)
            )
            found = test.find(
                seen,
                usual,
                slow=slow_window_counts(seen[-1], self._history, series, test.detect.slow_hours),
                stream_alive=stream_alive,
                not_before=past.ends.get(place),
            )
            self._seen[series] = seen, found
            decision = test.decide(
                brand,
                opened.get(place),
                found,
                minute=seen[-1].last_minute,
                minutes=minutes,
                examples=lambda window, series=series: self._shelf.read(series, window),  # type: ignore[misc]
                thin=thin,
            )
            if decision is not None:
                decided.append(RuleDecision(*place, decision))
        return decided

    def views(self) -> dict[str, FacetView]:
        """By series: how the facets of the brands somebody talks about stood at the last minute of the stretch."""
        return {
            series: FacetView(0.0, None) if one is None or one[0][-1].last_minute < self._last_minute else _view(*one)
            for series, one in self._seen.items()
        }


def _view(windows: Sequence[WindowCounts], found: Finding) -> FacetView:
    shown = next((window for window in windows if window.width >= SHOWN_MINUTES), windows[-1])
    return FacetView(shown.share, found.learnt.share if found.learnt else None)


def within(everybody: WindowCounts, facet: WindowCounts | None) -> WindowCounts:
    """The window of *everybody* with the people and posts of *facet* as the negative ones; None: it has none."""
    return WindowCounts(
        last_minute=everybody.last_minute,
        width=everybody.width,
        posts=everybody.posts,
        negative_posts=0 if facet is None else min(facet.posts, everybody.posts),
        authors=everybody.authors,
        # Both are estimates, and err apart.
        negative_authors=0 if facet is None else min(facet.authors, everybody.authors),
    )
