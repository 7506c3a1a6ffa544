"""`brandpulse demo`: the whole pipeline on a shipped stream, sped up, up to the incident that it pages."""

import json
import shutil
import sys
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

import redis
import yaml
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from brandpulse.devstack.supervisor import Stack, refuse_second
from brandpulse.devstack.up import start_services
from brandpulse.errors import BrandpulseError
from brandpulse.runtime.child_process import Child
from brandpulse.runtime.console import Console, styled
from brandpulse.runtime.lifecycle import stop_asked
from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import AlertingKeys
from brandpulse.state.pane_reader import PaneReader

HOME = Path(".demo")
"""The demo's own data folder, emptied at each start, so that a demo never affects a later `up`."""
SAMPLE = Path(__file__).parents[1] / "sample"
SPEED = 6_000
"""Multiple of the recorded speed: two and a half days take about 36 seconds."""
PATIENCE_SECONDS = 90.0
DEMO_ENV = {
    "BRANDPULSE_BRANDS_FILE": str(SAMPLE / "brands.yaml"),
    "BRANDPULSE_NAMESPACE": "demo",
    "BRANDPULSE_ALERTER_TICK_SECONDS": "0.2",
}


class DemoError(BrandpulseError):
    """The demo failed; the message names the log to read."""


def run_demo(*, keep: bool) -> int:
    """Run the demo; returns exit code 0 once the incident was paged and resolved.

    Raises DemoError, StartError, ConfigError.
    """
    refuse_second(HOME)
    shutil.rmtree(HOME, ignore_errors=True)
    console = Console()
    started = time.monotonic()
    stack = Stack(HOME, env=DEMO_ENV, report=console.print)
    with stop_asked() as stop:
        try:
            console.rule("starting the stack", style="bold")
            receiver = _start_receiver(stack)
            start_services(stack, workers=1)
            console.rule("replaying two and a half days of posts about three brands", style="bold")
            _replay(stack, console)
            events = _wait_for_resolve(stack, receiver)
            _print_incident(stack, events, receiver, console)
            console.print(f"\nThe demo took {time.monotonic() - started:.0f} s.")
            if keep:
                console.print(styled("Still running: ", (stack.addresses["page_url"], "bold"), ". Ctrl-C stops."))
                while not stop.wait(0.5):
                    stack.restart_ended()
            else:
                console.print(
                    "Next: start a stack with `make up`, then send posts: `brandpulse ingest file PATH` (README.md)."
                )
        finally:
            stack.stop()
    return 0


def _start_receiver(stack: Stack) -> str:
    """Start the servers and a mock PagerDuty, and configure it as the alerter's receiver. Returns its URL."""
    stack.start_servers()
    stack.start_service("mock-receiver", "mock-receiver")
    [url, *_] = stack.wait_announced("mock-receiver")
    receivers = [{"name": "pager", "kind": "pagerduty", "url": f"{url}/v2/enqueue", "routing_key": "0" * 32}]
    path = stack.home / "receivers.yaml"
    path.write_text(yaml.safe_dump({"receivers": receivers}), encoding="utf-8")
    stack.set_env(BRANDPULSE_RECEIVERS_FILE=str(path.resolve()))
    return url


def _replay(stack: Stack, console: Console) -> None:
    ingest = Child(
        "ingest",
        [
            sys.executable,
            "-m",
            "brandpulse",
            "ingest",
            "file",
            str(SAMPLE / "posts.jsonl.gz"),
            "--speed",
            str(SPEED),
            "--json",
        ],
        log=stack.home / "logs" / "ingest.log",
        env={"BRANDPULSE_HOME": str(stack.home), **DEMO_ENV},
    )
    reader = _reader(stack)
    total = _sample_posts()
    columns = (
        TextColumn("{task.description:<60}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task("posts read", total=total)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            partitions = reader.partitions()
            applied = sum(partition.next for partition in partitions)
            clock = max((partition.clock_ms for partition in partitions), default=0)
            progress.update(task, completed=applied, description=_headline(stack, clock))
            if ingest.exit_code is not None and (
                ingest.exit_code or sum(partition.lag for partition in partitions) == 0
            ):
                progress.update(task, completed=total if not ingest.exit_code else applied)
                break
            if time.monotonic() > deadline:
                ingest.kill()
                raise DemoError(
                    f"the replay did not end within {PATIENCE_SECONDS:.0f} s. Read the logs under {stack.home / 'logs'}"
                )
            stack.restart_ended()
            time.sleep(0.25)
    if ingest.exit_code:
        raise DemoError(f"ingest ended with code {ingest.exit_code}:\n{ingest.log_tail()}")


def _headline(stack: Stack, clock_ms: int) -> str:
    firing = _store(stack).hlen(AlertingKeys("demo").episodes)
    when = datetime.fromtimestamp(clock_ms / 1_000).astimezone().strftime("%a %H:%M") if clock_ms > 0 else "--"
    return f"{when}  " + (f"{firing} episode firing" if firing else "no episode")


def _wait_for_resolve(stack: Stack, receiver: str) -> list[dict[str, Any]]:
    """All events of the receiver, once it has an incident and all its incidents are resolved. Raises DemoError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        stack.restart_ended()
        incidents = _get(f"{receiver}/incidents")
        if incidents and all(incident["status"] == "resolved" for incident in incidents):
            return list(_get(f"{receiver}/events"))
        time.sleep(0.2)
    raise DemoError(
        f"no resolved incident reached the receiver within {PATIENCE_SECONDS:.0f} s. "
        f"Read {stack.home / 'logs' / 'alerter.log'}"
    )


def _print_incident(stack: Stack, events: list[dict[str, Any]], receiver: str, console: Console) -> None:
    closed = _store(stack).lrange(AlertingKeys("demo").closed, 0, -1)
    episodes = [Episode.model_validate_json(raw) for raw in closed]
    sentiment = [episode for episode in episodes if episode.first.authors]
    if not sentiment:
        raise DemoError("no negative-sentiment episode was closed")
    for episode in sentiment:
        lines = [
            f"began     {episode.started_at:%a %d %b %H:%M} UTC",
            f"fired     {episode.fired_at:%a %d %b %H:%M} UTC   ({episode.severity})",
            f"resolved  {episode.resolved_at:%a %d %b %H:%M} UTC" if episode.resolved_at else "resolved  not yet",
            "",
            f"what triggered it: {episode.first.reason}",
            f"{episode.first.negative_authors} of {episode.first.authors} people negative "
            f"({episode.first.negative_share:.0%}; expected {episode.first.baseline_share:.0%}), "
            f"p = {episode.first.p_value:.1e}",
            "",
            *(f"  {post.created_at:%H:%M}  {post.text}" for post in episode.first.examples[:3]),
        ]
        console.print(Panel("\n".join(lines), title=styled((episode.brand, "bold")), border_style="red"))
    trigger = next(event for event in events if event.get("event_action") == "trigger")
    console.rule("what the receiver got")
    console.print_json(json.dumps(trigger))
    console.print(styled("page: ", (stack.addresses["page_url"], "bold"), f"   receiver: {receiver}"))


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the mock receiver on loopback
        return json.load(answer)


def _store(stack: Stack) -> "redis.Redis":
    return redis.Redis.from_url(stack.addresses["redis_url"], socket_timeout=5)


def _reader(stack: Stack) -> PaneReader:
    return PaneReader(_store(stack), "demo")


def _sample_posts() -> int:
    import gzip

    with gzip.open(SAMPLE / "posts.jsonl.gz", "rb") as lines:
        return sum(1 for _ in lines)
