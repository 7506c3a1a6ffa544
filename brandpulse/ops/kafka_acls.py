"""Kafka access rules (ACLs) that each service needs, and no more: as kafka-acls.sh commands, or created by an admin.

A client that reads without joining a group still looks up its coordinator and so needs Describe on the group. Read and
Write imply Describe; since Kafka 3.0 an idempotent producer needs only Write. The page does not use Kafka.
"""

from dataclasses import dataclass

from brandpulse.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Acl:
    """One permission of one service on one resource with an exact name."""

    user: str
    kind: str
    """"topic" or "group"."""
    name: str
    operation: str
    """Name in kafka-acls.sh: Read, Write, Describe, DescribeConfigs."""


def acls_of(settings: Settings) -> list[Acl]:
    """Rules for the topics, namespace and worker group of *settings*. `brandpulse kafka topics` creates the topics."""
    posts, scored = settings.posts_topic, settings.scored_topic
    letters, alerts = settings.dlq_topic, settings.alerts_topic
    wanted = {
        "worker": [
            ("topic", posts, "Read"),
            ("group", settings.consumer_group, "Read"),
            ("topic", scored, "Write"),
            ("topic", letters, "Write"),
        ],
        "alerter": [("topic", alerts, "Write")],
        # It reads the topic, so that posts of a file that is sent twice are sent once.
        # Records of a Kafka source that give no post become dead letters.
        "ingest": [
            ("topic", posts, "Write"),
            ("topic", posts, "Read"),
            ("topic", letters, "Write"),
            ("group", "brandpulse-ingest", "Describe"),
        ],
        # For `brandpulse doctor` and `brandpulse dlq`.
        "operator": [
            ("group", "brandpulse-scan", "Describe"),
            ("topic", letters, "Read"),
            ("topic", scored, "Read"),
            ("topic", posts, "Write"),
            *(("topic", topic, "DescribeConfigs") for topic in (posts, letters, alerts)),
        ],
    }
    return [Acl(f"brandpulse-{service}", *right) for service, rights in wanted.items() for right in rights]


def commands(acls: list[Acl], bootstrap_servers: str) -> list[str]:
    """One kafka-acls.sh command for each rule."""
    return [
        f"kafka-acls.sh --bootstrap-server {bootstrap_servers} --command-config admin.properties --add "
        f"--allow-principal User:{acl.user} --operation {acl.operation} --{acl.kind} '{acl.name}'"
        for acl in acls
    ]


def create(acls: list[Acl], bootstrap_servers: str) -> None:
    """Create the rules as the Kafka user of the settings, an admin. Raises ConfigError, TransientError."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import (
        AclBinding,
        AclOperation,
        AclPermissionType,
        AdminClient,
        ResourcePatternType,
        ResourceType,
    )

    from brandpulse.kafka.client import client_config
    from brandpulse.kafka.error_hints import kafka_fault

    kinds = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}
    operations = {
        "Read": AclOperation.READ,
        "Write": AclOperation.WRITE,
        "Describe": AclOperation.DESCRIBE,
        "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    }
    bindings = [
        AclBinding(
            kinds[acl.kind],
            acl.name,
            ResourcePatternType.LITERAL,
            f"User:{acl.user}",
            "*",
            operations[acl.operation],
            AclPermissionType.ALLOW,
        )
        for acl in acls
    ]
    try:
        admin = AdminClient(client_config(bootstrap_servers))  # a name keeps it alive until its results are read
        for future in admin.create_acls(bindings, request_timeout=30).values():
            future.result()
    except KafkaException as error:
        raise kafka_fault(bootstrap_servers, error) from error
