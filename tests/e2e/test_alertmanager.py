"""The Alertmanager receiver with Debian's Alertmanager: firing alerts stay, resolved ones end, none is reopened."""

import asyncio
import json
import random
import shutil
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from alerting.dispatch.sender import Sender
from alerting.episodes.lifecycle import Memory, OpenEpisode
from alerting.notifications.delivery import Delivery, RetryPolicy
from alerting.notifications.receivers.alertmanager import Alertmanager
from alerting.store.alert_store import Commit
from alerting.store.memory_store import MemoryAlertStore
from brandpulse.devstack.mock_receiver import MockReceiver
from brandpulse.runtime.child_process import Child, free_port
from brandpulse.runtime.metric_definitions import ALERTER_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.schema.episodes import Episode, Notification, Transition
from tests.support.alerting.episode_builders import AT, an_episode
from tests.support.patience import patience

BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = pytest.mark.skipif(BINARY is None, reason="no Alertmanager here: install Debian's prometheus-alertmanager")
CONFIG = """
route: {{receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: "{hook}/webhook/am", send_resolved: true}}]}}]
"""


class Server:
    """An Alertmanager that notifies *hook*."""

    def __init__(self, folder: Path, hook: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        folder.mkdir()
        (folder / "config.yml").write_text(CONFIG.format(hook=hook))
        self.child = Child(
            "alertmanager",
            [
                str(BINARY),
                f"--config.file={folder / 'config.yml'}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--cluster.listen-address=",
            ],
            log=folder / "log",
            env={},
            cwd=folder,
        )
        self.child.wait_ready(self._is_ready)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1):
                return True
        except OSError:
            return False

    def active(self) -> list[dict[str, str]]:
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts?active=true", timeout=patience(5)) as answer:
            return [one["labels"] for one in json.load(answer)]


class Scene:
    def __init__(self, server: Server, hook: MockReceiver, store: MemoryAlertStore, sender: Sender, token: int) -> None:
        self.server, self.hook, self.store, self.sender, self.token = server, hook, store, sender, token
        self.until_ms: int | None = None

    def commit(self, transition: Transition, episode: Episode, number: int = 0) -> None:
        """Like an evaluation: commits the episode and its delivery together."""
        notification = Notification(
            id=f"{episode.key}:{transition}{number}@am", receiver="am", transition=transition, episode=episode
        )
        delivery = Delivery(id=notification.id, notification=notification, decided_ms=0)
        opened = {episode.key: OpenEpisode(episode, Memory(told_at=AT, told=("am",)))}
        over = transition == "resolved"
        commit = Commit(
            self.until_ms,
            self.until_ms,
            open={} if over else opened,
            closed=[episode] if over else [],
            deliveries=[delivery],
        )
        assert self.store.commit(commit, token=self.token) == "applied"
        self.sender.wake([delivery])

    async def severities(self) -> list[str]:
        return sorted(one["severity"] for one in await asyncio.to_thread(self.server.active))

    def notifications(self) -> list[tuple[str, str]]:
        """The notifications that Alertmanager sent to its own receiver."""
        return [
            (alert["status"], alert["labels"]["severity"])
            for event in self.hook.events
            for alert in event["body"]["alerts"]
        ]


async def until(true: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + patience(seconds)
    while True:
        answer = true()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "am"


@asynccontextmanager
async def scene(folder: Path, *, resend_seconds: float = 1.0) -> AsyncIterator[Scene]:
    async with MockReceiver() as hook, aiohttp.ClientSession() as session:
        server = await asyncio.to_thread(Server, folder, hook.url)
        store = MemoryAlertStore()
        token = store.acquire("me", lease_ms=1_000)
        assert token is not None
        receiver = Alertmanager(
            "am",
            url=server.url,
            token=None,
            labels={"team": "brand"},
            resend_seconds=resend_seconds,
            min_severity="info",
            session=session,
            timeout_seconds=2,
            now=lambda: datetime.now(UTC),
        )
        sender = Sender(
            store,
            {"am": receiver},
            token=token,
            policy=RetryPolicy(base_seconds=0.05),
            telemetry=Telemetry(ALERTER_METRICS),
            wall_ms=lambda: time.time_ns() // 1_000_000,
            rng=random.Random(1),
        )
        stop = asyncio.Event()
        running = asyncio.create_task(sender.run(stop))
        try:
            yield Scene(server, hook, store, sender, token)
        finally:
            stop.set()
            await running
            await asyncio.to_thread(server.child.stop)


async def test_firing_alert_is_shown_and_a_resolved_one_ends_at_once(folder: Path) -> None:
    async with scene(folder, resend_seconds=60) as s:
        s.commit("triggered", an_episode())
        await until(lambda: s.notifications() == [("firing", "critical")])
        [labels] = await asyncio.to_thread(s.server.active)
        assert labels == {
            "alertname": "negative_share",
            "brand": "Acme Air",
            "severity": "critical",
            "episode": an_episode().key,
            "team": "brand",
        }
        s.commit("resolved", an_episode(state="resolved", resolved_at=AT))
        await until(lambda: s.notifications() == [("firing", "critical"), ("resolved", "critical")])
        assert await s.severities() == []


async def test_firing_alert_is_resent_in_time_and_not_after_its_end(folder: Path) -> None:
    async with scene(folder, resend_seconds=0.5) as s:  # it expires after two seconds
        s.commit("triggered", an_episode())
        await until(lambda: s.notifications() == [("firing", "critical")])
        await asyncio.sleep(4)
        assert await s.severities() == ["critical"]
        assert s.notifications() == [("firing", "critical")], "a resolved notification was sent in between"
        s.commit("resolved", an_episode(state="resolved", resolved_at=AT))
        await until(lambda: ("resolved", "critical") in s.notifications())
        await asyncio.sleep(3)
        assert s.notifications() == [("firing", "critical"), ("resolved", "critical")]
        assert await s.severities() == []


async def test_alert_of_a_dead_alerter_expires(folder: Path) -> None:
    async with scene(folder, resend_seconds=0.5) as s:
        s.commit("triggered", an_episode())
        await until(lambda: s.notifications() == [("firing", "critical")])
        s.store.expire_lease()
        s.sender._resend_at["am"] = float("inf")
        await until(lambda: ("resolved", "critical") in s.notifications())


async def test_higher_severity_ends_the_lower_alert(folder: Path) -> None:
    async with scene(folder, resend_seconds=0.5) as s:
        s.commit("triggered", an_episode(severity="warning"))
        await until(lambda: s.notifications() == [("firing", "warning")])
        s.commit("updated", an_episode(severity="critical"), 1)
        await until(
            lambda: ("resolved", "warning") in s.notifications() and ("firing", "critical") in s.notifications()
        )
        assert await s.severities() == ["critical"]
        s.commit("resolved", an_episode(severity="critical", state="resolved", resolved_at=AT))
        await until(lambda: ("resolved", "critical") in s.notifications())
        assert await s.severities() == []
