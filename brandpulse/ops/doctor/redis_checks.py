"""Checks of `brandpulse doctor` in Redis: whether each server answers, and whether it may lose data."""

from typing import Any

import redis

from brandpulse.config.settings import Settings
from brandpulse.ops.doctor.finding import Finding
from brandpulse.redis.address import parse_address, without_password
from brandpulse.redis.client import connect, primaries
from brandpulse.redis.error_hints import OUTAGES, redis_fault


def check_store(settings: Settings) -> list[Finding]:
    """Findings for the server, or for each primary of a cluster. Raises ConfigError for an invalid address."""
    address = settings.redis_address()
    is_cluster = parse_address(address).kind == "cluster"
    try:
        servers = primaries(connect(address, timeout_seconds=5))
        findings = [finding for server in servers for finding in _server(server, named=is_cluster)]
    except (redis.RedisError, *OUTAGES) as error:
        return [
            Finding(
                "store",
                f"no answer at {without_password(address)}",
                f"{redis_fault(error)}; check BRANDPULSE_REDIS_URL",
            )
        ]
    if is_cluster:
        findings += _cluster(servers)
    return findings


def _server(server: redis.Redis, *, named: bool) -> list[Finding]:
    where = ""
    if named:
        address = server.connection_pool.connection_kwargs
        where = f"{address['host']}:{address['port']} "
    info: Any = server.info()
    answers = Finding(
        "store",
        f"{where}answers, version {info.get('valkey_version') or info.get('redis_version')}, "
        f"{info.get('used_memory_human')} in use",
    )
    try:
        config: Any = {**server.config_get("maxmemory-policy"), **server.config_get("appendfsync")}
    except redis.ResponseError:
        remedy = "run doctor as a Redis user with CONFIG GET, see deploy/redis-users.acl"
        denied = Finding("store", f"{where}does not show its settings (CONFIG GET)", remedy, warning=True)
        return [answers, denied]
    return [answers, *server_findings(info, config, where=where)]


def server_findings(info: dict[str, Any], config: dict[str, str], *, where: str = "") -> list[Finding]:
    """Settings of a server that may lose data. Pure."""
    findings = []
    policy, fsync = config.get("maxmemory-policy", ""), config.get("appendfsync", "")
    if policy not in ("", "noeviction"):
        findings.append(
            Finding(
                "store",
                f"{where}maxmemory-policy is {policy}: Redis may delete counts",
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
                f"{where}appendfsync is {fsync} and the server has no WAITAOF: a crash may lose a second of alerts",
                "CONFIG SET appendfsync always",
                warning=True,
            )
        )
    return findings


def _cluster(servers: list[redis.Redis]) -> list[Finding]:
    info: Any = servers[0].execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
    fields = info if isinstance(info, dict) else _parse(info)
    state = fields.get("cluster_state", "unknown")
    observation = f"cluster of {len(servers)} primaries, state {state}"
    if state != "ok":
        return [Finding("store", observation, "`redis-cli --cluster check HOST:PORT` shows which slots have no server")]
    return [Finding("store", observation)]


def _parse(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode().splitlines())
    return {name: value.strip() for name, _, value in lines}


def _older_than(version: str, wanted: tuple[int, int]) -> bool:
    parts = version.split(".")
    return (int(parts[0]), int(parts[1])) < wanted
