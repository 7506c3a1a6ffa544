"""Access to Kafka: which users can log in, how errors name the setting, and what each service's user may do."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from brandpulse.config.settings import Settings, load_settings
from brandpulse.errors import ConfigError, TransientError
from brandpulse.kafka.address import KafkaServers
from brandpulse.kafka.client import client_config, producer_config
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.ops.doctor.kafka_checks import check_broker
from brandpulse.ops.kafka_acls import Acl, acls_of, commands, create
from tests.support.certificates import Authority
from tests.support.patience import patience, wait_until
from tests.support.secured_servers import SERVICES, SecuredKafka, password_of

pytestmark = pytest.mark.timeout(180)
Env = Callable[..., Settings]


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Env:
    def load(env: dict[str, str], **changes: str) -> Settings:
        for name, value in (env | changes).items():
            monkeypatch.setenv(name, value)
        return load_settings(Settings)

    return load


@pytest.fixture
def names(namespace: str) -> dict[str, str]:
    return {
        "BRANDPULSE_NAMESPACE": namespace,
        "BRANDPULSE_POSTS_TOPIC": f"{namespace}.posts",
        "BRANDPULSE_SCORED_TOPIC": f"{namespace}.scored",
        "BRANDPULSE_DLQ_TOPIC": f"{namespace}.dlq",
        "BRANDPULSE_ALERTS_TOPIC": f"{namespace}.alerts",
    }


@pytest.fixture
def topics_with_acls(secured_kafka: SecuredKafka, settings_of: Env, names: dict[str, str]) -> dict[str, str]:
    """Topics and ACLs, made by the admin; gives the names as settings."""
    settings = settings_of(names)
    topics = [settings.posts_topic, settings.scored_topic, settings.dlq_topic, settings.alerts_topic]
    ensure_topics(secured_kafka.admin, [Topic(name) for name in topics])
    # A group for the tests' own readers, so that topics alone decide.
    groups = [Acl(f"brandpulse-{service}", "group", "none", "Read") for service in SERVICES]
    acls = [*acls_of(settings), *groups]
    create(acls, secured_kafka.admin)
    wait_until_in_force(secured_kafka.admin, acls)
    return names


def wait_until_in_force(admin: str, acls: list[Acl]) -> None:
    """Wait: the controller confirms an ACL seconds before the broker of a busy machine enforces it."""
    client = AdminClient(client_config(admin))
    every = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    wanted = {(acl.name, f"User:{acl.user}", acl.operation.casefold()) for acl in acls}

    def in_force() -> set[tuple[str, str, str]]:
        found = client.describe_acls(every).result(timeout=patience(20))
        return {(acl.name, acl.principal, acl.operation.name.replace("_", "").casefold()) for acl in found}

    wait_until(lambda: wanted <= in_force(), "the broker enforces every ACL")


@pytest.mark.parametrize("listener", ["SCRAM", "PLAIN", "MUTUAL"])
def test_worker_connects_through_every_supported_listener(
    secured_kafka: SecuredKafka, settings_of: Env, topics_with_acls: dict[str, str], listener: str
) -> None:
    settings = settings_of(secured_kafka.env("worker", listener) | topics_with_acls)
    assert (
        settings.posts_topic
        in AdminClient(client_config(settings.bootstrap_servers())).list_topics(timeout=patience(20)).topics
    )


@pytest.mark.parametrize(
    ("listener", "changes", "variable"),
    [
        ("SCRAM", {"PASSWORD": "wr0ng-s3cr3t"}, "BRANDPULSE_KAFKA_PASSWORD"),
        ("PLAIN", {"PASSWORD": "wr0ng-s3cr3t"}, "BRANDPULSE_KAFKA_PASSWORD"),
        ("SCRAM", {"USERNAME": "unknown"}, "BRANDPULSE_KAFKA_USERNAME"),
        ("SCRAM", {"SASL_MECHANISM": "PLAIN"}, "BRANDPULSE_KAFKA_SASL_MECHANISM"),
        ("SCRAM", {"CA_FILE": "other"}, "BRANDPULSE_KAFKA_CA_FILE"),
        ("SCRAM", {"CA_FILE": ""}, "BRANDPULSE_KAFKA_CA_FILE"),
        ("EXPIRED", {}, "out of date (certificate has expired)"),
        ("ELSEWHERE", {}, "for another host (IP address mismatch"),
        ("MUTUAL", {"CERT_FILE": "", "KEY_FILE": ""}, "BRANDPULSE_KAFKA_CERT_FILE"),
        ("PLAINTEXT", {}, "BRANDPULSE_KAFKA_SECURITY_PROTOCOL"),
    ],
)
def test_refused_login_names_the_setting_but_not_the_secret(
    secured_kafka: SecuredKafka,
    other_authority: Authority,
    settings_of: Env,
    names: dict[str, str],
    listener: str,
    changes: dict[str, str],
    variable: str,
) -> None:
    found = {name: str(other_authority.file) if value == "other" else value for name, value in changes.items()}
    env = secured_kafka.env("worker", listener) | {f"BRANDPULSE_KAFKA_{name}": value for name, value in found.items()}
    settings = settings_of(env | names)
    [finding] = check_broker(settings)
    assert variable in finding.remedy
    for secret in ("wr0ng-s3cr3t", password_of("worker")):
        assert secret not in f"{finding.observation} {finding.remedy}"


def test_refused_user_stops_the_start(secured_kafka: SecuredKafka, settings_of: Env, names: dict[str, str]) -> None:
    settings = settings_of(secured_kafka.env("worker") | names, BRANDPULSE_KAFKA_PASSWORD="wr0ng")
    with pytest.raises(ConfigError, match="BRANDPULSE_KAFKA_PASSWORD"):
        ensure_topics(settings.bootstrap_servers(), [Topic(settings.posts_topic)])


def test_plaintext_client_on_tls_listener_names_the_setting(secured_kafka: SecuredKafka, settings_of: Env) -> None:
    settings = settings_of({"BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": secured_kafka.listeners["SCRAM"]})
    with pytest.raises(TransientError, match="BRANDPULSE_KAFKA_SECURITY_PROTOCOL"):
        ensure_topics(settings.bootstrap_servers(), [Topic("posts")])


def test_missing_acl_names_the_user_and_the_acls_command(
    secured_kafka: SecuredKafka, settings_of: Env, names: dict[str, str]
) -> None:
    settings = settings_of(secured_kafka.env("worker") | names)
    with pytest.raises(ConfigError, match="brandpulse-worker") as caught:
        ensure_topics(settings.bootstrap_servers(), [Topic(settings.posts_topic)])
    assert "brandpulse kafka acls" in str(caught.value)


def may_write(servers: str, topic: str) -> bool:
    failed: list[KafkaError] = []
    producer = Producer(producer_config(servers) | {"message.timeout.ms": 15_000})
    producer.produce(topic, value=b"x", on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(patience(20)) == 0
    codes = {error.code() for error in failed}
    assert codes <= {KafkaError.TOPIC_AUTHORIZATION_FAILED}, failed
    return not codes


def may_see(servers: str, topic: str) -> bool:
    admin = AdminClient(client_config(servers))
    for _ in range(round(patience(50))):  # of 0.2 s
        error = admin.list_topics(topic, timeout=patience(20)).topics[topic].error
        if error is None:
            return True
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return False
        # Seen once on a busy machine: probably a new topic had no leader yet.
        admin.poll(0.2)
    return False


def may_read(servers: str, topic: str) -> bool:
    if not may_see(servers, topic):
        return False
    consumer = Consumer(client_config(servers) | {"group.id": "none", "enable.partition.eof": True})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        for _ in range(round(patience(100))):  # of 0.2 s
            message = consumer.poll(0.2)
            error = None if message is None else message.error()
            if message is not None and (error is None or error.code() == KafkaError._PARTITION_EOF):
                return True
            if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return False
    finally:
        consumer.close()
    raise AssertionError("neither record nor error")


RIGHTS = {
    "worker": {"posts": "r", "scored": "w", "dlq": "w", "alerts": ""},
    "alerter": {"posts": "", "scored": "", "dlq": "", "alerts": "w"},
    "ingest": {"posts": "rw", "scored": "", "dlq": "w", "alerts": ""},
    "operator": {"posts": "w", "scored": "r", "dlq": "r", "alerts": ""},
    "page": {"posts": "", "scored": "", "dlq": "", "alerts": ""},
}


@pytest.mark.parametrize("service", RIGHTS)
def test_each_user_has_only_the_rights_of_its_service(
    secured_kafka: SecuredKafka, settings_of: Env, topics_with_acls: dict[str, str], service: str
) -> None:
    settings = settings_of(secured_kafka.env(service) | topics_with_acls)
    servers = settings.bootstrap_servers()
    for kind, expected in RIGHTS[service].items():
        topic = f"{settings.namespace}.{kind}"
        found = ("r" if may_read(servers, topic) else "") + ("w" if may_write(servers, topic) else "")
        assert found == expected, f"{service} on {kind}"
    with pytest.raises((ConfigError, KafkaException)):
        ensure_topics(servers, [Topic(f"{settings.namespace}.new")])


def test_printed_commands_match_created_acls(settings_of: Env, names: dict[str, str]) -> None:
    acls = acls_of(settings_of(names))
    lines = commands(acls, "kafka:9092")
    assert len(lines) == len(acls)
    assert (
        "kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add "
        f"--allow-principal User:brandpulse-worker --operation Read --topic '{names['BRANDPULSE_POSTS_TOPIC']}'"
    ) in lines
    assert Acl("brandpulse-worker", "group", f"brandpulse-{names['BRANDPULSE_NAMESPACE']}-workers", "Read") in acls
    named = acls_of(settings_of({**names, "BRANDPULSE_WORKER_GROUP": "sentiment"}))
    assert Acl("brandpulse-worker", "group", "sentiment", "Read") in named


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, ["USERNAME", "PASSWORD"]),
        ({"USERNAME": "u", "PASSWORD": "p"}, ["SECURITY_PROTOCOL=SASL_SSL"]),
        (
            {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_MECHANISM": "PLAIN", "USERNAME": "u", "PASSWORD": "p"},
            ["in the clear", "SCRAM-SHA-512"],
        ),
        ({"CA_FILE": __file__}, ["CA_FILE", "SECURITY_PROTOCOL=SSL"]),
        ({"SECURITY_PROTOCOL": "SSL", "CERT_FILE": __file__}, ["CERT_FILE", "KEY_FILE"]),
        ({"SECURITY_PROTOCOL": "SSL", "CA_FILE": "/nowhere.pem"}, ["CA_FILE", "/nowhere.pem"]),
        ({"SECURITY_PROTOCOL": "TLS"}, ["SECURITY_PROTOCOL", "SASL_SSL"]),
    ],
)
def test_contradicting_settings_stop_the_start(settings_of: Env, wrong: dict[str, str], names: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of({f"BRANDPULSE_KAFKA_{name}": value for name, value in wrong.items()})
    for name in names:
        assert name in str(caught.value)


def test_printed_address_holds_no_credentials() -> None:
    client: dict[str, Any] = {"sasl.password": "s3cr3t"}
    servers = KafkaServers("kafka:9092", client)
    assert f"{servers} {servers!r}" == "kafka:9092 'kafka:9092'"
    assert client_config(servers)["sasl.password"] == "s3cr3t"
