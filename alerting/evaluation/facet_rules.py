"""Rule kind `facet_share`: the share of a brand's people who are in a facet, against its own past.

The facet's own series of panes gives its people, the brand's series gives everybody. A facet window is the brand's
window with the facet's people in place of the negative ones, so the share detector works on it unchanged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_baseline import BaselinePolicy
from alerting.detection.share_detector import Finding, WindowCounts
from alerting.detection.sliding_windows import sliding_counts
from alerting.detection.slow_windows import slow_window_counts
from alerting.evaluation.minute_cache import MinuteCache
from alerting.evaluation.rule_evaluator import BrandMinute, FacetView, RuleContext, RuleViews
from alerting.evaluation.share_rules import ShareRuleTests
from alerting.rules.models import FacetShareRule, RuleSet
from alerting.store.pending_commit import RuleDecision
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import brand_of, facet_of, facet_series
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import Pane

PRIOR_SHARE, PRIOR_RHO, RHO_FLOOR = 0.03, 0.01, 0.0005
"""Facets are small shares, and small shares are less over-dispersed."""
NO_AUTHORS = AuthorCounts()
SHOWN_MINUTES = 60
"""Dashboards show the shortest window of at least this width."""


class FacetPanes(Protocol):
    """The part of `brandpulse.state.pane_reader.PaneReader` that is needed here."""

    def minutes(
        self, brands: Sequence[str], first_minute: int, last_minute: int, *, authors: bool = False
    ) -> dict[str, Minutes]: ...

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]: ...


class FacetHours:
    """The hours that `HourHistory` reads of facets: the brand's people, and those in the facet as the negative ones."""

    def __init__(self, panes: FacetPanes, brands: HourHistory) -> None:
        """*brands* must have read the hours that are requested here."""
        self._panes = panes
        self._brands = brands
        self._begins: dict[str, int] = {}
        """First hour with posts in each facet, of any brand. Earlier hours are unknown, not empty: the facet may not
        have been in the brands file. Without this, every new facet would page as a rise from zero."""

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]:
        facet_hours = self._panes.hour_authors(brands, first_hour, last_hour)
        for series, hours in facet_hours.items():
            if hours:
                facet, first = facet_of(series), min(hours)
                self._begins[facet] = min(self._begins.get(facet, first), first)
        return {
            series: self._with_all_people(series, hours, first_hour, last_hour) for series, hours in facet_hours.items()
        }

    def _with_all_people(
        self, series: str, hours: Mapping[int, AuthorCounts], first_hour: int, last_hour: int
    ) -> dict[int, AuthorCounts]:
        brand, begins = brand_of(series), self._begins.get(facet_of(series), last_hour + 1)
        return {
            hour: AuthorCounts(people, hours.get(hour, NO_AUTHORS).everyone)
            for hour in range(max(first_hour, begins), last_hour + 1)
            if (people := self._brands.people(brand, hour))
        }

    def hours(self, brands: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]:
        """None: post weights measure negativity, which is unrelated to facets."""
        return {}


def facet_baseline_policy(policy: BaselinePolicy) -> BaselinePolicy:
    """*policy* for shares of facets."""
    return replace(policy, prior_share=PRIOR_SHARE, prior_rho=PRIOR_RHO, rho_floor=min(policy.rho_floor, RHO_FLOOR))


def facet_history(panes: FacetPanes, brands: HourHistory, policy: BaselinePolicy) -> HourHistory:
    """Hours and baselines by facet series. Read *brands* before each read of this history."""
    return HourHistory(FacetHours(panes, brands), facet_baseline_policy(policy), zones=brands.zone)


