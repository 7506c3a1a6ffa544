"""One partition as a worker writes it to Redis, and an alerter's evaluator, with a manual wall clock."""

from collections.abc import Sequence
from dataclasses import replace

import redis

from alerting.detection.share_detector import DetectPolicy
from alerting.evaluation.evaluator import EvaluationReport, Evaluator
from alerting.evaluation.policies import Policies
from alerting.notifications.routing import Route
from alerting.store.redis_store import RedisAlertStore
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS
from brandpulse.state.pane_reader import PaneReader
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.row_fold import fold_rows, plan_rows
from stream_workers.aggregation.types import Outcome
from stream_workers.state_store.partition_store import Applied, ReadRequest
from stream_workers.state_store.redis_store import RedisPartitionStore
from tests.support.builders import a_status

RETENTION = Retention(2 * MINUTE_MS, 48 * HOUR_MS, 90 * DAY_MS)
LIMITS = DedupLimits(6 * HOUR_MS, 10**6)
BATCH = 512


class ReferenceScenario:
    """"""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self.alerts = RedisAlertStore(client, namespace)
        self.status = a_status(owner="worker-1")
        self._store = RedisPartitionStore(client, namespace, RETENTION)
        assert self._store.rebase(None, self.status)
        self._panes = PaneReader(client, namespace)
        self.restart_alerter()

    def restart_alerter(self) -> None:
        """A new evaluator, with nothing in its memory."""
        token = self.alerts.acquire("me", lease_ms=3_600_000)
        assert token is not None
        self._evaluator = Evaluator(
            self._panes,
            self.alerts,
            token=token,
            policies=Policies(detect=DetectPolicy(min_history_hours=6)),
            routes=[Route("pager", wants_every_update=False)],
        )

    def count(self, outcomes: Sequence[Outcome], *, batch: int = BATCH) -> None:
        for start in range(0, len(outcomes), batch):
            part = outcomes[start : start + batch]
            digests, cells = plan_rows(part)
            [known] = self._store.read([ReadRequest(self.status, digests, cells)])
            change = fold_rows(
                self.status, part, self.status.next + len(part), known, retention=RETENTION, limits=LIMITS
            )
            assert self._store.apply([change]) == [Applied()]
            self.status = change.status

    def evaluate(self, now_ms: int, *, caught_up: bool = False, lag: int = 0) -> EvaluationReport:
        """An evaluation after a sign of life of the worker."""
        self.status = replace(self.status, seen_wall_ms=now_ms, caught_up=caught_up, lag=lag)
        assert self._store.touch(self.status)
        return self._evaluator.evaluate(now_ms)

    def sent(self) -> list[str]:
        """What went out, in order: `<episode key>:<transition>...@pager`."""
        return [delivery.id for delivery in self.alerts.pending()]
