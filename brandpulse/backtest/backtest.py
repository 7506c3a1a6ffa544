"""The alerter on recorded posts: the ticker and its rules as they run in life, the arrival clock simulated.

Every minute of the arrival clock the watermark is looked at and the minutes below it are sealed. They are evaluated in
stretches of hours, which decides the same as minute by minute (a test holds it) at a fraction of the cost; an episode's
moments are then told on the arrival clock: when the tick came that first could have seen that minute.
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
from stream_workers.aggregation.deduplication import RepeatLimits
from stream_workers.aggregation.event_time import Retention


@dataclass(frozen=True, slots=True)
class PastEpisode:
    """An episode, and when life would have told of it."""

    episode: Episode
    """As it ended, or as it stood at the recording's end."""
    fired_at: datetime
    """On the arrival clock, like `resolved_at`."""
    resolved_at: datetime | None


@dataclass(slots=True)
class Backtest:
    """Takes posts in order of arrival; `finish` gives the episodes."""

    policies: Policies
    retention: Retention
    limits: RepeatLimits
    rules: RuleSet = DEFAULT_RULES
    """Whose episodes are told; not those about the stream itself."""
    zones: Zones = field(default_factory=dict)
    panes: RecordedPanes = field(init=False)
    _evaluator: Evaluator = field(init=False)
    _next_tick_ms: int | None = field(init=False, default=None)
    _seals: list[tuple[int, int]] = field(init=False, default_factory=list)
    """Where each tick's seal stood and the arrival clock at that tick, both rising."""
    _evaluated_ms: int = field(init=False, default=-(2**62))
    _found: dict[str, PastEpisode] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.panes = RecordedPanes(self.retention, self.limits)
        store = MemoryAlertStore()
        token = store.acquire("backtest", lease_ms=2**53)
        assert token is not None  # noqa: S101 - nobody else knows this store
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
        """The arrival clock has come to *arrived_ms*: the ticks that were due until then happen."""
        if self._next_tick_ms is None:
            self._next_tick_ms = (arrived_ms // MINUTE_MS + 1) * MINUTE_MS
        if arrived_ms < self._next_tick_ms:
            return
        # Nothing arrived between the first tick due and this post, so the later ones see what the first one sees.
        self._tick(self._next_tick_ms)
        self._next_tick_ms = (arrived_ms // MINUTE_MS + 1) * MINUTE_MS

    def finish(self) -> list[PastEpisode]:
        """Evaluate what is left; the episodes by the time they fired."""
        if self._next_tick_ms is not None:
            self._tick(self._next_tick_ms)
            self._evaluate(self._next_tick_ms)
        return sorted(self._found.values(), key=lambda one: (one.fired_at, one.episode.key))

    def _tick(self, now_ms: int) -> None:
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
        self._take(report)
        self.panes.drop_old_minutes()

    def _take(self, report: EvaluationReport) -> None:
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
        """When the tick came that first saw the minute that ends at *event_time*."""
        place = bisect_left(self._seals, (int(event_time.timestamp() * 1_000), 0))
        return datetime.fromtimestamp(self._seals[min(place, len(self._seals) - 1)][1] / 1_000, UTC)