class FacetRuleEvaluator:
    """Rule kind `facet_share`. Reads only the series of facets that rules name."""

    def __init__(self, context: RuleContext) -> None:
        self._context = context
        self._detect = context.policies.detect
        self._tests = ShareRuleTests((FacetShareRule,), self._detect, context.policies.episode)
        self._post_evidence = context.post_evidence
        self._votes = context.votes
        self._watched: list[tuple[str, object]] = []
        self._forget_series()
        self._windows: dict[str, list[list[WindowCounts]]] = {}
        """By series and width: the window that ends with each of the minutes that were read."""
        self._last_found: dict[str, tuple[Sequence[WindowCounts], Finding] | None] = {}
        """By series: of the last minute with an author in it or an open episode. None: there was no such minute."""
        self._last_minute = 0

    def _forget_series(self) -> None:
        context = self._context
        self._recent = MinuteCache(context.reader)
        self._history = facet_history(context.reader, context.history, context.policies.baseline)

    def read(self, rules: RuleSet, brands: Sequence[str], minutes: Sequence[int]) -> None:
        tests = self._tests.for_rules(rules)
        watched: list[tuple[str, object]] = [(test.facet, test.rule.brands) for test in tests]
        if watched != self._watched:
            # The cached minutes of a series that no rule watched for a while have a gap.
            self._watched = watched
            self._forget_series()
        self._windows, self._last_found, self._last_minute = {}, {}, minutes[-1]
        series = sorted({facet_series(b, test.facet) for test in tests for b in brands if test.rule.applies_to(b)})
        if not series:
            return
        widths = self._detect.windows
        read = self._recent.read(series, minutes[0] - widths[-1] + 1, minutes[-1])
        self._history.read(series, before_hour=(minutes[-1] - widths[-1] + 1) // 60)
        self._windows = {
            one: [sliding_counts(read[one], width, minutes) for width in widths] for one in series if read[one].panes
        }

    def decide(self, rules: RuleSet, minute: BrandMinute) -> list[RuleDecision]:
        brand, index, past = minute.brand, minute.index, minute.past
        decisions: list[RuleDecision] = []
        for test in self._tests.for_rules(rules):
            if not test.rule.applies_to(brand):
                continue
            slot, series = (brand, test.rule.name), facet_series(brand, test.facet)
            facet_windows = self._windows.get(series)
            if slot not in minute.open_episodes and (facet_windows is None or not facet_windows[-1][index].authors):
                # No author in the facet for three hours: there is no rise.
                self._last_found.setdefault(series, None)
                continue
            windows = [
                within(everybody, None if facet_windows is None else facet_windows[width][index])
                for width, everybody in enumerate(minute.windows)
            ]
            longest = windows[-1]
            usual = self._history.usual_week(
                series, window_starts=longest.first_minute, incidents=past.incidents(brand, test.rule.name)
            )
            found = test.find(
                windows,
                usual,
                slow=slow_window_counts(longest, self._history, series, test.detect.slow_hours),
                stream_alive=minute.stream_alive,
                not_before=past.ends.get(slot),
            )
            if found.state == "spike" or slot in minute.open_episodes:
                windows, slow = self._reviewed(series, minute, facet_windows, test.detect.slow_hours)
                found = test.find(
                    windows,
                    usual,
                    slow=slow,
                    stream_alive=minute.stream_alive,
                    not_before=past.ends.get(slot),
                )
            self._last_found[series] = windows, found
            decision = test.decide(
                brand,
                minute.open_episodes.get(slot),
                found,
                minute=longest.last_minute,
                minutes=minute.elapsed_minutes,
                examples=lambda window, series=series: self._post_evidence.read(series, window),  # type: ignore[misc]
                thin=minute.thin,
            )
            if decision is not None:
                decisions.append(RuleDecision(*slot, decision))
        return decisions

    def _reviewed(
        self,
        series: str,
        minute: BrandMinute,
        facet_windows: list[list[WindowCounts]] | None,
        slow_hours: Sequence[int],
    ) -> tuple[list[WindowCounts], list[WindowCounts]]:
        """The windows of *series* and its slow ones, without the people who have no vote: of the brand, and in the
        facet."""
        everybody, _ = self._votes.review(minute.brand, minute.windows, self._context.history, ())
        in_facet = [
            replace(window, posts=0, authors=0, negative_authors=0) if facet_windows is None else one[minute.index]
            for window, one in zip(minute.windows, facet_windows or [[]] * len(minute.windows), strict=True)
        ]
        return self._votes.review(
            series,
            in_facet,
            self._history,
            slow_hours,
            combine=lambda counted: [within(*pair) for pair in zip(everybody, counted, strict=True)],
        )

    def views(self) -> RuleViews:
        """The facets of the brands that have posts at the last minute that was read."""
        views = {
            series: FacetView(0.0, None) if one is None or one[0][-1].last_minute < self._last_minute else _view(*one)
            for series, one in self._last_found.items()
        }
        return RuleViews(facets=views)


def _view(windows: Sequence[WindowCounts], found: Finding) -> FacetView:
    shown = next((window for window in windows if window.width >= SHOWN_MINUTES), windows[-1])
    return FacetView(shown.share, found.learnt.share if found.learnt else None)


def within(everybody: WindowCounts, facet: WindowCounts | None) -> WindowCounts:
    """The window of *everybody*, with the people and posts of *facet* as the negative ones. None: the facet is
    empty."""
    return WindowCounts(
        last_minute=everybody.last_minute,
        width=everybody.width,
        posts=everybody.posts,
        negative_posts=0 if facet is None else min(facet.posts, everybody.posts),
        authors=everybody.authors,
        # Both are estimates with separate errors, so the part may come out above the whole.
        negative_authors=0 if facet is None else min(facet.authors, everybody.authors),
        copied=None if facet is None else facet.copied,
        excluded=None if facet is None else facet.excluded,
    )
