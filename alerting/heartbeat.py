"""The dead-man's switch: somebody else is told every minute that all goes well, and cries out when nobody says so.

Any service that waits for a GET will do (healthchecks.io, Dead Man's Snitch, Uptime Kuma), on machines not ours.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp
from pydantic import SecretStr

from brandpulse.runtime.metrics import Telemetry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HeartbeatPolicy:
    """When not to beat. Seconds. Partitions that are unseen (`alerting.evaluation.alert_clock`) end it as well."""

    every: float = 60.0
    tick_within: float = 45.0
    """A tick must have succeeded so lately: the store answers, and we lead."""
    moved_within: float = 1_800.0
    """Event time must have moved so lately: posts come, and are counted."""
    drained_within: float = 150.0
    """Nothing may have waited longer than this for a receiver."""


@dataclass(slots=True)
class Vitals:
    """What the leader last knew, on the monotonic clock; `waiting_since` too. None: never, or nothing."""

    ticked_at: float | None = None
    moved_at: float | None = None
    evaluated_until_ms: int | None = None
    stalled: bool = False
    unseen: Sequence[str] = ()
    """Partitions of which nobody gave a sign lately."""
    waiting_since: float | None = None

    def saw_tick(
        self, evaluated_until_ms: int | None, *, stalled: bool, now: float, unseen: Sequence[str] = ()
    ) -> None:
        self.ticked_at = now
        self.stalled = stalled
        self.unseen = unseen
        if evaluated_until_ms != self.evaluated_until_ms or self.moved_at is None:
            self.evaluated_until_ms = evaluated_until_ms
            self.moved_at = now


def reason_to_withhold(vitals: Vitals, *, now: float, policy: HeartbeatPolicy) -> str | None:
    """Why there is no beat now; None when all goes well."""
    if vitals.ticked_at is None or now - vitals.ticked_at > policy.tick_within:
        return "no tick has succeeded lately"
    if vitals.unseen:
        more = f" and {len(vitals.unseen) - 1} more" if len(vitals.unseen) > 1 else ""
        return f"no sign of who reads {vitals.unseen[0]}{more}: the worker is gone, or Kafka does not answer it"
    if vitals.stalled:
        return "a partition with lag does not move"
    if vitals.moved_at is None or now - vitals.moved_at > policy.moved_within:
        return "event time stands still"
    if vitals.waiting_since is not None and now - vitals.waiting_since > policy.drained_within:
        return "notifications wait for a receiver"
    return None


class Heartbeat:
    """The leader's beat."""

    def __init__(
        self,
        url: SecretStr,
        *,
        policy: HeartbeatPolicy,
        session: aiohttp.ClientSession,
        timeout_seconds: float,
        telemetry: Telemetry,
    ) -> None:
        self._url = url
        self._policy = policy
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._beats = telemetry.counter("brandpulse_heartbeats_total")
        for outcome in ("sent", "withheld", "failed"):
            self._beats.labels(outcome)

    async def run(self, stop: asyncio.Event, vitals: Callable[[], Vitals], now: Callable[[], float]) -> None:
        """Beat until *stop*; the first beat after the first good tick."""
        while not stop.is_set():
            reason = reason_to_withhold(vitals(), now=now(), policy=self._policy)
            if reason is None:
                await self._beat()
            elif vitals().ticked_at is not None:
                self._beats.labels("withheld").inc()
                log.warning("no heartbeat", extra={"reason": reason})
            seconds = self._policy.every if vitals().ticked_at is not None else min(1.0, self._policy.every)
            try:
                await asyncio.wait_for(stop.wait(), seconds)
            except TimeoutError:
                continue

    async def _beat(self) -> None:
        try:
            async with self._session.get(
                self._url.get_secret_value(), timeout=self._timeout, headers={"User-Agent": "brandpulse"}
            ) as answer:
                await answer.content.read(100)
                if answer.status < 300:
                    self._beats.labels("sent").inc()
                    return
                told = f"answered {answer.status}"
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            told = type(error).__name__  # its text may hold the secret address
        self._beats.labels("failed").inc()
        log.warning("the heartbeat was not taken", extra={"answer": told})
