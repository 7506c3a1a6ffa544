"""The address of Redis: one server, a cluster, or the primary that Sentinels name; with TLS and a user.

    redis://host:6379/0                         one server
    redis+cluster://host:7000,host:7001         a cluster, from any of its nodes
    redis+sentinel://host:26379,host:26380/main the primary that Sentinels know as "main"
    rediss://..., rediss+cluster://, ...        the same over TLS

Each may hold user and password: `redis://user:password@host:6379/0`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from brandpulse.errors import ConfigError

_URL = re.compile(
    r"(?P<tls>redis|rediss)(\+(?P<kind>cluster|sentinel))?://"
    r"((?P<user>[^:@/]*)(:(?P<password>[^@/]*))?@)?(?P<hosts>[^/?]+)(/(?P<path>[^?/]*(/\d*)?))?"
)
_PORTS = {"": 6379, "cluster": 6379, "sentinel": 26379}


class RedisAddress(str):
    """A Redis URL, password and all (do not log it), with the options that a client needs besides."""

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
        return f"RedisAddress({without_password(self)!r})"


@dataclass(frozen=True, slots=True)
class RedisLocation:
    """The parts of an address."""

    kind: str
    """"" (one server), "cluster" or "sentinel"."""
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    user: str | None
    password: str | None
    service: str
    db: int


def parse_address(url: str) -> RedisLocation:
    """Raises ConfigError if *url* is not an address of Redis. The message holds no password."""
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError(
            f"BRANDPULSE_REDIS_URL: {without_password(url)!r} is not an address. Right ones: "
            "redis://127.0.0.1:6379/0, rediss://user:password@redis.example:6379/0, redis+cluster://a:7000,b:7000, "
            "redis+sentinel://a:26379/main. No ?options; in a password ?, / and @ are %3F, %2F and %40"
        )
    kind = found["kind"] or ""
    try:
        hosts = tuple(_host(part, _PORTS[kind]) for part in found["hosts"].split(","))
        service, _, db = (found["path"] or "").partition("/") if kind == "sentinel" else ("", "", found["path"] or "")
        number = int(db or 0)
    except ValueError:
        raise ConfigError(
            f"BRANDPULSE_REDIS_URL: a port or database number in {without_password(url)!r} is not a number"
        ) from None
    if kind == "sentinel" and not service:
        raise ConfigError(
            "BRANDPULSE_REDIS_URL: a Sentinel address ends with the service's name, "
            "for example BRANDPULSE_REDIS_URL=redis+sentinel://127.0.0.1:26379/main"
        )
    if kind == "cluster" and number:
        raise ConfigError("BRANDPULSE_REDIS_URL: a cluster has database 0 only; leave the number out")
    user, password = (unquote(found[part]) if found[part] else None for part in ("user", "password"))
    return RedisLocation(kind, found["tls"] == "rediss", hosts, user, password, service, number)


def without_password(url: str) -> str:
    """*url* without user and password: safe to log."""
    return re.sub(r"//[^/]*@", "//", url)


def tls_options(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> dict[str, str]:
    """The files of TLS under redis-py's names."""
    named = {"ssl_ca_certs": ca_file, "ssl_certfile": cert_file, "ssl_keyfile": key_file}
    return {name: str(path) for name, path in named.items() if path is not None}


def _host(part: str, port: int) -> tuple[str, int]:
    if part.startswith("["):  # an IPv6 address
        host, _, rest = part[1:].partition("]")
        return host, int(rest[1:]) if rest else port
    host, colon, number = part.partition(":")
    return host, int(number) if colon else port
