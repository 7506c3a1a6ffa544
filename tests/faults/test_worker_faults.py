"""Redis, Kafka or the worker itself fails: the counts stay exact, and nothing hangs."""

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from brandpulse.devstack.embedded_servers import EmbeddedBroker, EmbeddedStore
from brandpulse.kafka.topic_scan import read_to_end
from brandpulse.runtime.service_registry import running
from stream_workers.app import EXIT_WATCHDOG
from tests.support.builders import NOON_MS, a_post
from tests.support.patience import patience, wait_until
from tests.support.running_pipeline import Pipeline, counted

POSTS = 6_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "store", appendfsync="always")
    yield store
    store.child.signal(signal.SIGCONT)
    store.stop()


@pytest.fixture
def pipeline(tmp_path: Path, kafka: str, store: EmbeddedStore, namespace: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(
        tmp_path,
        kafka,
        store.url,
        namespace,
        BRANDPULSE_WORKER_WATCHDOG_SECONDS="5",
        BRANDPULSE_WORKER_BATCH_POSTS="64",
    )
    pipeline.create_topics()
    yield pipeline
    pipeline.stop()


def stream(first: int, last: int) -> list[dict[str, object]]:
    return [a_post(str(i), "acme is awful", NOON_MS + i * 100) for i in range(first, last)]


def test_after_sigterm_within_a_backlog_the_next_worker_finishes_it(pipeline: Pipeline) -> None:
    pipeline.produce(stream(0, POSTS))
    worker = pipeline.service("worker")
    pipeline.wait_for(lambda stats: 0 < counted(stats) < POSTS)
    worker.signal(signal.SIGTERM)
    assert worker.wait(patience(20)) == 0, worker.log_tail()
    assert counted(pipeline.stats()) < POSTS, "it stopped before the end"
    pipeline.service("worker")
    stats = pipeline.wait_for(lambda stats: counted(stats) >= POSTS and stats["lag"] == 0)
    assert (counted(stats), stats["repeated"]) == (POSTS, 0)


def test_redis_killed_under_load_and_restarted_loses_and_doubles_nothing(
    pipeline: Pipeline, store: EmbeddedStore, tmp_path: Path
) -> None:
    pipeline.produce(stream(0, POSTS))
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) > POSTS // 4)
    store.child.kill()
    revived = EmbeddedStore(tmp_path / "store", port=store.port, appendfsync="always")
    try:
        stats = pipeline.wait_for(lambda stats: counted(stats) >= POSTS and stats["lag"] == 0)
        assert (counted(stats), stats["repeated"]) == (POSTS, 0)
    finally:
        revived.stop()


def asked(pipeline: Pipeline, path: str) -> tuple[int, str]:
    """HTTP status and `status` of the worker's answer."""
    [facts] = running(pipeline.home, "worker")
    try:
        with urllib.request.urlopen(f"{facts['url']}{path}", timeout=patience(5)) as answer:
            return answer.status, json.load(answer)["status"]
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)["status"]


def test_a_worker_is_ready_only_while_redis_answers(pipeline: Pipeline, store: EmbeddedStore, tmp_path: Path) -> None:
    pipeline.produce(stream(0, 100))
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 100)
    assert asked(pipeline, "/readyz") == (200, "ready")
    assert asked(pipeline, "/healthz") == (200, "ok")
    store.child.kill()
    wait_until(lambda: asked(pipeline, "/readyz")[0] == 503, seconds=60)
    assert "Redis" in asked(pipeline, "/readyz")[1]
    revived = EmbeddedStore(tmp_path / "store", port=store.port, appendfsync="always")
    try:
        wait_until(lambda: asked(pipeline, "/readyz") == (200, "ready"), seconds=60)
    finally:
        revived.stop()


def test_a_worker_without_progress_is_unhealthy_before_it_exits(pipeline: Pipeline, store: EmbeddedStore) -> None:
    pipeline.env["BRANDPULSE_WORKER_WATCHDOG_SECONDS"] = "20"
    pipeline.produce(stream(0, 100))
    worker = pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 100)
    store.child.signal(signal.SIGSTOP)
    pipeline.produce(stream(100, 200))
    wait_until(lambda: asked(pipeline, "/healthz")[0] == 503, seconds=60)
    assert "none was counted for" in asked(pipeline, "/healthz")[1]
    assert worker.exit_code is None
    store.child.signal(signal.SIGCONT)


def test_a_worker_that_makes_no_progress_exits_for_its_supervisor(pipeline: Pipeline, store: EmbeddedStore) -> None:
    pipeline.produce(stream(0, 100))
    worker = pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 100)
    store.child.signal(signal.SIGSTOP)
    pipeline.produce(stream(100, 200))
    assert worker.wait(patience(60)) == EXIT_WATCHDOG
    assert "watchdog: lag and no progress" in worker.log_tail()
    store.child.signal(signal.SIGCONT)
    pipeline.service("worker")
    stats = pipeline.wait_for(lambda stats: counted(stats) >= 200 and stats["lag"] == 0)
    assert (counted(stats), stats["repeated"]) == (200, 0)


def test_redis_that_lost_its_last_writes_is_refilled_from_the_log(
    pipeline: Pipeline, store: EmbeddedStore, tmp_path: Path
) -> None:
    """No post arrives meanwhile: only the status report can reveal the loss."""
    pipeline.produce(stream(0, POSTS))
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == POSTS and stats["lag"] == 0)
    store.child.kill()
    [log] = (tmp_path / "store" / "valkey" / "appendonlydir").glob("*.incr.aof")
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size // 2)
    revived = EmbeddedStore(tmp_path / "store", port=store.port, appendfsync="always")
    try:
        assert counted(pipeline.stats()) < POSTS, "something was lost"
        pipeline.wait_for(lambda stats: counted(stats) == POSTS and stats["lag"] == 0)
    finally:
        revived.stop()


@pytest.mark.parametrize("topics", ["at once", "when the group has met without"])
def test_a_broker_that_restarts_empty_is_read_from_its_first_offset(
    tmp_path: Path, redis_url: str, namespace: str, topics: str
) -> None:
    broker = EmbeddedBroker(tmp_path / "broker")
    pipeline = Pipeline(tmp_path, broker.bootstrap_servers, redis_url, namespace)
    pipeline.create_topics()
    try:
        pipeline.produce(stream(0, 500))
        worker = pipeline.service("worker")
        pipeline.wait_for(lambda stats: counted(stats) == 500)
        broker.child.kill()
        broker = EmbeddedBroker(tmp_path / "broker", port=broker.port)
        deadline = time.monotonic() + patience(60)
        while topics != "at once" and "assigned partitions=[]" not in worker.log.read_text():
            assert time.monotonic() < deadline, worker.log_tail()
            time.sleep(0.1)
        pipeline.create_topics()
        pipeline.produce(stream(500, 1_000))
        # Fresh from its start, this broker may store what a producer sends again; those are repeats, and only those.
        records = sum(1 for _ in read_to_end(broker.bootstrap_servers, pipeline.topic))
        stats = pipeline.wait_for(lambda stats: counted(stats) + stats["repeated"] >= 500 + records, seconds=90)
        assert (counted(stats), stats["repeated"]) == (1_000, records - 500)
        assert worker.exit_code is None, worker.log_tail()
    finally:
        pipeline.stop()
        broker.stop()
