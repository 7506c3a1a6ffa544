"""The dead-man's switch: a GET to an external service every minute while all is well. The service alerts if it stops.

Any service that expects a regular GET works: healthchecks.io, Dead Man's Snitch, Uptime Kuma. Run it on other machines.
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
    """When the heartbeat stops. Seconds. Unseen partitions (`alerting.evaluation.alert_clock`) stop it as well."""

    every: float = 60.0
    evaluated_within: float = 45.0
    """Limit since the last successful evaluation: the store responds, and this alerter leads."""
    moved_within: float = 1_800.0
    """Limit since event time last moved: posts arrive and are counted."""
    drained_within: float = 150.0
    """Limit for the wait of any notification."""


@dataclass(slots=True)
class Vitals:
    """The leader's condition. All times are on the monotonic clock. None: never, or nothing."""

    evaluated_at: float | None = None
    moved_at: float | None = None
    evaluated_until_ms: int | None = None
    stalled: bool = False
    unseen: Sequence[str] = ()
    """Partitions without a recent sign of life of a worker."""
    waiting_since: float | None = None

    def record_evaluation(
        self, evaluated_until_ms: int | None, *, stalled: bool, now: float, unseen: Sequence[str] = ()
    ) -> None:
        self.evaluated_at = now
        self.stalled = stalled
        self.unseen = unseen
        if evaluated_until_ms != self.evaluated_until_ms or self.moved_at is None:
            self.evaluated_until_ms = evaluated_until_ms
            self.moved_at = now


def reason_to_withhold(vitals: Vitals, *, now: float, policy: HeartbeatPolicy) -> str | None:
    """Why the heartbeat is withheld now; None if all is well."""
    if vitals.evaluated_at is None or now - vitals.evaluated_at > policy.evaluated_within:
        return "no evaluation has succeeded recently"
    if vitals.unseen:
        more = f" and {len(vitals.unseen) - 1} more" if len(vitals.unseen) > 1 else ""
        return (
            f"no sign of life from the worker of {vitals.unseen[0]}{more}: it is gone, or Kafka does not respond to it"
        )
    if vitals.stalled:
        return "a partition with lag does not move"
    if vitals.moved_at is None or now - vitals.moved_at > policy.moved_within:
        return "event time does not move"
    if vitals.waiting_since is not None and now - vitals.waiting_since > policy.drained_within:
        return "notifications wait for a receiver"
    return None


class Heartbeat:
    """The leader's heartbeat."""

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
        """Send heartbeats until *stop*, the first after the first successful evaluation."""
        while not stop.is_set():
            reason = reason_to_withhold(vitals(), now=now(), policy=self._policy)
            if reason is None:
                await self._send()
            elif vitals().evaluated_at is not None:
                self._beats.labels("withheld").inc()
                log.warning("heartbeat withheld", extra={"reason": reason})
            seconds = self._policy.every if vitals().evaluated_at is not None else min(1.0, self._policy.every)
            try:
                await asyncio.wait_for(stop.wait(), seconds)
            except TimeoutError:
                continue

    async def _send(self) -> None:
        try:
            async with self._session.get(
                self._url.get_secret_value(), timeout=self._timeout, headers={"User-Agent": "brandpulse"}
            ) as answer:
                await answer.content.read(100)
                if answer.status < 300:
                    self._beats.labels("sent").inc()
                    return
                reason = f"status {answer.status}"
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            reason = type(error).__name__  # its text may contain the secret URL
        self._beats.labels("failed").inc()
        log.warning("heartbeat failed", extra={"reason": reason})
