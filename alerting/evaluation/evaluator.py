"""One tick of the alert clock: read how far event time has come, evaluate every minute up to it, commit.

Event time is evaluated minute by minute, also in a fast replay: up to `EVERY_MINUTE_UP_TO` minutes pending, every one;
beyond that (an alerter that was away for more than a day) every fifth, so a rise may be told four minutes late.
Minutes are read and committed in stretches; within a stretch `evaluated_until`, episodes and outbox move at once.
Blocking: run it in a thread.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from alerting.detection.brand_silence import BrandSilenceDetector
from alerting.detection.hour_history import HourHistory
from alerting.detection.share_baseline import BaselinePolicy
from alerting.detection.share_detector import DetectPolicy, Finding, WindowCounts
from alerting.detection.sliding_windows import sliding_counts
from alerting.detection.volume_detector import SurgePolicy
from alerting.dispatch.dispatcher import Dispatcher
from alerting.dispatch.orphaned_episodes import close_orphaned
from alerting.episodes.episode_spans import add_closed
from alerting.episodes.example_posts import PostEvidenceReader, count_sources
from alerting.episodes.lifecycle import ALL_BRANDS, EpisodePolicy
from alerting.evaluation.alert_clock import (
    AlertClock,
    ClockPolicy,
    StallDetector,
    Tristate,
    alert_clock,
    partition_name,
    stream_silence,
    unseen_partitions,
)
from alerting.evaluation.facet_rules import FacetRuleEvaluator, FacetView
from alerting.evaluation.lateness import LatenessDetector
from alerting.evaluation.minute_cache import MinuteCache, alive_at
from alerting.evaluation.past_episodes import PastEpisodes
from alerting.evaluation.share_rules import ShareRuleEvaluator
from alerting.evaluation.silence_rules import decide_silences, is_frozen, is_watched, mark_silence
from alerting.evaluation.stream_health import StreamHealth, decide_health, lateness_health, silence_health, stall_health
from alerting.evaluation.volume_rules import VolumeRuleEvaluator
from alerting.notifications.delivery import Delivery
from alerting.notifications.routing import Route
from alerting.rules.brand_zones import Zones
from alerting.rules.models import BRAND_SILENT, DEFAULT_RULES, RuleSet
from alerting.store.alert_store import AlerterState, AlertStore, LostLeadershipError
from alerting.store.pending_commit import PendingCommit, RuleDecision
from brandpulse.runtime.local_hours import UTC as UTC_ZONE
from brandpulse.schema.episodes import Episode, SourceCount, Transition
from brandpulse.schema.silences import OperatorRequests
from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import HOUR_MS, MINUTE_MS
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import EMPTY_PANE, Pane
from brandpulse.state.partition_state import NO_CLOCK, PartitionStatus
from brandpulse.state.stored_posts import NegativePost, SampledPost, WindowPosts

EVERY_MINUTE_UP_TO = 1_440
STRIDE = 5
LOOK_MINUTES = 5
MINUTES_PER_COMMIT = 720
BRAND_MINUTES_PER_COMMIT = 60_000
"""Minutes, and minutes times brands, in one read and one commit: bounds memory, what a crash repeats, and a stop."""
FIRST_LOOK_BACK_HOURS = 48
"""How far back the very first tick starts: as far as minute panes reach."""
ANY_PARTITION = "any partition"
NEWEST_NEGATIVES = 300
"""Kept posts whose sources are named when a brand falls silent."""
SHOWN_MINUTES = 60
"""The window the gauges show."""


class PaneSource(Protocol):
    """What a tick reads: `brandpulse.state.pane_reader.PaneReader`, or a test's stream."""

    def partitions(self) -> list[PartitionStatus]: ...

    def brands(self) -> list[str]: ...

    def minutes(
        self, brands: Sequence[str], first_minute: int, last_minute: int, *, authors: bool = False
    ) -> dict[str, Minutes]: ...

    def hours(self, brands: Sequence[str], first_hour: int, last_hour: int) -> dict[str, dict[int, Pane]]: ...

    def hour_authors(
        self, brands: Sequence[str], first_hour: int, last_hour: int
    ) -> dict[str, dict[int, AuthorCounts]]: ...

    def negatives(self, brand: str, limit: int) -> list[NegativePost]: ...

    def window_posts(self, series: str, first_ms: int, end_ms: int) -> WindowPosts: ...

    def known_authors(self, brand: str, before_ms: int) -> KnownAuthors: ...

    def samples(self, brand: str, first_day: int, last_day: int) -> dict[int, list[SampledPost]]: ...


