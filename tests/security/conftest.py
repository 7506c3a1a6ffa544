"""Secured servers, one of each per session; every test has its own topics and namespace."""

import shutil
from collections.abc import Iterator

import pytest

from tests.support.certificates import Authority
from tests.support.kafka_broker import why_not
from tests.support.secured_servers import SecuredKafka


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other-authority"), "other-ca")


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SecuredKafka]:
    if reason := why_not():
        pytest.skip(reason)
    kafka = SecuredKafka(tmp_path_factory.mktemp("secured-kafka"), authority)
    yield kafka
    kafka.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: one of a module starts the server."""
    if item.get_closest_marker("needs_redis_tls") and shutil.which("redis-server") is None:
        pytest.skip("no redis-server here: the wheel's Valkey has no TLS")
