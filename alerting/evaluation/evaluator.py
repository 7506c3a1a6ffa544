"""The leader's evaluation: find how far event time has come, evaluate every minute up to it, commit.

Event time is evaluated minute by minute, also in a fast replay. If more than `MAX_DUE_MINUTES` minutes are due (the
alerter was down for more than a day), only every fifth minute is evaluated, so a page may come four minutes late.
Minutes are read and committed in batches: `evaluated_until`, episodes and outbox change in one commit. Blocking.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from alerting.detection.brand_silence import BrandSilenceDetector
from alerting.detection.hour_history import HourHistory
from alerting.detection.share_detector import DetectPolicy, Finding, WindowCounts
from alerting.detection.sliding_windows import sliding_counts
from alerting.detection.vote_review import VoteReviewer
from alerting.dispatch.dispatcher import Dispatcher
from alerting.dispatch.orphaned_episodes import close_orphaned
from alerting.episodes.episode_spans import add_closed
from alerting.episodes.example_posts import PostEvidenceReader, count_sources
from alerting.episodes.lifecycle import ALL_BRANDS
from alerting.evaluation.alert_clock import (
    AlertClock,
    StallDetector,
    Tristate,
    alert_clock,
    partition_name,
    stream_silence,
    unseen_partitions,
)
from alerting.evaluation.facet_rules import FacetRuleEvaluator
from alerting.evaluation.lateness import LatenessDetector
from alerting.evaluation.minute_cache import MinuteCache, alive_at
from alerting.evaluation.past_episodes import PastEpisodes
from alerting.evaluation.policies import Policies
from alerting.evaluation.rule_evaluator import (
    BrandMinute,
    FacetView,
    PaneSource,
    RuleContext,
    RuleEvaluator,
)
from alerting.evaluation.share_rules import ShareRuleEvaluator
from alerting.evaluation.silence_rules import decide_silences, is_frozen, is_watched, mark_silence
from alerting.evaluation.stream_health import (
    StreamHealth,
    decide_health,
    lateness_health,
    silence_health,
    stall_health,
)
from alerting.evaluation.volume_rules import VolumeRuleEvaluator
from alerting.notifications.delivery import Delivery
from alerting.notifications.routing import Route
from alerting.rules.brand_zones import Zones
from alerting.rules.models import BRAND_SILENT, DEFAULT_RULES, RuleSet
from alerting.store.alert_store import MAX_CLOSED, AlerterState, AlertStore, LostLeadershipError
from alerting.store.pending_commit import PendingCommit, RuleDecision
from brandpulse.runtime.local_hours import UTC as UTC_ZONE
from brandpulse.schema.episodes import Episode, SourceCount, Transition
from brandpulse.schema.silences import OperatorRequests
from brandpulse.state.keys import HOUR_MS, MINUTE_MS
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import EMPTY_PANE, Pane
from brandpulse.state.partition_state import NO_CLOCK, PartitionStatus

View = TypeVar("View")

RULE_KINDS: Mapping[str, Callable[[RuleContext], RuleEvaluator]] = {
    "negative_share": ShareRuleEvaluator,
    "facet_share": FacetRuleEvaluator,
    "volume": VolumeRuleEvaluator,
}
"""The evaluator of each rule kind, in the order in which their decisions are taken."""
MAX_DUE_MINUTES = 1_440
"""If more minutes are due, one of `STRIDE` is evaluated."""
STRIDE = 5
SILENCE_CHECK_MINUTES = 5
MINUTES_PER_COMMIT = 720
BRAND_MINUTES_PER_COMMIT = 60_000
"""Minutes, and minutes times brands, in one read and commit: bounds memory, repeated work after a crash, and a stop."""
FIRST_LOOK_BACK_HOURS = 48
"""How far back the first evaluation ever starts: minute panes reach no further."""
ANY_PARTITION = "any partition"
NEWEST_NEGATIVES = 300
"""Stored posts whose sources are named when a brand falls silent."""
SHOWN_MINUTES = 60
"""The window that the gauges show."""


@dataclass(frozen=True, slots=True)
class BrandView:
    """A brand at the last evaluated minute."""

    finding: Finding
    pane: Pane
    """Posts of the last hour."""
    hour: WindowCounts | None
    """Authors of the last hour."""


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The result of one evaluation."""

    clock: AlertClock
    evaluated_until_ms: int | None
    minutes: int = 0
    """Event-time minutes by which `evaluated_until` advanced."""
    transitions: Sequence[tuple[Episode, Transition, str]] = ()
    """Episode, transition and its reason, in order."""
    deliveries: Sequence[Delivery] = ()
    views: Mapping[str, BrandView] = field(default_factory=dict)
    """By brand; empty if no minute was evaluated."""
    facets: Mapping[str, FacetView] = field(default_factory=dict)
    """By series, of the facets that rules watch; empty if no minute was evaluated."""
    open: Sequence[Episode] = ()
    silences: int = 0
    """Number of active silences."""
    stalled: Tristate = "unknown"
    silent: Tristate = "unknown"
    unseen: Sequence[str] = ()
    """Partitions whose worker gave no recent sign of life; `ANY_PARTITION` if no partition was ever read."""


