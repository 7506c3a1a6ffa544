"""How every part of brandpulse reaches Redis: one server, a cluster, or whatever Sentinels name; with TLS and a user.

The address says which, and may hold user and password (`redis://user:password@host:6379/0`):

    redis://host:6379/0                         one server
    redis+cluster://host:7000,host:7001         a cluster, from any of its nodes
    redis+sentinel://host:26379,host:26380/main the primary that Sentinels know as "main"
    rediss://..., rediss+cluster://, ...        the same over TLS
"""

import contextlib
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from brandpulse.config.kafka_settings import untrusted
from brandpulse.errors import BrandpulseError, ConfigError, TransientError

OUTAGES = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.BusyLoadingError,
    # A cluster that has no majority, or a slot between two primaries. The first is no RedisError at all.
    redis.exceptions.RedisClusterException,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
    # Until somebody grants it.
    redis.exceptions.NoPermissionError,
)
"""What passes without us: ask again."""

_URL = re.compile(
    r"(?P<tls>redis|rediss)(\+(?P<kind>cluster|sentinel))?://"
    r"((?P<user>[^:@/]*)(:(?P<password>[^@/]*))?@)?(?P<hosts>[^/?]+)(/(?P<path>[^?/]*(/\d*)?))?"
)
_PORTS = {"": 6379, "cluster": 6379, "sentinel": 26379}
DOCS = "docs/how-to/production.md"


class RedisAddress(str):
    """A Redis URL, password and all (do not log it), with what a client needs beside it."""

    options: Mapping[str, Any]
    sentinel_options: Mapping[str, Any]

    def __new__(
        cls, url: str, options: Mapping[str, Any] | None = None, sentinel_options: Mapping[str, Any] | None = None
    ) -> "RedisAddress":
        address = super().__new__(cls, url)
        address.options = dict(options or {})
        address.sentinel_options = dict(sentinel_options or {})
        return address

    def __repr__(self) -> str:
        return f"RedisAddress({shown(self)!r})"


@dataclass(frozen=True, slots=True)
class Place:
    """What an address says, taken apart."""

    kind: str
    """"" (one server), "cluster" or "sentinel"."""
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    user: str | None
    password: str | None
    service: str
    db: int


def place_of(url: str) -> Place:
    """Raises ConfigError for what is no address of Redis. The message holds no password."""
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError(
            f"BRANDPULSE_REDIS_URL: {shown(url)!r} is no address. Right ones: redis://127.0.0.1:6379/0, "
            "rediss://user:password@redis.example:6379/0, redis+cluster://a:7000,b:7000, "
            "redis+sentinel://a:26379/main. Nothing stands behind a ?; in a password ?, / and @ are %3F, %2F and %40"
        )
    kind = found["kind"] or ""
    try:
        hosts = tuple(_host(part, _PORTS[kind]) for part in found["hosts"].split(","))
        service, _, db = (found["path"] or "").partition("/") if kind == "sentinel" else ("", "", found["path"] or "")
        number = int(db or 0)
    except ValueError:
        raise ConfigError(f"BRANDPULSE_REDIS_URL: a port or database number in {shown(url)!r} is no number") from None
    if kind == "sentinel" and not service:
        raise ConfigError(
            "BRANDPULSE_REDIS_URL: a Sentinel address ends with the service's name, "
            "for example BRANDPULSE_REDIS_URL=redis+sentinel://127.0.0.1:26379/main"
        )
    if kind == "cluster" and number:
        raise ConfigError("BRANDPULSE_REDIS_URL: a cluster has database 0 only; leave the number out")
    user, password = (unquote(found[part]) if found[part] else None for part in ("user", "password"))
    return Place(kind, found["tls"] == "rediss", hosts, user, password, service, number)


def shown(url: str) -> str:
    """*url* without user and password: what may be logged."""
    return re.sub(r"//[^/]*@", "//", url)


def connect(
    url: str,
    *,
    timeout_seconds: float = 10.0,
    connect_timeout_seconds: float = 5.0,
    retries: int | None = None,
    patience_seconds: float = 0.0,
) -> redis.Redis:
    """A client for *url*, which reaches nothing yet (a cluster's client asks for its nodes at once).

    *retries*: how often the client itself asks again after a lost connection; unset, as redis-py does.
    *patience_seconds*: how long a cluster that is not there yet is waited for. A cluster's client has all we use of
    one server's, so it goes by its type. Raises ConfigError, TransientError.
    """
    place = place_of(url)
    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": connect_timeout_seconds,
        **({"username": place.user} if place.user else {}),
        **({"password": place.password} if place.password else {}),
        **({"ssl": True, "ssl_min_version": ssl.TLSVersion.TLSv1_2} if place.tls else {}),
        **(url.options if isinstance(url, RedisAddress) else {}),
    }
    if not place.tls:
        options = {name: value for name, value in options.items() if not name.startswith("ssl")}
    retry: dict[str, Any] = {} if retries is None else {"retry": Retry(NoBackoff(), retries)}
    if place.kind == "cluster":
        return _cluster(place, options | retry, patience_seconds)
    if place.kind == "sentinel":
        beside = url.sentinel_options if isinstance(url, RedisAddress) else {}
        tls = {name: value for name, value in options.items() if name.startswith(("ssl", "socket_"))}
        sentinels = Sentinel(list(place.hosts), sentinel_kwargs={**tls, **beside}, **options)  # type: ignore[no-untyped-call]
        return cast(redis.Redis, sentinels.master_for(place.service, db=place.db, **retry))  # type: ignore[no-untyped-call]
    [(host, port)] = place.hosts
    return redis.Redis(host=host, port=port, db=place.db, **options, **retry)


