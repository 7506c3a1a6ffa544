"""What `brandpulse doctor` looks at in Kafka: whether it answers, whose it is, and how its topics are kept."""

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
    """Never raises for a broker that is away or refuses: that is a finding."""
    address = settings.bootstrap_servers()
    admin = AdminClient(client_config(address) | {"log_level": 0, "socket.timeout.ms": 5_000})
    try:
        brokers = len(admin.list_topics(timeout=5).brokers)
    except KafkaException as error:
        told = kafka_fault(address, error)
        start = "start it, or `brandpulse up`; check BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS"
        remedy = start if str(told).startswith("no Kafka broker answers") else str(told)
        return [Finding("broker", f"no answer at {address}", remedy)]
    findings = [Finding("broker", f"answers at {address}{_nodes(brokers)}"), *_kept(settings, address)]
    for topic in (settings.posts_topic, settings.dlq_topic, settings.alerts_topic):
        findings += _topic(admin, topic, brokers)
    return findings


def _nodes(brokers: int) -> str:
    return f", {brokers} nodes" if brokers > 1 else ""


def _kept(settings: Settings, address: str) -> list[Finding]:
    """Of the broker that `up` started, how long its records live."""
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
    """A missing topic is no fault: whoever needs it makes it."""
    try:
        found = admin.list_topics(topic, timeout=5).topics.get(topic)
        partitions = list(found.partitions.values()) if found is not None and found.error is None else []
        if not partitions:
            return []
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        kept: dict[str, Any] = admin.describe_configs([resource], request_timeout=5)[resource].result()
    except KafkaException:
        return []  # without DescribeConfigs nobody may know
    return judge_topic(
        topic,
        {name: str(entry.value) for name, entry in kept.items()},
        replicas=min(len(partition.replicas) for partition in partitions),
        brokers=brokers,
    )


def judge_topic(topic: str, kept: dict[str, str], *, replicas: int, brokers: int) -> list[Finding]:
    """What is wrong with how *topic* is *kept*. Pure."""
    findings = []
    alter = f"`kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config"
    if kept.get("message.timestamp.type") == "CreateTime":
        findings.append(
            Finding(
                "broker",
                f"topic {topic} has message.timestamp.type=CreateTime: retention goes by a producer's clock, and a "
                "replayed stream of last year is deleted within minutes",
                f"{alter} message.timestamp.type=LogAppendTime`",
                warning=True,
            )
        )
    if replicas >= 3 and kept.get("min.insync.replicas") == "1":
        findings.append(
            Finding(
                "broker",
                f"topic {topic} has {replicas} replicas and min.insync.replicas=1: what one broker alone acknowledged "
                "is lost with it",
                f"{alter} min.insync.replicas={replicas - 1}`",
                warning=True,
            )
        )
    if replicas == 1 < brokers:
        findings.append(
            Finding(
                "broker",
                f"topic {topic} has one replica in a cluster of {brokers}: it stands still with its broker",
                "reassign its partitions with kafka-reassign-partitions.sh; BRANDPULSE_REPLICATION_FACTOR=3 does so "
                "for topics that are still to be made",
                warning=True,
            )
        )
    return findings