@dataclass(frozen=True, slots=True)
class Policies:
    """All rules of one alerter."""

    detect: DetectPolicy = field(default_factory=DetectPolicy)
    baseline: BaselinePolicy = field(default_factory=BaselinePolicy)
    episode: EpisodePolicy = field(default_factory=EpisodePolicy)
    clock: ClockPolicy = field(default_factory=ClockPolicy)
    surge: SurgePolicy = field(default_factory=SurgePolicy)


@dataclass(frozen=True, slots=True)
class BrandView:
    """How a brand stood at the last evaluated minute."""

    finding: Finding
    pane: Pane
    """Posts of the last hour."""
    hour: WindowCounts | None
    """Authors of the last hour."""


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What a tick did."""

    clock: AlertClock
    evaluated_until_ms: int | None
    minutes: int = 0
    """Event-time minutes it went forward."""
    transitions: Sequence[tuple[Episode, Transition, str]] = ()
    """Episode, transition and its reason, in order."""
    deliveries: Sequence[Delivery] = ()
    views: Mapping[str, BrandView] = field(default_factory=dict)
    """Empty when no minute was evaluated."""
    facets: Mapping[str, FacetView] = field(default_factory=dict)
    """By series, of the facets that rules watch; likewise."""
    open: Sequence[Episode] = ()
    silences: int = 0
    """Active ones."""
    stalled: Tristate = "unknown"
    silent: Tristate = "unknown"
    unseen: Sequence[str] = ()
    """Partitions that nobody reads now, as far as we are told; `ANY_PARTITION` where none was ever read."""


class Evaluator:
    """The leader's evaluation. Holds the state it committed last, so a live tick reads only panes and partitions."""

    def __init__(
        self,
        reader: PaneSource,
        store: AlertStore,
        *,
        token: int,
        policies: Policies,
        routes: Sequence[Route],
        rules: Callable[[], RuleSet] = lambda: DEFAULT_RULES,
        link: str | None = None,
        zones: Callable[[], Zones] = dict,
    ) -> None:
        """*rules* and *zones* are asked once at the start of each tick."""
        self._reader = reader
        self._store = store
        self._token = token
        self._policies = policies
        self._ask_rules = rules
        self._rules = DEFAULT_RULES
        self._teller = Dispatcher((), rules=DEFAULT_RULES, orders=OperatorRequests(), now_ms=0)
        self._routes = routes
        self._link = link
        self._state: AlerterState | None = None
        self._recent = MinuteCache(reader)
        self._ask_zones = zones
        self._zones: Zones = {}
        self._history = HourHistory(reader, policies.baseline, zones=lambda brand: self._zones.get(brand, UTC_ZONE))
        self._shelf = PostEvidenceReader(reader.samples, reader.window_posts, reader.known_authors)
        self._shares = ShareRuleEvaluator(self._history, policies.detect, policies.episode, self._shelf.read)
        self._facets = FacetRuleEvaluator(
            reader,
            self._history,
            baseline=policies.baseline,
            detect=policies.detect,
            episode=policies.episode,
            shelf=self._shelf,
        )
        self._surges = VolumeRuleEvaluator(self._history, policies.surge, policies.episode, self._shelf.read_all)
        self._silence = BrandSilenceDetector(self._history)
        self._stalls = StallDetector(policies.clock)
        self._lateness = LatenessDetector()
        self._resigned = False

    def resign(self) -> None:
        """End the tick that runs in another thread after its stretch; what is committed stands."""
        self._resigned = True

    def evaluate(self, now_ms: int) -> EvaluationReport:
        """Evaluate what is due at wall clock *now_ms*. Raises TransientError, and LostLeadershipError."""
        try:
            return self._tick(now_ms)
        except BaseException:
            # Whether the last commit happened may be unknown: read again what is true.
            self._state = None
            raise

    def _tick(self, now_ms: int) -> EvaluationReport:
        self._rules = self._ask_rules()
        self._zones = self._ask_zones()
        orders_at = datetime.fromtimestamp(now_ms / 1_000, UTC)
        orders = self._store.operator_requests(orders_at)
        self._teller = Dispatcher(self._routes, rules=self._rules, orders=orders, now_ms=now_ms, link=self._link)
        statuses = self._reader.partitions()
        clock = alert_clock(statuses, now_ms=now_ms, policy=self._policies.clock)
        stall = self._stalls.check(statuses, now_ms=now_ms)
        dark = unseen_partitions(statuses, now_ms=now_ms, policy=self._policies.clock)
        silent = stream_silence(statuses, now_ms=now_ms, policy=self._policies.clock)
        lateness = self._lateness.check(statuses, now_ms=now_ms)
        health = [
            stall_health(stall, dark),
            silence_health(silent, newest_ms=_newest(statuses)),
            lateness_health(lateness),
        ]
        state = self._state if self._state is not None else self._store.load()
        began = state.evaluated_until_ms
        transitions: list[tuple[Episode, Transition, str]] = []
        deliveries: list[Delivery] = []
        views: Mapping[str, BrandView] = {}

        state, stretch = self._catch_up(state, health, orders, now_ms)
        transitions += stretch.transitions
        deliveries += stretch.deliveries
        if clock.until_ms is not None:
            brands = self._reader.brands()
            due = self._due(state, clock.until_ms, brands)
            if due:
                self._shelf.reset_limits()
            step = max(1, min(MINUTES_PER_COMMIT, BRAND_MINUTES_PER_COMMIT // max(1, len(brands))))
            for start in range(0, len(due), step):
                if self._resigned:
                    break
                state, stretch, views = self._evaluate(state, brands, due[start : start + step], now_ms)
                transitions += stretch.transitions
                deliveries += stretch.deliveries
        self._state = state
        until = state.evaluated_until_ms
        return EvaluationReport(
            clock=clock,
            evaluated_until_ms=until,
            minutes=0 if until is None or began is None else (until - began) // MINUTE_MS,
            transitions=transitions,
            deliveries=deliveries,
            views=views,
            facets=self._facets.views() if views else {},
            open=[one.episode for one in state.open.values()],
            silences=sum(one.is_active(orders_at) for one in orders.silences),
            stalled=stall.stalled,
            silent=silent,
            unseen=[partition_name(status) for status in dark] if statuses else [ANY_PARTITION],
        )

    def _due(self, state: AlerterState, until_ms: int, brands: Sequence[str]) -> Sequence[int]:
        """The minutes to evaluate: complete, and not evaluated yet."""
        end = until_ms // MINUTE_MS
        if state.evaluated_until_ms is not None:
            first = state.evaluated_until_ms // MINUTE_MS
        else:
            last_hour = until_ms // HOUR_MS
            hours = self._reader.hours(brands, last_hour - FIRST_LOOK_BACK_HOURS, last_hour)
            oldest = min((hour for seen in hours.values() for hour in seen), default=last_hour)
            first = oldest * HOUR_MS // MINUTE_MS
        if end - first <= EVERY_MINUTE_UP_TO:
            return range(first, end)
        return range(first + STRIDE - 1, end, STRIDE)

    def _evaluate(
        self, state: AlerterState, brands: Sequence[str], minutes: Sequence[int], now_ms: int
    ) -> tuple[AlerterState, PendingCommit, Mapping[str, BrandView]]:
        detect = self._policies.detect
        widest = detect.windows[-1]
        read = self._recent.read(brands, minutes[0] - widest + 1, minutes[-1])
        self._history.read(brands, before_hour=(minutes[-1] - widest + 1) * MINUTE_MS // HOUR_MS)
        self._facets.read(self._rules, brands, minutes)
        stretch = PendingCommit(state)
        firing = {brand for brand, _ in stretch.open}
        windows = {
            brand: [sliding_counts(read[brand], width, minutes) for width in detect.windows]
            for brand in brands
            # A brand nobody talks about any more is looked at while its episode is open: it must end some day.
            if read[brand].panes or brand in firing
        }
        alive = alive_at(read, minutes, detect.windows[0])
        past = PastEpisodes(state, self._rules)
        findings: dict[str, Finding] = {}
        before = (state.evaluated_until_ms or minutes[0] * MINUTE_MS) // MINUTE_MS - 1
        self._silence.read(read, before_hour=(minutes[-1] - widest + 1) * MINUTE_MS // HOUR_MS)
        watched = [brand for brand in brands if is_watched(brand, self._rules)]
        for place, minute in enumerate(minutes):
            decided: list[RuleDecision] = []
            since, opened = minute - before, stretch.open
            # Whether a brand fell silent can wait for the next five minutes; whether an episode freezes cannot.
            looks = alive[place] and minute // LOOK_MINUTES != before // LOOK_MINUTES
            burning = {brand for brand, _ in opened}
            asked = watched if looks else burning if alive[place] else ()
            silences = {brand: self._silence.check(brand, minute) for brand in asked}
            for brand, counts in windows.items():
                seen = [counted[place] for counted in counts]
                silence = silences.get(brand)
                frozen = brand in burning and is_frozen(brand, silence, opened)
                awake = alive[place] and not frozen
                longest = seen[-1]
                # Without a single post nothing is known, however few are usual: silence ends no episode.
                thin = longest.posts == 0 or (
                    brand in burning and self._silence.is_thin(brand, longest.authors, longest.first_minute, minute)
                )
                mine: list[RuleDecision] = []
                found, more = self._shares.decide(
                    self._rules, brand, seen, opened, past, minutes=since, stream_alive=awake, thin=thin
                )
                if found is not None:
                    findings[brand] = found
                mine += more
                mine += self._facets.decide(
                    self._rules, brand, seen, opened, past, at=place, minutes=since, stream_alive=awake, thin=thin
                )
                mine += self._surges.decide(
                    self._rules, brand, seen, opened, past.ends, minutes=since, stream_alive=awake and not thin
                )
                decided += mark_silence(mine, silence, frozen=frozen, minute=minute) if alive[place] else mine
            if looks:
                resuming = {brand for brand, rule in opened if rule == BRAND_SILENT} & windows.keys()
                latest = {brand: [counted[place] for counted in windows[brand]] for brand in resuming}
                decided += decide_silences(silences, latest, opened, past.ends, minute=minute, sources=self._sources_of)
            self._teller.take(stretch, decided)
            past.follow(decided, stretch, minute=minute)
            before = minute
        until_ms = (minutes[-1] + 1) * MINUTE_MS
        state = self._commit(state, stretch, until_ms)
        views = {brand: _view(findings.get(brand), read[brand], minutes[-1], detect) for brand in brands}
        return state, stretch, views

    def _sources_of(self, brand: str) -> list[SourceCount]:
        return count_sources(self._reader.negatives(brand, NEWEST_NEGATIVES))

    def _catch_up(
        self, state: AlerterState, health: Sequence[StreamHealth], orders: OperatorRequests, now_ms: int
    ) -> tuple[AlerterState, PendingCommit]:
        """All that does not hang on event time: the stream's own alerts, rules that are gone, what people ask for."""
        stretch = PendingCommit(state)
        now = datetime.fromtimestamp(now_ms / 1_000, UTC)
        decided = [
            RuleDecision(ALL_BRANDS, one.rule, decide_health(stretch.open.get((ALL_BRANDS, one.rule)), one, now=now))
            for one in health
        ]
        evaluated = state.evaluated_until_ms
        decided += close_orphaned(
            stretch.open, self._rules, at=now if evaluated is None else datetime.fromtimestamp(evaluated / 1_000, UTC)
        )
        self._teller.take(stretch, decided)
        self._teller.acknowledge(stretch, orders.acknowledgements)
        self._teller.release(stretch)
        if stretch.changed:
            state = self._commit(state, stretch, state.evaluated_until_ms)
        self._store.forget_acknowledgements(orders.acknowledgements)
        return state, stretch

    def _commit(self, state: AlerterState, stretch: PendingCommit, until_ms: int | None) -> AlerterState:
        commit = stretch.commit(state, until_ms)
        result = self._store.commit(commit, token=self._token)
        if result != "applied":
            # "moved" under our own token means that we took over from ourselves: a commit whose answer was lost.
            raise LostLeadershipError(f"the store refused a commit at {state.evaluated_until_ms}: {result}")
        return AlerterState(
            evaluated_until_ms=until_ms,
            open={one.episode.key: one for one in stretch.open.values()},
            closed=[*reversed(stretch.closed), *state.closed][:500],
            spans=add_closed(state.spans, stretch.closed),
        )


def _newest(statuses: Sequence[PartitionStatus]) -> int | None:
    newest = max((status.clock_ms for status in statuses), default=NO_CLOCK)
    return None if newest == NO_CLOCK else newest


def _view(finding: Finding | None, read: Minutes, last_minute: int, detect: DetectPolicy) -> BrandView:
    first = last_minute - SHOWN_MINUTES + 1
    pane = read.total(first, last_minute) if read.panes else EMPTY_PANE
    found = finding if finding is not None else Finding("no data", detect)
    if not read.panes:
        return BrandView(found, pane, None)
    [hour] = sliding_counts(read, SHOWN_MINUTES, [last_minute])
    return BrandView(found, pane, hour)