def _cluster(place: Place, options: dict[str, Any], patience_seconds: float) -> redis.Redis:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return cast(redis.Redis, RedisCluster(startup_nodes=_nodes(place), **options))
        except OUTAGES as error:
            told = fault(error)
            if isinstance(told, ConfigError) or time.monotonic() > deadline:
                raise told from error
            time.sleep(0.5)


def _nodes(place: Place) -> list[ClusterNode]:
    return [ClusterNode(host, port) for host, port in place.hosts]  # type: ignore[no-untyped-call]


def nodes_of(client: redis.Redis) -> list[redis.Redis]:
    """Each primary of a cluster by itself; of one server, that server."""
    if not isinstance(client, RedisCluster):
        return [client]
    return [client.get_redis_connection(node) for node in client.get_primaries()]


def node_for(client: redis.Redis, key: str) -> redis.Redis:
    """The server that holds *key* now."""
    if not isinstance(client, RedisCluster):
        return client
    return client.get_redis_connection(client.get_node_from_key(key))


def routed(client: redis.Redis, key: str) -> dict[str, Any]:
    """Options for a script in a pipeline, whose keys a cluster's client would ask the server for, values and all."""
    return {"target_nodes": client.get_node_from_key(key)} if isinstance(client, RedisCluster) else {}


def reach(client: redis.Redis) -> None:
    """At a start: raises ConfigError for what no waiting mends, a wrong password say. A server may come yet."""
    try:
        for node in nodes_of(client):
            node.ping()
    except (redis.RedisError, redis.exceptions.RedisClusterException) as error:
        told = fault(error)
        if isinstance(told, ConfigError):
            raise told from error


_TLS = (
    (
        "certificate required",
        "set BRANDPULSE_REDIS_CERT_FILE and BRANDPULSE_REDIS_KEY_FILE: it wants one of ours",
    ),
    # It hung up before its reason was read: who is first is chance.
    (
        "EOF occurred in violation of protocol",
        "it hung up; if it wants a certificate of ours, set BRANDPULSE_REDIS_CERT_FILE and BRANDPULSE_REDIS_KEY_FILE",
    ),
    ("alert", "set BRANDPULSE_REDIS_CERT_FILE and BRANDPULSE_REDIS_KEY_FILE to a certificate that the server trusts"),
    ("WRONG_VERSION_NUMBER", "it speaks no TLS there: BRANDPULSE_REDIS_URL begins with redis://, or has another port"),
    ("record layer failure", "it speaks no TLS there: BRANDPULSE_REDIS_URL begins with redis://, or has another port"),
)


def fault(error: Exception) -> BrandpulseError:
    """*error* of redis-py in our words: ConfigError with the setting that mends it, TransientError where time may."""
    text = str(error)
    if isinstance(error, redis.exceptions.AuthenticationError) or "WRONGPASS" in text or "NOAUTH" in text:
        return ConfigError(
            f"Redis does not let us in ({text}). Check BRANDPULSE_REDIS_USERNAME and BRANDPULSE_REDIS_PASSWORD, "
            "or user and password in BRANDPULSE_REDIS_URL"
        )
    if isinstance(error, redis.exceptions.NoPermissionError) or "NOPERM" in text or "ACL failure" in text:
        return TransientError(
            f"Redis forbids it ({text}). Give BRANDPULSE_REDIS_USERNAME the rules of deploy/redis-users.acl ({DOCS})"
        )
    if "certificate verify failed" in text:
        verdict = text.partition("certificate verify failed:")[2].partition("(")[0].strip()
        return ConfigError(f"no TLS with Redis: {untrusted(verdict, ca_file='BRANDPULSE_REDIS_CA_FILE')}")
    for mark, remedy in _TLS:
        if mark in text and "ssl" in text.casefold():
            return ConfigError(f"no TLS with Redis ({text}): {remedy}")
    if isinstance(error, OUTAGES):
        return TransientError(f"Redis is unreachable: {text}")
    return TransientError(f"Redis refuses: {text}")


def outage(error: Exception) -> TransientError:
    """The same for a service that runs: it goes on asking, and says why."""
    return TransientError(str(fault(error)))


@contextlib.contextmanager
def reaching_redis() -> Iterator[None]:
    """Calls of the store: what passes without us is raised as TransientError that says why."""
    try:
        yield
    except OUTAGES as error:
        raise outage(error) from error


def tls_options(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> dict[str, str]:
    """redis-py's names for the files of TLS."""
    named = {"ssl_ca_certs": ca_file, "ssl_certfile": cert_file, "ssl_keyfile": key_file}
    return {name: str(path) for name, path in named.items() if path is not None}


def _host(part: str, port: int) -> tuple[str, int]:
    if part.startswith("["):  # an IPv6 address
        host, _, rest = part[1:].partition("]")
        return host, int(rest[1:]) if rest else port
    host, colon, number = part.partition(":")
    return host, int(number) if colon else port
