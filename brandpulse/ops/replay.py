"""Recounts posts into a second ("shadow") namespace: begin, run, swap readers over, drop. Blocking."""

import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial

import msgspec
import redis

from brandpulse.config.settings import Settings
from brandpulse.errors import BrandpulseError, ConfigError
from brandpulse.redis.client import connect
from brandpulse.runtime.child_process import Child
from brandpulse.runtime.clock import rfc3339, wall_ms
from brandpulse.runtime.console import Console
from brandpulse.runtime.lifecycle import stop_asked
from brandpulse.runtime.supervised_child import SupervisedChild
from brandpulse.state.keys import HOUR_MS, NamespaceKeys
from brandpulse.state.namespaces import Replay, live_namespace, load_replay
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.partition_state import PartitionStatus

FRESH_MS = 30_000
"""A partition whose worker reported within this time has a worker."""
CHECK_SECONDS = 0.5
CONNECT_SECONDS = 30


def connect_store(settings: Settings) -> redis.Redis:
    """A client with the timeout of these commands. Raises ConfigError."""
    return connect(settings.redis_address(), timeout_seconds=CONNECT_SECONDS)


def begin_replay(client: redis.Redis, parent: str, name: str, wanted: Replay, *, span_given: bool) -> None:
    """Record *wanted* as the replay *name*, once; a later call resumes it.

    Raises ConfigError if *name* is invalid or in use by something else, or, with *span_given*, has another time span.
    """
    if name == parent or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii() or len(name) > 64:
        raise ConfigError(
            f"--into {name}: use 1 to 64 letters, digits, - and _, and another name than {parent}; for example trial-2"
        )
    key = NamespaceKeys(name).replay
    if client.get(key) is None and PaneReader(client, name, follow=False).partitions():
        raise ConfigError(f"--into {name}: this namespace exists and is no replay; choose another name")
    client.set(key, msgspec.json.encode(wanted), nx=True)
    known = load_replay(client, name)
    if known is not None and known != wanted and (span_given or known.parent != wanted.parent):
        raise ConfigError(
            f"--into {name}: was begun as {known}. Resume it without --from and --to, or choose another name"
        )


def run_replay(settings: Settings, name: str, env: Mapping[str, str], workers: int) -> None:
    """Run *workers* and an alerter that notifies no receiver, restarted when they end, until SIGTERM or SIGINT."""
    own_alerts = {"BRANDPULSE_RECEIVERS_FILE": "", "BRANDPULSE_ALERTS_TOPIC": f"{settings.alerts_topic}.{name}"}
    services = {f"replay-{name}-worker-{number}": ("worker", env) for number in range(1, workers + 1)}
    services[f"replay-{name}-alerter"] = ("alerter", {**env, **own_alerts})

    def launch(service: str) -> Child:
        command, variables = services[service]
        return Child(
            service,
            [sys.executable, "-m", "brandpulse", command],
            log=settings.home / "logs" / f"{service}.log",
            env={"BRANDPULSE_HOME": str(settings.home), "PYTHONUNBUFFERED": "1", **variables},
        )

    console = Console(stderr=True)

    def report(child: Child, pause: float) -> None:
        console.print(f"{child.name} ended with code {child.exit_code}; restarts in {pause:g} s; log: {child.log}")

    with stop_asked() as stop:
        children = [SupervisedChild(service, partial(launch, service)) for service in services]
        console.print(f"replaying into {name}; logs under {settings.home / 'logs'}; Ctrl-C stops")
        try:
            while not stop.wait(CHECK_SECONDS):
                for supervised in children:
                    supervised.restart_if_ended(report)
        finally:
            for supervised in children:
                if supervised.child is not None:
                    supervised.child.stop()