@dataclass(slots=True)
class _Batch:
    """The minutes of one commit, and what was read for them."""

    minutes: Sequence[int]
    windows: Mapping[str, Sequence[Sequence[WindowCounts]]]
    """By brand and width: the window that ends with each of `minutes`."""
    alive: Sequence[bool]
    """At each of `minutes`: whether any brand has recent posts."""
    watched: Sequence[str]
    past: PastEpisodes
    pending: PendingCommit


class Evaluator:
    """The leader's evaluation. Keeps the state of its last commit, so that it reads only panes and partitions."""

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
        kinds: Mapping[str, Callable[[RuleContext], RuleEvaluator]] = RULE_KINDS,
    ) -> None:
        """*rules* and *zones* are called once at the start of each evaluation."""
        self._reader = reader
        self._store = store
        self._token = token
        self._policies = policies
        self._current_rules = rules
        self._rules = DEFAULT_RULES
        self._dispatcher = Dispatcher((), rules=DEFAULT_RULES, requests=OperatorRequests(), now_ms=0)
        self._routes = routes
        self._link = link
        self._state: AlerterState | None = None
        self._recent = MinuteCache(reader)
        self._current_zones = zones
        self._zones: Zones = {}
        self._history = HourHistory(reader, policies.baseline, zones=lambda brand: self._zones.get(brand, UTC_ZONE))
        self._post_evidence = PostEvidenceReader(reader.samples, reader.window_posts, reader.known_authors)
        self._votes = VoteReviewer(reader.window_posts, store, policies.votes)
        context = RuleContext(reader, self._history, policies, self._post_evidence, self._votes)
        self._kinds = {kind: build(context) for kind, build in kinds.items()}
        self._silence = BrandSilenceDetector(self._history)
        self._stalls = StallDetector(policies.clock)
        self._lateness = LatenessDetector()
        self._resigned = False

    def resign(self) -> None:
        """Make an evaluation in another thread return after its current batch. Committed batches remain."""
        self._resigned = True

    def evaluate(self, now_ms: int) -> EvaluationReport:
        """Evaluate what is due at wall clock *now_ms*. Raises TransientError, and LostLeadershipError."""
        try:
            return self._evaluate_due(now_ms)
        except BaseException:
            # The last commit may or may not have happened: read the state again.
            self._state = None
            raise

    def _evaluate_due(self, now_ms: int) -> EvaluationReport:
        self._rules = self._current_rules()
        self._zones = self._current_zones()
        now = datetime.fromtimestamp(now_ms / 1_000, UTC)
        requests = self._store.operator_requests(now)
        self._dispatcher = Dispatcher(
            self._routes, rules=self._rules, requests=requests, now_ms=now_ms, link=self._link
        )
        statuses = self._reader.partitions()
        clock = alert_clock(statuses, now_ms=now_ms, policy=self._policies.clock)
        stall = self._stalls.check(statuses, now_ms=now_ms)
        unseen = unseen_partitions(statuses, now_ms=now_ms, policy=self._policies.clock)
        silent = stream_silence(statuses, now_ms=now_ms, policy=self._policies.clock)
        lateness = self._lateness.check(statuses, now_ms=now_ms)
        health = [
            stall_health(stall, unseen),
            silence_health(silent, newest_ms=_newest(statuses)),
            lateness_health(lateness),
        ]
        state = self._state if self._state is not None else self._store.load()
        began = state.evaluated_until_ms
        transitions: list[tuple[Episode, Transition, str]] = []
        deliveries: list[Delivery] = []
        views: Mapping[str, BrandView] = {}
        facets: Mapping[str, FacetView] = {}

        state, pending = self._apply_changes_outside_event_time(state, health, requests, now)
        transitions += pending.transitions
        deliveries += pending.deliveries
        if clock.until_ms is not None:
            brands = self._reader.brands()
            due = self._due(state, clock.until_ms, brands)
            if due:
                self._post_evidence.reset_limits()
                self._votes.reset_limits()
            step = max(1, min(MINUTES_PER_COMMIT, BRAND_MINUTES_PER_COMMIT // max(1, len(brands))))
            for start in range(0, len(due), step):
                if self._resigned:
                    break
                state, pending, views, facets = self._evaluate_batch(state, brands, due[start : start + step])
                transitions += pending.transitions
                deliveries += pending.deliveries
        self._state = state
        until = state.evaluated_until_ms
        return EvaluationReport(
            clock=clock,
            evaluated_until_ms=until,
            minutes=0 if until is None or began is None else (until - began) // MINUTE_MS,
            transitions=transitions,
            deliveries=deliveries,
            views=views,
            facets=facets if views else {},
            open=[one.episode for one in state.open.values()],
            silences=sum(one.is_active(now) for one in requests.silences),
            stalled=stall.stalled,
            silent=silent,
            unseen=[partition_name(status) for status in unseen] if statuses else [ANY_PARTITION],
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
        if end - first <= MAX_DUE_MINUTES:
            return range(first, end)
        return range(first + STRIDE - 1, end, STRIDE)

    def _evaluate_batch(
        self, state: AlerterState, brands: Sequence[str], minutes: Sequence[int]
    ) -> tuple[AlerterState, PendingCommit, Mapping[str, BrandView], Mapping[str, FacetView]]:
        detect = self._policies.detect
        widest = detect.windows[-1]
        before_hour = (minutes[-1] - widest + 1) * MINUTE_MS // HOUR_MS
        read = self._recent.read(brands, minutes[0] - widest + 1, minutes[-1])
        self._history.read(brands, before_hour=before_hour)
        for kind in self._kinds.values():
            kind.read(self._rules, brands, minutes)
        self._silence.read(read, before_hour=before_hour)
        pending = PendingCommit(state)
        firing = {brand for brand, _ in pending.open}
        batch = _Batch(
            minutes=minutes,
            windows={
                brand: [sliding_counts(read[brand], width, minutes) for width in detect.windows]
                for brand in brands
                # A brand without posts is evaluated while it has an open episode, so that the episode can end.
                if read[brand].panes or brand in firing
            },
            alive=alive_at(read, minutes, detect.windows[0]),
            watched=[brand for brand in brands if is_watched(brand, self._rules)],
            past=PastEpisodes(state, self._rules),
            pending=pending,
        )
        previous = (state.evaluated_until_ms or minutes[0] * MINUTE_MS) // MINUTE_MS - 1
        for index, minute in enumerate(minutes):
            decisions = self._decide_minute(batch, index, previous=previous)
            self._dispatcher.apply(pending, decisions)
            batch.past.update(decisions, pending, minute=minute)
            previous = minute
        state = self._commit(state, pending, (minutes[-1] + 1) * MINUTE_MS)
        shown = [kind.views() for kind in self._kinds.values()]
        findings = _merged(view.findings for view in shown)
        views = {brand: _view(findings.get(brand), read[brand], minutes[-1], detect) for brand in brands}
        return state, pending, views, _merged(view.facets for view in shown)

    def _decide_minute(self, batch: _Batch, index: int, *, previous: int) -> list[RuleDecision]:
        """The decisions of all rules at one minute, where *previous* is the minute that was evaluated before it."""
        minute, alive, past = batch.minutes[index], batch.alive[index], batch.past
        opened = batch.pending.open
        # A new silence may be found five minutes late. An open episode must freeze at once.
        checks_silence = alive and minute // SILENCE_CHECK_MINUTES != previous // SILENCE_CHECK_MINUTES
        firing = {brand for brand, _ in opened}
        checked = batch.watched if checks_silence else firing if alive else ()
        silences = {brand: self._silence.check(brand, minute) for brand in checked}
        decisions: list[RuleDecision] = []
        for brand, counts in batch.windows.items():
            windows = [counted[index] for counted in counts]
            silence = silences.get(brand)
            frozen = brand in firing and is_frozen(brand, silence, opened)
            longest = windows[-1]
            # No posts at all is never evidence of calm, however few posts are usual: silence ends no episode.
            thin = longest.posts == 0 or (
                brand in firing and self._silence.is_thin(brand, longest.authors, longest.first_minute, minute)
            )
            brand_minute = BrandMinute(
                brand=brand,
                index=index,
                windows=windows,
                open_episodes=opened,
                past=past,
                elapsed_minutes=minute - previous,
                stream_alive=alive and not frozen,
                thin=thin,
            )
            of_brand = [one for kind in self._kinds.values() for one in kind.decide(self._rules, brand_minute)]
            decisions += mark_silence(of_brand, silence, frozen=frozen, minute=minute) if alive else of_brand
        if checks_silence:
            silent = {brand for brand, rule in opened if rule == BRAND_SILENT} & batch.windows.keys()
            latest = {brand: [counted[index] for counted in batch.windows[brand]] for brand in silent}
            decisions += decide_silences(silences, latest, opened, past.ends, minute=minute, sources=self._sources_of)
        return decisions

    def _sources_of(self, brand: str) -> list[SourceCount]:
        return count_sources(self._reader.negatives(brand, NEWEST_NEGATIVES))

    def _apply_changes_outside_event_time(
        self, state: AlerterState, health: Sequence[StreamHealth], requests: OperatorRequests, now: datetime
    ) -> tuple[AlerterState, PendingCommit]:
        """Alerts about the stream itself, episodes of removed rules, acknowledgements, and overdue notifications."""
        pending = PendingCommit(state)
        decisions = [
            RuleDecision(ALL_BRANDS, one.rule, decide_health(pending.open.get((ALL_BRANDS, one.rule)), one, now=now))
            for one in health
        ]
        evaluated = state.evaluated_until_ms
        decisions += close_orphaned(
            pending.open, self._rules, at=now if evaluated is None else datetime.fromtimestamp(evaluated / 1_000, UTC)
        )
        self._dispatcher.apply(pending, decisions)
        self._dispatcher.acknowledge(pending, requests.acknowledgements)
        self._dispatcher.send_overdue(pending)
        if pending.changed:
            state = self._commit(state, pending, state.evaluated_until_ms)
        self._store.forget_acknowledgements(requests.acknowledgements)
        return state, pending

    def _commit(self, state: AlerterState, pending: PendingCommit, until_ms: int | None) -> AlerterState:
        commit = pending.commit(state, until_ms)
        result = self._store.commit(commit, token=self._token)
        if result != "applied":
            # "moved" with our own token: an earlier commit of this alerter succeeded, but its reply was lost.
            raise LostLeadershipError(f"the store refused a commit at {state.evaluated_until_ms}: {result}")
        return AlerterState(
            evaluated_until_ms=until_ms,
            open={one.episode.key: one for one in pending.open.values()},
            closed=[*reversed(pending.closed), *state.closed][:MAX_CLOSED],
            spans=add_closed(state.spans, pending.closed),
        )


def _newest(statuses: Sequence[PartitionStatus]) -> int | None:
    newest = max((status.clock_ms for status in statuses), default=NO_CLOCK)
    return None if newest == NO_CLOCK else newest


def _merged(parts: Iterable[Mapping[str, View]]) -> dict[str, View]:
    return {key: view for part in parts for key, view in part.items()}


def _view(finding: Finding | None, read: Minutes, last_minute: int, detect: DetectPolicy) -> BrandView:
    first = last_minute - SHOWN_MINUTES + 1
    pane = read.total(first, last_minute) if read.panes else EMPTY_PANE
    found = finding if finding is not None else Finding("no data", detect)
    if not read.panes:
        return BrandView(found, pane, None)
    [hour] = sliding_counts(read, SHOWN_MINUTES, [last_minute])
    return BrandView(found, pane, hour)
