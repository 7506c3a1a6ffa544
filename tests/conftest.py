"""Real servers for the tests, started once a session on free loopback ports and stopped by process id."""

import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import settings

from brandpulse.devstack.embedded_servers import EmbeddedBroker, EmbeddedStore
from tests.support.crash_report import allow_core_files, native_stack
from tests.support.kafka_broker import ApacheKafka, KafkaCluster, why_not
from tests.support.patience import patience
from tests.support.repository import ROOT

# A time limit per example would measure the machine, not the code.
settings.register_profile("brandpulse", deadline=None)
settings.load_profile("brandpulse")

HANG_SECONDS = 180
"""A test that takes longer on an idle machine hangs: pytest-timeout ends it and prints every thread's stack."""


STARTED = time.time()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    allow_core_files()
    if config.getoption("timeout", None) is None:
        config.option.timeout = patience(HANG_SECONDS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """pytest-xdist: a test process ended. If it crashed, print where; xdist itself names the test."""
    if error:
        print(f"\n{node.gateway.id} crashed; its native stack:\n{native_stack(ROOT, since=STARTED)}", file=sys.stderr)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scale the limits that tests set for themselves, too."""
    for item in items:
        if (own := item.get_closest_marker("timeout")) is not None:
            item.add_marker(pytest.mark.timeout(patience(own.args[0])), append=False)


@pytest.fixture(scope="session")
def embedded_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def embedded_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path_factory.mktemp("store"))
    yield store
    store.stop()


@pytest.fixture
def redis_url(embedded_store: EmbeddedStore) -> str:
    """A real Valkey, shared by the session: keep apart by namespace."""
    return embedded_store.url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(redis_url)
    yield client
    client.close()


@pytest.fixture
def namespace() -> str:
    """A namespace (and topic prefix) for one test alone."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def kafka(embedded_broker: EmbeddedBroker) -> str:
    """Bootstrap servers of a real broker, shared by the session: keep apart by topic name."""
    return embedded_broker.bootstrap_servers


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    if reason := why_not():
        pytest.skip(reason)
    broker = ApacheKafka(tmp_path_factory.mktemp("apache-kafka"))
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three nodes, shared by the session. A test that kills one starts it again with `start`."""
    if reason := why_not():
        pytest.skip(reason)
    cluster = KafkaCluster(tmp_path_factory.mktemp("kafka-cluster"))
    yield cluster
    cluster.stop()
