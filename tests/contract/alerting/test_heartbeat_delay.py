"""The dead-man's switch on a simulated clock: a missing heartbeat is noticed soon, whichever part stops."""

from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import ListOffsetsResultInfo

from alerting.evaluation.alert_clock import unseen_partitions
from alerting.heartbeat import Vitals, reason_to_withhold
from alerting.settings import AlerterSettings
from brandpulse.runtime.metric_definitions import WORKER_METRICS
from brandpulse.runtime.metrics import Telemetry
from stream_workers.consumer.assigned_partition import AssignedPartition
from stream_workers.consumer.broker_liveness import BrokerLiveness
from stream_workers.consumer.dlq_limit import DlqLimit
from stream_workers.consumer.status_reporter import StatusReporter
from stream_workers.consumer.stuck_detector import ReadStats
from stream_workers.state_store.memory_store import MemoryPartitionStore
from tests.support.builders import a_status

OTHER_SIDE_SECONDS = 120
"""It waits a minute for each beat, and a minute of grace: the least that healthchecks.io takes."""
STOPS_AT, ENDS = 600, 1_200
PARTS = ("broker", "worker", "store", "alerter")


class LogEnd:
    """What librdkafka remembers of the log's end, broker or no broker: nothing follows."""

    def get_watermark_offsets(self, _place: Any, *, cached: bool) -> tuple[int, int]:
        assert cached
        return 0, 10


class Deployment:
    """A worker and an alerter at one second of steps; an idle topic, so that only signs of life change."""

    def __init__(self) -> None:
        self.stopped: set[str] = set()
        self.now = 0
        self.beats: list[int] = []
        self.withheld: set[str] = set()
        self._store = MemoryPartitionStore()
        self._store.rebase(None, a_status(10))
        self._held = AssignedPartition(replace(a_status(10), owner="w"), 10, DlqLimit(run_limit=9, share_limit=0.5))
        self._signs = StatusReporter(
            cast("Consumer", LogEnd()),
            self._store,
            Telemetry(WORKER_METRICS),
            BrokerLiveness(self._ask),
            topic="posts",
            idle_after_seconds=3,
            wall_ms=lambda: self.now * 1_000,
            on_state_moved=lambda _held, _reason: None,
            on_stuck=lambda _partition, _reason: None,
        )
        self._policies = AlerterSettings().policies()
        self._policy = AlerterSettings().heartbeat_policy()
        self._vitals = Vitals()

    def step(self) -> None:
        if "worker" not in self.stopped and "store" not in self.stopped:
            self._signs.report({0: self._held}, self.now, ReadStats(self.now))
        if "alerter" not in self.stopped:
            self._tick()
            if self.now % self._policy.every == 0:
                reason = reason_to_withhold(self._vitals, now=self.now, policy=self._policy)
                if reason is None:
                    self.beats.append(self.now)
                else:
                    self.withheld.add(reason)
        self.now += 1

    def _tick(self) -> None:
        if "store" in self.stopped:
            return
        status = self._store.load("posts", 0)
        assert status is not None
        dark = unseen_partitions([status], now_ms=self.now * 1_000, policy=self._policies.clock)
        # Event time always moves here.
        self._vitals.record_evaluation(self.now, stalled=False, unseen=[one.topic for one in dark], now=self.now)

    def _ask(self, partitions: Collection[int], _seconds: float) -> "dict[int, Future[ListOffsetsResultInfo]]":
        answers: dict[int, Future[ListOffsetsResultInfo]] = {partition: Future() for partition in partitions}
        for answer in answers.values() if "broker" not in self.stopped else ():
            answer.set_result(ListOffsetsResultInfo(10, 0, 0))
        return answers


def run(deployment: Deployment, until: int) -> None:
    while deployment.now < until:
        deployment.step()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("phase", range(0, 60, 7))
def test_a_missing_heartbeat_is_noticed_within_three_minutes(part: str, phase: int) -> None:
    deployment = Deployment()
    run(deployment, STOPS_AT + phase)
    assert deployment.beats == list(range(0, STOPS_AT + phase, 60)), "it beats while all is well"
    deployment.stopped.add(part)
    run(deployment, ENDS)
    reported = deployment.beats[-1] + OTHER_SIDE_SECONDS
    assert reported - (STOPS_AT + phase) <= 180
    if part in ("broker", "worker"):
        assert deployment.withheld == {
            "no sign of life from the worker of posts: it is gone, or Kafka does not respond to it",
        }


@pytest.mark.parametrize("part", ["broker", "worker", "store"])
def test_an_outage_of_half_a_minute_costs_at_most_one_heartbeat(part: str) -> None:
    """A rebalance, a broker that changes its leader, a worker or a store that is started again."""
    for phase in range(0, 60, 7):
        deployment = Deployment()
        run(deployment, STOPS_AT + phase)
        deployment.stopped.add(part)
        run(deployment, STOPS_AT + phase + 30)
        deployment.stopped.clear()
        run(deployment, ENDS)
        pauses = [after - before for before, after in zip(deployment.beats, deployment.beats[1:], strict=False)]
        assert max(pauses) <= OTHER_SIDE_SECONDS


def test_an_idle_topic_does_not_stop_the_heartbeat() -> None:
    deployment = Deployment()
    run(deployment, 2 * 3_600)
    assert (len(deployment.beats), deployment.withheld) == (2 * 60, set())
