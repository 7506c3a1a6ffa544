"""PagerDuty's semantics in memory, without sockets: for simulated clocks."""

import asyncio
from collections.abc import Callable
from typing import Literal

from alerting.notifications.delivery import SendResult
from alerting.notifications.receivers.pagerduty import event
from brandpulse.devstack.mock_receiver import Incidents
from brandpulse.schema.episodes import Notification, Severity

Mood = Literal["well", "away", "deaf", "busy", "too many", "holds"]
"""away: nothing arrives. deaf: it arrives, but no response comes back. holds: it arrives when it is released."""


class Pager:
    """A receiver whose behaviour can change during a request."""

    name = "pager"
    wants_every_update = False
    keeps_state = True

    def __init__(self, *, min_severity: Severity = "info", seconds: float = 0.05) -> None:
        self.min_severity = min_severity
        self.incidents = Incidents()
        self.mood: Mood = "well"
        self.requests = 0
        self.processed: list[tuple[str, str]] = []
        """(episode key, event_action) in order."""
        self.let_go = asyncio.Event()
        self.on_processed: Callable[[Notification], None] = lambda _: None
        self._seconds = seconds

    async def deliver(self, notification: Notification) -> SendResult:
        self.requests += 1
        mood = self.mood
        await asyncio.sleep(self._seconds)
        if mood == "away":
            return SendResult(None, "connection refused")
        if mood in ("busy", "too many"):
            return SendResult(503 if mood == "busy" else 429, "later")
        if mood == "holds":
            await self.let_go.wait()
        made = event(notification, routing_key="0" * 32)
        self.incidents.process(made)
        self.processed.append((notification.episode.key, made["event_action"]))
        self.on_processed(notification)
        return SendResult(None, "reset") if mood == "deaf" else SendResult(202)

    async def close(self) -> None:
        """Nothing is open."""
