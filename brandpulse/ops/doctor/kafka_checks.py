"""Checks of `brandpulse doctor` in Kafka: whether it answers, how long it keeps records, how topics are configured."""

from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource

from brandpulse.config.settings import Settings
from brandpulse.errors import BrandpulseError
from brandpulse.kafka.client import client_config
from brandpulse.kafka.error_hints import kafka_fault
from brandpulse.ops.doctor.finding import Finding
from brandpulse.runtime.service_registry import read_addresses


def check_broker(settings: Settings) -> list[Finding]:
    """Findings for the broker and its topics; a broker that is unreachable or refuses is a finding."""
    address = settings.bootstrap_servers()
    admin = AdminClient(client_config(address) | {"log_level": 0, "socket.timeout.ms": 5_000})
    try:
        brokers = len(admin.list_topics(timeout=5).brokers)
    except KafkaException as error:
        fault = kafka_fault(address, error)
        start = "start it, or run `brandpulse up`; check BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS"
        remedy = start if str(fault).startswith("no Kafka broker answers") else str(fault)
        return [Finding("broker", f"no answer at {address}", remedy)]
    findings = [Finding("broker", f"answers at {address}{_nodes(brokers)}"), *_retention(settings, address)]
    for topic in (settings.posts_topic, settings.dlq_topic, settings.alerts_topic):
        findings += _topic(admin, topic, brokers)
    return findings


def _nodes(brokers: int) -> str:
    return f", {brokers} nodes" if brokers > 1 else ""


def _retention(settings: Settings, address: str) -> list[Finding]:
    """How long the records of a broker that `up` started live."""
    try:
        stack = read_addresses(settings.home)
    except BrandpulseError:
        return []
    keeps = stack.get("broker_keeps", "")
    if not keeps or stack.get("kafka_bootstrap_servers") != str(address):
        return []
    if "in memory" not in keeps:
        return [Finding("broker", keeps)]
    return [Finding("broker", keeps, "`brandpulse up --broker kafka` keeps them on disk", warning=True)]


def _topic(admin: AdminClient, topic: str, brokers: int) -> list[Finding]:
    """Findings for one topic. A missing topic is no fault: the service that needs it creates it."""
    try:
        found = admin.list_topics(topic, timeout=5).topics.get(topic)
        partitions = list(found.partitions.values()) if found is not None and found.error is None else []
        if not partitions:
            return []
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        config: dict[str, Any] = admin.describe_configs([resource], request_timeout=5)[resource].result()
    except KafkaException:
        return []  # the user has no DescribeConfigs
    return topic_findings(
        topic,
        {name: str(entry.value) for name, entry in config.items()},
        replicas=min(len(partition.replicas) for partition in partitions),
        brokers=brokers,
    )


def topic_findings(topic: str, config: dict[str, str], *, replicas: int, brokers: int) -> list[Finding]:
    """Settings of *topic* that may lose records. Pure."""
    findings = []
    alter = f"`kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config"
    if config.get("message.timestamp.type") == "CreateTime":
        findings.append(
            Finding(
                "broker",
                f"topic {topic} has message.timestamp.type=CreateTime: retention uses the producer's clock, so a "
                "replayed stream of last year is deleted within minutes",
                f"{alter} message.timestamp.type=LogAppendTime`",
                warning=True,
            )
        )
    if replicas >= 3 and config.get("min.insync.replicas") == "1":
        findings.append(
            Finding(
                "broker",
                f"topic {topic} has {replicas} replicas and min.insync.replicas=1: records that only one broker has "
                "acknowledged are lost with it",
                f"{alter} min.insync.replicas={replicas - 1}`",
                warning=True,
            )
        )
    if replicas == 1 < brokers:
        findings.append(
            Finding(
                "broker",
                f"topic {topic} has one replica in a cluster of {brokers}: it is unavailable while its broker is down",
                "reassign its partitions with kafka-reassign-partitions.sh; BRANDPULSE_REPLICATION_FACTOR=3 applies to "
                "topics that are created later",
                warning=True,
            )
        )
    return findings
