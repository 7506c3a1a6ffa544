"""Where Kafka is, and with what a client logs in."""

from collections.abc import Mapping
from typing import Any, Self


class KafkaServers(str):
    """`host:port,...`, with what a client needs to log in. Printed, it is the addresses alone: safe to log."""

    client: Mapping[str, Any]
    """Settings of librdkafka; holds secrets."""

    def __new__(cls, addresses: str, client: Mapping[str, Any] | None = None) -> Self:
        servers = super().__new__(cls, addresses)
        servers.client = dict(client or {})
        return servers


def access_of(bootstrap_servers: str) -> Mapping[str, Any]:
    """What a client of *bootstrap_servers* sets to log in; nothing for a plain string."""
    return bootstrap_servers.client if isinstance(bootstrap_servers, KafkaServers) else {}


def host_ports(bootstrap_servers: str) -> list[tuple[str, int]]:
    """Each address of *bootstrap_servers*; what has no port is left out."""
    parts = (part.strip().rpartition(":") for part in bootstrap_servers.split(","))
    return [(host.strip("[]"), int(port)) for host, _, port in parts if host and port.isdigit()]
