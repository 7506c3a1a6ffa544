"""`brandpulse replay`: count again beside what is counted, with another model or brands file; compare, swap, drop."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import redis
import typer
from rich.table import Column, Table

from brandpulse.cli.time_arguments import is_ago, moment_ms
from brandpulse.config.brands_file import load_brands
from brandpulse.config.settings import Settings, load_settings
from brandpulse.errors import ConfigError
from brandpulse.ops.namespace_comparison import Comparison, compare_namespaces
from brandpulse.redis.client import connect
from brandpulse.runtime.child_process import Child
from brandpulse.runtime.clock import rfc3339
from brandpulse.runtime.console import Console
from brandpulse.runtime.lifecycle import stop_asked
from brandpulse.runtime.logging_setup import set_up_logging
from brandpulse.state.keys import HOUR_MS, NamespaceKeys
from brandpulse.state.namespaces import Replay, live_namespace, load_replay
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.partition_state import PartitionStatus

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

FRESH_MS = 30_000
"""An owner that gave a sign of life within this time counts as there."""
RESTART_SECONDS = 2.0
Name = Annotated[str, typer.Argument(metavar="NAME", help="The shadow namespace.")]


@app.callback(invoke_without_command=True)
def replay(
    context: typer.Context,
    *,
    into: Annotated[str | None, typer.Option(metavar="NAME", help="The shadow namespace to count into.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Event time: 2026-03-02, 2026-03-02T12:00Z, 7d.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Event time. Unset: it keeps reading.")] = None,
    brands_file: Annotated[Path | None, typer.Option(help="Another brands file.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Another model.")] = None,
    engine: Annotated[str | None, typer.Option(help="Another engine.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64)] = 1,
) -> None:
    """Count posts again into a shadow namespace, in the foreground until SIGTERM; it goes on where it stood.

    The shadow reads the same topic under a consumer group of its own. An alerter that tells nobody evaluates it, so
    that episodes can be compared too.
    """
    if context.invoked_subcommand is not None:
        return
    settings = load_settings(Settings)
    if into is None:
        raise ConfigError("--into NAME is missing. For example: brandpulse replay --from 7d --into better-model")
    now_ms = time.time_ns() // 1_000_000
    wanted = Replay(
        parent=settings.namespace,
        since_ms=None if since is None else moment_ms(since, option="--from", now_ms=now_ms),
        until_ms=None if until is None else moment_ms(until, option="--to", now_ms=now_ms),
    )
    if wanted.since_ms is not None and wanted.until_ms is not None and wanted.since_ms >= wanted.until_ms:
        raise ConfigError(f"--from {since} is not before --to {until}")
    if brands_file is not None:
        load_brands(brands_file)
    set_up_logging(settings.log_level)
    # Started again by its supervisor, the same command goes on: 7d meant the day it was begun on.
    asked = any(moment is not None and not is_ago(moment) for moment in (since, until))
    begin(_store(settings), settings.namespace, into, wanted, asked=asked)
    env = {"BRANDPULSE_NAMESPACE": into, "BRANDPULSE_WORKER_PORT": "0", "BRANDPULSE_ALERTER_PORT": "0"}
    chosen = {"BRANDPULSE_BRANDS_FILE": brands_file, "BRANDPULSE_WORKER_WEIGHTS": weights}
    env |= {name: str(path.resolve()) for name, path in chosen.items() if path is not None}
    env |= {} if engine is None else {"BRANDPULSE_WORKER_ENGINE": engine}
    _run(settings, into, env, workers)


@app.command()
def compare(name: Name, *, as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """What NAME counts otherwise than what readers see now: posts, shares, episodes, over the whole hours of both."""
    settings = load_settings(Settings)
    client = _store(settings)
    shadow = _shadow(client, settings, name)
    found = compare_namespaces(client, settings.namespace, live_namespace(client, settings.namespace), name, shadow)
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(found)))
    else:
        _render(found)


@app.command()
def swap(
    name: Name,
    *,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for NAME to catch up.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", help="Although older posts will no longer be shown.")] = False,
) -> None:
    """Let all readers see NAME from now on: page, alerter, stats. Swap back with the old namespace's name.

    Refused until NAME has applied all that the live namespace has applied at this moment.
    """
    settings = load_settings(Settings)
    client = _store(settings)
    live = live_namespace(client, settings.namespace)
    if name == live:
        raise ConfigError(f"{name} is the live namespace already")
    if name != settings.namespace:
        shadow = _shadow(client, settings, name)
        if shadow.until_ms is not None:
            raise ConfigError(
                f"{name} ends at {rfc3339(shadow.until_ms)}: it can be compared, not shown. Replay without --to"
            )
        _refuse_silent_loss(client, live, shadow, agreed=yes)
    asked = _statuses(client, live)
    deadline = time.monotonic() + wait
    while reasons := why_not_yet(asked, _statuses(client, name), now_ms=time.time_ns() // 1_000_000):
        if time.monotonic() >= deadline:
            raise ConfigError(f"not swapped. {'; '.join(reasons)}. Wait for it with --wait 60")
        time.sleep(0.2)
    if name == settings.namespace:
        client.delete(NamespaceKeys(settings.namespace).live)
    else:
        client.set(NamespaceKeys(settings.namespace).live, name)
    typer.echo(f"readers of {settings.namespace} see {name} now, no longer {live}")
    typer.echo(f"{live} goes on counting: swap back with `brandpulse replay swap {live}`, or stop its workers and")
    typer.echo(f"`brandpulse replay drop {live}`")


@app.command()
def drop(name: Name) -> None:
    """Delete what NAME counted. Refused while readers see it, or a worker counts into it."""
    settings = load_settings(Settings)
    client = _store(settings)
    if name == live_namespace(client, settings.namespace):
        raise ConfigError(f"readers see {name}: swap to another namespace first")
    if name != settings.namespace:
        _shadow(client, settings, name)
    now_ms = time.time_ns() // 1_000_000
    if owners := sorted({one.owner for one in _statuses(client, name) if _fresh(one, now_ms)}):
        raise ConfigError(f"workers still count into {name}: {', '.join(owners)}. Stop them, wait 30 s")
    gone = 0
    for pattern in _patterns(name, settings.namespace):
        for key in client.scan_iter(pattern, count=1_000):
            gone += int(client.unlink(key))
    typer.echo(f"dropped {name}: {gone} keys")


def why_not_yet(live: list[PartitionStatus], shadow: list[PartitionStatus], *, now_ms: int) -> list[str]:
    """Why *shadow* may not be shown instead of *live*, as that stood at the request; empty when it may. Pure."""
    there = {(one.topic, one.partition): one for one in shadow}
    reasons = []
    for one in live:
        place = f"{one.topic}:{one.partition}"
        mine = there.get((one.topic, one.partition))
        if mine is None:
            reasons.append(f"{place} was not begun")
        elif mine.topic_id != one.topic_id:
            reasons.append(f"{place} is of another log")
        elif mine.paused:
            reasons.append(f"{place} is paused: {mine.paused}")
        elif mine.next < one.next:
            reasons.append(f"{place} stands at {mine.next}, {one.next - mine.next} behind")
        elif not _fresh(mine, now_ms):
            reasons.append(f"nobody counts {place} on")
    return reasons


def _fresh(status: PartitionStatus, now_ms: int) -> bool:
    return now_ms - status.seen_wall_ms < FRESH_MS


def begin(client: redis.Redis, parent: str, name: str, wanted: Replay, *, asked: bool) -> None:
    """Note what *name* is, once. Raises ConfigError if it is another namespace's, or, if *asked*, has other hours."""
    if name == parent or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii() or len(name) > 64:
        raise ConfigError(f"--into {name}: letters, digits, - and _, at most 64, and not {parent}; for example trial-2")
    key = NamespaceKeys(name).replay
    if client.get(key) is None and PaneReader(client, name, follow=False).partitions():
        raise ConfigError(f"--into {name}: a namespace of its own, which no replay began; choose another name")
    client.set(key, msgspec.json.encode(wanted), nx=True)
    known = load_replay(client, name)
    if known is not None and known != wanted and (asked or known.parent != wanted.parent):
        raise ConfigError(
            f"--into {name}: was begun as {known}. Go on with it without --from and --to, or choose another name"
        )


