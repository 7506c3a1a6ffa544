"""Runs the alerter's evaluator over recorded posts, with a simulated arrival clock.

Once a minute of the arrival clock, the minutes below the watermark are sealed. The evaluator reads some hours at once,
which gives the same decisions as minute by minute (a test checks this) at a fraction of the cost. The times of an
episode are then converted to the arrival clock: when an alerter that evaluates each minute would first have seen it.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from alerting.evaluation.evaluator import MINUTES_PER_COMMIT, EvaluationReport, Evaluator
from alerting.evaluation.policies import Policies
from alerting.rules.brand_zones import Zones
from alerting.rules.models import DEFAULT_RULES, RuleSet
from alerting.store.memory_store import MemoryAlertStore
from brandpulse.backtest.recorded_panes import RecordedPanes
from brandpulse.backtest.recorded_post import RecordedPost
from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import MINUTE_MS
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention


@dataclass(frozen=True, slots=True)
class PastEpisode:
    """An episode, and when an alerter would have notified."""

    episode: Episode
    """In its last state: resolved, or firing at the end of the recording."""
    fired_at: datetime
    """On the arrival clock, like `resolved_at`."""
    resolved_at: datetime | None


@dataclass(slots=True)
class Backtest:
    """Reads posts in order of arrival; `finish` returns the episodes."""

    policies: Policies
    retention: Retention
    limits: DedupLimits
    rules: RuleSet = DEFAULT_RULES
    """Only their episodes are returned, none about the stream itself."""
    zones: Zones = field(default_factory=dict)
    panes: RecordedPanes = field(init=False)
    _evaluator: Evaluator = field(init=False)
    _next_evaluation_ms: int | None = field(init=False, default=None)
    _seals: list[tuple[int, int]] = field(init=False, default_factory=list)
    """(sealed up to, arrival clock) of each evaluation that sealed a minute, in order."""
    _evaluated_ms: int = field(init=False, default=-(2**62))
    _found: dict[str, PastEpisode] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.panes = RecordedPanes(self.retention, self.limits)
        store = MemoryAlertStore()
        token = store.acquire("backtest", lease_ms=2**53)
        assert token is not None  # noqa: S101 - the store is new
        self._evaluator = Evaluator(
            self.panes,
            store,
            token=token,
            policies=self.policies,
            routes=(),
            rules=lambda: self.rules,
            zones=lambda: self.zones,
        )

    def feed(self, posts: Iterable[RecordedPost]) -> None:
        for post in posts:
            self.advance(post.arrived_ms)
            self.panes.count(post)

    def advance(self, arrived_ms: int) -> None:
        """Move the arrival clock to *arrived_ms*, and seal what was due until then."""
        if self._next_evaluation_ms is None:
            self._next_evaluation_ms = (arrived_ms // MINUTE_MS + 1) * MINUTE_MS
        if arrived_ms < self._next_evaluation_ms:
            return
        # No post arrived after the first minute that was due, so the later ones seal nothing more.
        self._seal(self._next_evaluation_ms)
        self._next_evaluation_ms = (arrived_ms // MINUTE_MS + 1) * MINUTE_MS

    def finish(self) -> list[PastEpisode]:
        """Evaluate the rest. Returns the episodes, sorted by `fired_at`."""
        if self._next_evaluation_ms is not None:
            self._seal(self._next_evaluation_ms)
            self._evaluate(self._next_evaluation_ms)
        return sorted(self._found.values(), key=lambda one: (one.fired_at, one.episode.key))

    def _seal(self, now_ms: int) -> None:
        sealed = self.panes.seal()
        if sealed is None or (self._seals and sealed <= self._seals[-1][0]):
            return
        self._seals.append((sealed, now_ms))
        if self._evaluated_ms < 0:
            self._evaluated_ms = sealed
        if sealed - self._evaluated_ms >= MINUTES_PER_COMMIT * MINUTE_MS:
            self._evaluate(now_ms)

    def _evaluate(self, now_ms: int) -> None:
        report = self._evaluator.evaluate(now_ms)
        self._evaluated_ms = report.evaluated_until_ms or self._evaluated_ms
        self._add(report)
        self.panes.drop_old_minutes()

    def _add(self, report: EvaluationReport) -> None:
        for episode, _, _ in report.transitions:
            if self.rules.named(episode.rule) is None:
                continue
            resolved = episode.resolved_at
            self._found[episode.key] = PastEpisode(
                episode=episode,
                fired_at=self._arrival_of(episode.fired_at),
                resolved_at=None if resolved is None else self._arrival_of(resolved),
            )

    def _arrival_of(self, event_time: datetime) -> datetime:
        """The arrival clock when the minute that ends at *event_time* was sealed."""
        position = bisect_left(self._seals, (int(event_time.timestamp() * 1_000), 0))
        return datetime.fromtimestamp(self._seals[min(position, len(self._seals) - 1)][1] / 1_000, UTC)