def swap_readers(client: redis.Redis, root: str, name: str, *, wait_seconds: float, accept_loss: bool) -> str:
    """Point readers of namespace *root* to *name*; returns the namespace that they read before.

    Raises ConfigError if *name* is live already or has an end, if older posts would disappear and *accept_loss* is
    not set, and if *name* is still behind after *wait_seconds*.
    """
    live = live_namespace(client, root)
    if name == live:
        raise ConfigError(f"{name} is the live namespace already")
    if name != root:
        shadow = find_shadow(client, root, name)
        if shadow.until_ms is not None:
            raise ConfigError(
                f"{name} ends at {rfc3339(shadow.until_ms)}: it can be compared, but not shown. Replay without --to"
            )
        if not accept_loss:
            _refuse_loss(client, live, shadow)
    required = _partitions(client, live)
    deadline = time.monotonic() + wait_seconds
    while obstacles := swap_obstacles(required, _partitions(client, name), now_ms=wall_ms()):
        if time.monotonic() >= deadline:
            raise ConfigError(f"not swapped: {'; '.join(obstacles)}. Wait for it with --wait 60")
        time.sleep(0.2)
    if name == root:
        client.delete(NamespaceKeys(root).live)
    else:
        client.set(NamespaceKeys(root).live, name)
    return live


def swap_obstacles(live: list[PartitionStatus], shadow: list[PartitionStatus], *, now_ms: int) -> list[str]:
    """Why *shadow* must not replace *live* yet; empty when it may. Pure."""
    in_shadow = {(status.topic, status.partition): status for status in shadow}
    obstacles = []
    for required in live:
        partition = f"{required.topic}:{required.partition}"
        found = in_shadow.get((required.topic, required.partition))
        if found is None:
            obstacles.append(f"{partition} is not started")
        elif found.topic_id != required.topic_id:
            obstacles.append(f"{partition} was counted from an earlier topic of this name")
        elif found.paused:
            obstacles.append(f"{partition} is paused: {found.paused}")
        elif found.next < required.next:
            obstacles.append(f"{partition} is at offset {found.next}, {required.next - found.next} behind")
        elif not _has_worker(found, now_ms):
            obstacles.append(f"{partition} has no worker")
    return obstacles


def drop_namespace(client: redis.Redis, root: str, name: str) -> int:
    """Delete the keys of *name*; returns their number. Raises ConfigError while readers or workers use it."""
    if name == live_namespace(client, root):
        raise ConfigError(f"{name} is the live namespace: swap readers to another one first")
    if name != root:
        find_shadow(client, root, name)
    now_ms = wall_ms()
    if owners := sorted({status.owner for status in _partitions(client, name) if _has_worker(status, now_ms)}):
        raise ConfigError(f"workers still count into {name}: {', '.join(owners)}. Stop them and wait 30 s")
    deleted = 0
    for pattern in _key_patterns(name, root):
        for key in client.scan_iter(pattern, count=1_000):
            deleted += int(client.unlink(key))
    return deleted


def find_shadow(client: redis.Redis, root: str, name: str) -> Replay:
    """The replay that *name* holds. Raises BrandpulseError if there is none of namespace *root*."""
    found = load_replay(client, name)
    if found is None or found.parent != root:
        raise BrandpulseError(f"{name} is no shadow of {root}. Start one with `brandpulse replay --into {name}`")
    return found


def _refuse_loss(client: redis.Redis, live: str, shadow: Replay) -> None:
    """Raises ConfigError if *live* shows posts older than the start of *shadow*."""
    if shadow.since_ms is None:
        return
    reader = PaneReader(client, live, follow=False)
    # The shadow counts only a part of its first hour.
    older = sum(pane.posts for pane in reader.totals(before_hour=-(-shadow.since_ms // HOUR_MS)).values())
    if older:
        raise ConfigError(
            f"{older} mentions before {rfc3339(shadow.since_ms)} would no longer be shown. Replay from an earlier "
            "time, or accept this with --yes"
        )


def _key_patterns(name: str, root: str) -> Iterator[str]:
    """Redis patterns of the keys of *name*. For the root namespace, the alerter's state and the live pointer stay."""
    if name != root:
        yield from (f"{{{name}:*", f"{{{name}}}:*")
        return
    keys = NamespaceKeys(name)
    yield from (f"{{{name}:*:[0-9]*}}:*", keys.partitions, keys.brands, keys.origins)


def _has_worker(status: PartitionStatus, now_ms: int) -> bool:
    return now_ms - status.seen_wall_ms < FRESH_MS


def _partitions(client: redis.Redis, namespace: str) -> list[PartitionStatus]:
    return PaneReader(client, namespace, follow=False).partitions()
