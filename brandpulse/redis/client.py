"""Clients of Redis: one server, a cluster, or the primary that Sentinels name (see `brandpulse.redis.address`)."""

import ssl
import time
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from brandpulse.errors import ConfigError
from brandpulse.redis.address import RedisAddress, RedisLocation, parse_address
from brandpulse.redis.error_hints import OUTAGES, redis_fault


def connect(
    url: str,
    *,
    timeout_seconds: float = 10.0,
    connect_timeout_seconds: float = 5.0,
    retries: int | None = None,
    patience_seconds: float = 0.0,
) -> redis.Redis:
    """A client for *url*, not connected yet; a cluster's client fetches the list of nodes at once.

    *retries*: how often the client itself tries again after a lost connection; unset, redis-py's default.
    *patience_seconds*: how long to wait for a cluster that does not answer yet. A cluster's client has the methods
    of one server's that are used here, so both have that type. Raises ConfigError, TransientError.
    """
    location = parse_address(url)
    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": connect_timeout_seconds,
        **({"username": location.user} if location.user else {}),
        **({"password": location.password} if location.password else {}),
        **({"ssl": True, "ssl_min_version": ssl.TLSVersion.TLSv1_2} if location.tls else {}),
        **(url.options if isinstance(url, RedisAddress) else {}),
    }
    if not location.tls:
        options = {name: value for name, value in options.items() if not name.startswith("ssl")}
    retry: dict[str, Any] = {} if retries is None else {"retry": Retry(NoBackoff(), retries)}
    if location.kind == "cluster":
        return _cluster(location, options | retry, patience_seconds)
    if location.kind == "sentinel":
        sentinel_options = url.sentinel_options if isinstance(url, RedisAddress) else {}
        tls = {name: value for name, value in options.items() if name.startswith(("ssl", "socket_"))}
        sentinels = Sentinel(list(location.hosts), sentinel_kwargs={**tls, **sentinel_options}, **options)  # type: ignore[no-untyped-call]
        return cast(redis.Redis, sentinels.master_for(location.service, db=location.db, **retry))  # type: ignore[no-untyped-call]
    [(host, port)] = location.hosts
    return redis.Redis(host=host, port=port, db=location.db, **options, **retry)


def _cluster(location: RedisLocation, options: dict[str, Any], patience_seconds: float) -> redis.Redis:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return cast(redis.Redis, RedisCluster(startup_nodes=_nodes(location), **options))
        except OUTAGES as error:
            fault = redis_fault(error)
            if isinstance(fault, ConfigError) or time.monotonic() > deadline:
                raise fault from error
            time.sleep(0.5)


def _nodes(location: RedisLocation) -> list[ClusterNode]:
    return [ClusterNode(host, port) for host, port in location.hosts]  # type: ignore[no-untyped-call]


def primaries(client: redis.Redis) -> list[redis.Redis]:
    """A client for each primary of a cluster; of one server, *client* itself."""
    if not isinstance(client, RedisCluster):
        return [client]
    return [client.get_redis_connection(node) for node in client.get_primaries()]


def node_for(client: redis.Redis, key: str) -> redis.Redis:
    """The server that holds *key* now."""
    if not isinstance(client, RedisCluster):
        return client
    return client.get_redis_connection(client.get_node_from_key(key))


def script_target(client: redis.Redis, key: str) -> dict[str, Any]:
    """Options of a script in a pipeline. Without them a cluster's client asks a server for the script's keys."""
    return {"target_nodes": client.get_node_from_key(key)} if isinstance(client, RedisCluster) else {}


def check_connection(client: redis.Redis) -> None:
    """At a start: raises ConfigError for errors that no waiting mends, such as a wrong password."""
    try:
        for node in primaries(client):
            node.ping()
    except (redis.RedisError, redis.exceptions.RedisClusterException) as error:
        fault = redis_fault(error)
        if isinstance(fault, ConfigError):
            raise fault from error
