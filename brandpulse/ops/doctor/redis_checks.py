"""What `brandpulse doctor` looks at in Redis: whether each server answers, and whether it may lose what it was told."""

from typing import Any

import redis

from brandpulse.config.settings import Settings
from brandpulse.ops.doctor.finding import Finding
from brandpulse.redis.address import parse_address, without_password
from brandpulse.redis.client import connect, primaries
from brandpulse.redis.error_hints import OUTAGES, redis_fault


def check_store(settings: Settings) -> list[Finding]:
    """Each server's findings; a cluster's by server. Raises ConfigError for an address that is none."""
    address = settings.redis_address()
    many = parse_address(address).kind == "cluster"
    try:
        servers = primaries(connect(address, timeout_seconds=5))
        findings = [found for server in servers for found in _server(server, named=many)]
    except (redis.RedisError, *OUTAGES) as error:
        return [
            Finding(
                "store",
                f"no answer at {without_password(address)}",
                f"{redis_fault(error)}; check BRANDPULSE_REDIS_URL",
            )
        ]
    if many:
        findings += _cluster(servers)
    return findings


def _server(server: redis.Redis, *, named: bool) -> list[Finding]:
    where = ""
    if named:
        at = server.connection_pool.connection_kwargs
        where = f"{at['host']}:{at['port']} "
    info: Any = server.info()
    found = Finding(
        "store",
        f"{where}answers, version {info.get('valkey_version') or info.get('redis_version')}, "
        f"{info.get('used_memory_human')} in use",
    )
    try:
        kept: Any = {**server.config_get("maxmemory-policy"), **server.config_get("appendfsync")}
    except redis.ResponseError:
        remedy = "run doctor as a user that may, see deploy/redis-users.acl"
        return [found, Finding("store", f"{where}does not let us see its settings (CONFIG GET)", remedy, warning=True)]
    return [found, *judge_server(info, kept, where=where)]


def judge_server(info: dict[str, Any], kept: dict[str, str], *, where: str = "") -> list[Finding]:
    """What is wrong with how a server keeps what it is told. Pure."""
    findings = []
    policy, fsync = kept.get("maxmemory-policy", ""), kept.get("appendfsync", "")
    if policy not in ("", "noeviction"):
        findings.append(
            Finding(
                "store",
                f"{where}maxmemory-policy is {policy}: it may throw counts away",
                "CONFIG SET maxmemory-policy noeviction",
            )
        )
    if not info.get("aof_enabled"):
        findings.append(
            Finding(
                "store",
                f"{where}append-only file is off: a crash loses counts and alerts",
                "CONFIG SET appendonly yes",
                warning=True,
            )
        )
    elif fsync != "always" and "valkey_version" not in info and _older_than(str(info.get("redis_version")), (7, 2)):
        findings.append(
            Finding(
                "store",
                f"{where}appendfsync is {fsync} and the server has no WAITAOF: an alert of the last second may be lost",
                "CONFIG SET appendfsync always",
                warning=True,
            )
        )
    return findings


def _cluster(servers: list[redis.Redis]) -> list[Finding]:
    info: Any = servers[0].execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
    text = info if isinstance(info, dict) else _parsed(info)
    state = text.get("cluster_state", "unknown")
    saw = f"cluster of {len(servers)} primaries, state {state}"
    if state != "ok":
        return [Finding("store", saw, "`redis-cli --cluster check HOST:PORT` says which slots have no server")]
    return [Finding("store", saw)]


def _parsed(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode().splitlines())
    return {name: value.strip() for name, _, value in lines}


def _older_than(version: str, wanted: tuple[int, int]) -> bool:
    parts = version.split(".")
    return (int(parts[0]), int(parts[1])) < wanted