def _run(settings: Settings, name: str, env: dict[str, str], workers: int) -> None:
    """Workers and an alerter that tells nobody, started again when they die; until SIGTERM."""
    quiet = {"BRANDPULSE_RECEIVERS_FILE": "", "BRANDPULSE_ALERTS_TOPIC": f"{settings.alerts_topic}.{name}"}
    services = {f"replay-{name}-worker-{number}": ("worker", env) for number in range(1, workers + 1)}
    services[f"replay-{name}-alerter"] = ("alerter", env | quiet)

    def start(service: str) -> Child:
        command, variables = services[service]
        return Child(
            service,
            [sys.executable, "-m", "brandpulse", command],
            log=settings.home / "logs" / f"{service}.log",
            env={"BRANDPULSE_HOME": str(settings.home), "PYTHONUNBUFFERED": "1", **variables},
        )

    with stop_asked() as stop:
        children = {service: start(service) for service in services}
        Console(stderr=True).print(f"replaying into {name}; logs under {settings.home / 'logs'}; Ctrl-C stops")
        try:
            while not stop.wait(RESTART_SECONDS):
                for service, child in children.items():
                    if child.exit_code is not None:
                        Console(stderr=True).print(f"{service} ended with code {child.exit_code}; again")
                        children[service] = start(service)
        finally:
            for child in children.values():
                child.stop()


