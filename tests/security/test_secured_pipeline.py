"""Every service with its own user on secured servers: all work is done, and neither secrets nor posts are logged."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from alerting.store.redis_store import RedisAlertStore
from brandpulse.config.settings import Settings
from brandpulse.devstack.mock_receiver import MockReceiver
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.ops.kafka_acls import acls_of, create
from brandpulse.redis.client import connect
from brandpulse.runtime.service_registry import running
from tests.faults.alerting.processes import start_alerter
from tests.faults.alerting.test_alerter_process import a_day_with_a_crisis, until, wall_ms
from tests.support.builders import NOON_MS, a_post
from tests.support.certificates import Authority
from tests.support.patience import patience
from tests.support.running_pipeline import Pipeline
from tests.support.secured_servers import SERVICES, SecuredKafka, SecuredRedis, acl_file, password_of

pytestmark = [pytest.mark.timeout(300), pytest.mark.needs_redis_tls]
POSTS = 300
TOPICS = ("posts", "scored", "dlq", "alerts")
MARK = "xylophone-quagmire"
"""Part of every post's text, of a broken post and of an author's name."""


class SecuredPipeline(Pipeline):
    """A pipeline in which each command has its own user."""

    def __init__(self, home: Path, kafka: SecuredKafka, redis: SecuredRedis, namespace: str) -> None:
        super().__init__(home, kafka.admin, redis.url, namespace)
        self.kafka, self.redis = kafka, redis

    def use_user(self, service: str) -> None:
        self.env |= self.kafka.env(service) | self.redis.env(service)

    def settings(self) -> Settings:
        topics = {f"{name}_topic": self.env[f"BRANDPULSE_{name.upper()}_TOPIC"] for name in TOPICS}
        return Settings.model_validate({"namespace": self.env["BRANDPULSE_NAMESPACE"], **topics})

    def logs(self) -> str:
        return "".join(path.read_text() for path in (self.home / "logs").glob("*.log"))


@pytest.fixture
def pipeline(
    tmp_path: Path, secured_kafka: SecuredKafka, authority: Authority, namespace: str
) -> Iterator[SecuredPipeline]:
    redis = SecuredRedis(tmp_path / "server", authority, users=acl_file(tmp_path, namespace, f"{namespace}.posts"))
    pipeline = SecuredPipeline(tmp_path, secured_kafka, redis, namespace)
    settings = pipeline.settings()
    topics = [pipeline.topic, f"{namespace}.scored", pipeline.dlq_topic, f"{namespace}.alerts"]
    ensure_topics(secured_kafka.admin, [Topic(topic, 2) for topic in topics])
    create(acls_of(settings), secured_kafka.admin)
    yield pipeline
    pipeline.stop()
    redis.stop()


def test_posts_flow_from_ingest_to_page_with_a_user_per_service(pipeline: SecuredPipeline) -> None:
    output = []
    pipeline.use_user("worker")
    worker = pipeline.service("worker")

    pipeline.use_user("ingest")
    posts = pipeline.home / "posts.jsonl"
    rows = (a_post(str(i), f"acme is awful {MARK}", NOON_MS + i * 100, author_id=f"{MARK}-{i}") for i in range(POSTS))
    posts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = pipeline.run("ingest", "file", str(posts), "--wait")
    assert done.returncode == 0, done.stderr + worker.log_tail()
    again = pipeline.run("ingest", "file", str(posts), "--again")
    assert again.returncode == 0, again.stderr
    output += [done.stdout, done.stderr, again.stderr]

    producer = Producer({"bootstrap.servers": pipeline.kafka.admin})
    for poison in (f'{{"text": "{MARK}', f'{{"schema_version": 1, "id": "{MARK}", "text": 7}}', f"\udc80{MARK}"):
        producer.produce(pipeline.topic, value=poison.encode(errors="surrogatepass"))
    producer.flush(patience(20))

    pipeline.use_user("operator")
    deadline = time.monotonic() + patience(60)
    while (stats := json.loads((pipeline.run("stats", "--json")).stdout or "{}")).get("dead") != 3 or stats["lag"]:
        assert time.monotonic() < deadline, f"{stats}\n{worker.log_tail()}"
    assert stats["brands"]["Acme"]["posts"] == POSTS
    assert stats["repeated"] == POSTS
    letters = pipeline.run("dlq", "list", "--json")
    assert len(letters.stdout.splitlines()) == 3, letters.stderr
    doctor = pipeline.run("doctor")
    assert "workers" in doctor.stdout
    assert "FAIL" not in doctor.stdout, doctor.stdout
    output += [doctor.stdout, doctor.stderr, letters.stderr]

    pipeline.use_user("page")
    page = pipeline.service("dashboards", "page")
    page.wait_ready(lambda: bool(running(pipeline.home, "page")))
    [facts] = running(pipeline.home, "page")
    with urllib.request.urlopen(f"{facts['url']}/readyz", timeout=patience(10)) as answer:
        assert answer.status == 200

    assert worker.stop() == 0, worker.log_tail()
    assert page.stop() == 0, page.log_tail()
    everything = "\n".join([*output, pipeline.logs()])
    assert "worker ready" in everything
    for service in SERVICES:
        assert password_of(service) not in everything, f"the password of {service}"
    assert MARK not in everything, next(line for line in everything.splitlines() if MARK in line)


async def test_alerter_pages_as_its_own_user(pipeline: SecuredPipeline, namespace: str) -> None:
    client = connect(pipeline.redis.address("test"))
    a_day_with_a_crisis().write(client, namespace, wall_ms=wall_ms())
    store = RedisAlertStore(client, namespace)
    async with MockReceiver() as mock:
        child = start_alerter(
            pipeline.home,
            redis_url=pipeline.redis.url,
            kafka=pipeline.kafka.listeners["SCRAM"],
            namespace=namespace,
            receiver_url=f"{mock.url}/v2/enqueue",
            **pipeline.kafka.env("alerter"),
            **pipeline.redis.env("alerter"),
        )
        await until(lambda: bool(store.load().closed) and not store.pending(), child=child)
        assert child.stop() == 0, child.log_tail()
    assert [one.status for one in mock.incidents.all] == ["resolved"]
    assert "forbids" not in child.log_tail(200)
    assert password_of("alerter") not in child.log.read_text()


@pytest.mark.parametrize(("service", "wrong"), [("worker", "KAFKA"), ("alerter", "REDIS")])
def test_wrong_password_names_the_setting_but_not_the_password(
    pipeline: SecuredPipeline, service: str, wrong: str
) -> None:
    pipeline.use_user(service)
    pipeline.env[f"BRANDPULSE_{wrong}_PASSWORD"] = "wr0ng-s3cr3t"
    done = pipeline.run(service)
    assert done.returncode == 2, done.stderr
    assert f"BRANDPULSE_{wrong}_PASSWORD" in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr


def test_worker_with_forbidden_group_logs_it_and_keeps_running(pipeline: SecuredPipeline) -> None:
    pipeline.use_user("worker")
    pipeline.env["BRANDPULSE_WORKER_GROUP"] = "foreign-group"
    worker = pipeline.service("worker")
    deadline = time.monotonic() + patience(60)
    while "lacks an ACL on a group" not in (log := worker.log.read_text()):
        assert worker.exit_code is None, worker.log_tail()
        assert time.monotonic() < deadline, worker.log_tail()
        time.sleep(0.1)
    assert "brandpulse kafka acls" in log
    assert worker.stop() == 0, worker.log_tail()


def test_worker_in_foreign_namespace_names_the_missing_rules(pipeline: SecuredPipeline) -> None:
    pipeline.use_user("worker")
    pipeline.env["BRANDPULSE_NAMESPACE"] = "elsewhere"
    done = pipeline.run("worker")
    assert done.returncode == 1
    assert "Redis denied access" in done.stderr
    assert "deploy/redis-users.acl" in done.stderr