def _refuse_silent_loss(client: redis.Redis, live: str, shadow: Replay, *, agreed: bool) -> None:
    """Raises ConfigError if posts older than the shadow would vanish from readers' eyes, unless *agreed*."""
    if shadow.since_ms is None or agreed:
        return
    reader = PaneReader(client, live, follow=False)
    # The hour it begins in is counted in part only.
    older = sum(pane.posts for pane in reader.totals(before_hour=-(-shadow.since_ms // HOUR_MS)).values())
    if older:
        raise ConfigError(
            f"{older} mentions before {rfc3339(shadow.since_ms)} would no longer be shown. Replay from an earlier "
            "moment, or agree with --yes"
        )


def _patterns(name: str, root: str) -> list[str]:
    """Keys of *name*. Of the root namespace the alerter's state and the pointer stay."""
    if name == root:
        keys = NamespaceKeys(name)
        return [f"{{{name}:*:[0-9]*}}:*", keys.partitions, keys.brands, keys.origins]
    return [f"{{{name}:*", f"{{{name}}}:*"]


def _shadow(client: redis.Redis, settings: Settings, name: str) -> Replay:
    found = load_replay(client, name)
    if found is None or found.parent != settings.namespace:
        raise ConfigError(f"{name} is no shadow of {settings.namespace}. Begin one: brandpulse replay --into {name}")
    return found


def _statuses(client: redis.Redis, namespace: str) -> list[PartitionStatus]:
    return PaneReader(client, namespace, follow=False).partitions()


def _store(settings: Settings) -> redis.Redis:
    return connect(settings.redis_address(), timeout_seconds=30)


def _render(found: Comparison) -> None:
    console = Console()
    console.print(
        f"{found.live} (live) and {found.shadow}, {rfc3339(found.since_ms)} to {rfc3339(found.until_ms)}, whole hours"
    )
    heads = ("posts", "", "negative share", "", "net", "")
    table = Table("brand", *(Column(head, justify="right") for head in heads))
    for brand, (one, other) in found.brands.items():
        table.add_row(
            brand,
            f"{one.posts:,}",
            f"{other.posts - one.posts:+,}",
            f"{one.negative_share:.1%}",
            f"{other.negative_share - one.negative_share:+.1%}",
            f"{one.mean_score:+.2f}",
            f"{other.mean_score - one.mean_score:+.2f}",
        )
    console.print(table)
    for title, episodes in (("only live", found.only_live), ("only shadow", found.only_shadow), ("both", found.both)):
        console.print(f"episodes, {title}: {', '.join(episodes) if episodes else 'none'}")
    if found.behind:
        console.print(f"{found.shadow} is {found.behind:,} records behind: later hours are left out", style="yellow")
