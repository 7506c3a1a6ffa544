"""The alerter: acquires the lease; while it leads, it evaluates, sends and renews the lease. Serves /metrics and
health."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from alerting.dispatch.sender import Sender
from alerting.evaluation.evaluator import EvaluationReport, Evaluator
from alerting.evaluation.policies import Policies
from alerting.evaluation.rule_evaluator import PaneSource
from alerting.heartbeat import Heartbeat, Vitals
from alerting.metrics import detection_delays, record_evaluation, record_tally, start_counters, start_rule_counters
from alerting.notifications.delivery import RetryPolicy
from alerting.notifications.receivers.receiver import Receiver
from alerting.notifications.receivers.receivers_file import KAFKA
from alerting.notifications.routing import Route
from alerting.rules.brand_zones import Zones
from alerting.rules.models import DEFAULT_RULES, RuleSet
from alerting.rules.watched_facets import watched_facets
from alerting.store.alert_store import AlertStore, LostLeadershipError
from brandpulse.errors import TransientError
from brandpulse.runtime.backoff import Backoff, pause
from brandpulse.runtime.http_security import has_token
from brandpulse.runtime.metrics import CONTENT_TYPE, Telemetry

log = logging.getLogger(__name__)

READY_SECONDS = 15.0
"""The alerter is ready if the store responded within this time."""


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """Plain values of the settings."""

    tick_seconds: float
    lease_seconds: float
    request_timeout_seconds: float
    policies: Policies
    retry: RetryPolicy
    link: str | None = None
    metrics_token: str | None = None
    """Bearer token of /metrics; None: no token, because only this machine can connect."""


class AlerterService:
    """One of several alerters. *holder* is unique to this run of the process: a restart is a takeover too."""

    def __init__(
        self,
        *,
        holder: str,
        reader: PaneSource,
        store: AlertStore,
        receivers: Mapping[str, Receiver],
        config: ServiceConfig,
        telemetry: Telemetry,
        wall_ms: Callable[[], int],
        rules: Callable[[], RuleSet] = lambda: DEFAULT_RULES,
        heartbeat: Heartbeat | None = None,
        facets: Callable[[], Set[str]] = frozenset,
        brands: Callable[[], Sequence[str] | None] = lambda: None,
        zones: Callable[[], Zones] = dict,
    ) -> None:
        """*rules*, *facets*, *brands* and *zones* are called at each evaluation. *facets*: all that workers count,
        watched or not. *brands*: the names of the brands file; None if it cannot be read."""
        self._brands = brands
        self._holder = holder
        self._rules = rules
        self._heartbeat = heartbeat
        self._facets = facets
        self._zones = zones
        self._reader = reader
        self._store = store
        self._receivers = receivers
        self._config = config
        self._telemetry = telemetry
        self._wall_ms = wall_ms
        self._lease_ms = int(config.lease_seconds * 1_000)
        self._store_answered = -READY_SECONDS
        self._leads_until = 0.0
        """By the monotonic clock, counted from before the request, so never after the end of the lease in the store."""
        self._rng = random.Random()
        self._saved_delays: dict[str, float] = {}
        """By brand: the detection delay in the store."""
        self._saved_rules: tuple[RuleSet, Set[str]] | None = None
        """With the counted facets: as in the store."""
        self._leader_gauge = telemetry.gauge("brandpulse_alerter_leader")
        start_counters(telemetry, receivers, rules())

    async def run(self, stop: asyncio.Event) -> None:
        """Run until *stop*. Waits while the store is unavailable. Raises unexpected errors."""
        self._leader_gauge.set(0)
        backoff = Backoff(stop, rng=self._rng)
        while not stop.is_set():
            try:
                requested_at = time.monotonic()
                token = await self._call_store(self._store.acquire, self._holder, lease_ms=self._lease_ms)
                self._leads_until = requested_at + self._config.lease_seconds
                backoff.reset()
            except TransientError as error:
                log.warning("waiting for Redis", extra={"reason": str(error), "seconds": backoff.grow()})
                await backoff.pause()
                continue
            if token is None:
                await pause(stop, self._config.lease_seconds / 4)
                continue
            log.info("leadership acquired", extra={"token": token})
            self._leader_gauge.set(1)
            try:
                await self._lead(token, stop)
            except LostLeadershipError as error:
                log.warning("leadership lost", extra={"reason": str(error)})
            finally:
                self._leader_gauge.set(0)
        with contextlib.suppress(TransientError):
            await asyncio.to_thread(self._store.release, self._holder)

    async def _lead(self, token: int, stop: asyncio.Event) -> None:
        """Renew, evaluate and send concurrently. When one ends, all end."""
        config = self._config
        self._saved_rules = None
        sender = Sender(
            self._store,
            self._receivers,
            token=token,
            policy=config.retry,
            telemetry=self._telemetry,
            wall_ms=self._wall_ms,
            rng=self._rng,
            repeat_after_seconds=config.lease_seconds + config.request_timeout_seconds,
            may_send=lambda: time.monotonic() < self._leads_until,
        )
        evaluator = Evaluator(
            self._reader,
            self._store,
            token=token,
            policies=config.policies,
            routes=routes_of(list(self._receivers.values())),
            rules=self._rules,
            link=config.link,
            zones=self._zones,
        )
        resign = asyncio.Event()
        vitals = Vitals()
        tasks = [
            asyncio.create_task(self._renew(resign)),
            asyncio.create_task(self._evaluate(evaluator, sender, vitals, resign)),
            asyncio.create_task(sender.run(resign)),
        ]
        if self._heartbeat is not None:
            tasks.append(asyncio.create_task(self._heartbeat.run(resign, lambda: vitals, time.monotonic)))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            resign.set()
            evaluator.resign()
            stopping.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in sorted((e for e in ended if isinstance(e, BaseException)), key=_loss_last):
            raise error

    async def _renew(self, stop: asyncio.Event) -> None:
        while True:
            await pause(stop, self._config.lease_seconds / 3)
            if stop.is_set():
                return
            requested_at = time.monotonic()
            try:
                if not await self._call_store(self._store.renew, self._holder, lease_ms=self._lease_ms):
                    raise LostLeadershipError("the lease expired, or another alerter has it")
                self._leads_until = requested_at + self._config.lease_seconds
            except TransientError as error:
                log.warning("lease not renewed", extra={"reason": str(error)})
                if time.monotonic() >= self._leads_until:
                    raise LostLeadershipError("the store was unavailable for longer than the lease") from error

    async def _evaluate(self, evaluator: Evaluator, sender: Sender, vitals: Vitals, stop: asyncio.Event) -> None:
        backoff = Backoff(stop, rng=self._rng)
        while not stop.is_set():
            began = time.monotonic()
            try:
                report = await self._call_store(evaluator.evaluate, self._wall_ms())
                backoff.reset()
            except TransientError as error:
                log.warning("evaluation postponed", extra={"reason": str(error), "seconds": backoff.grow()})
                await backoff.pause()
                continue
            if report.deliveries:
                sender.wake(report.deliveries)
            seconds = time.monotonic() - began
            record_evaluation(self._telemetry, report, seconds=seconds, brands=await asyncio.to_thread(self._brands))
            await self._save_delays(report)
            await self._save_rules()
            self._update_vitals(vitals, report, sender)
            _log_transitions(report, seconds)
            await pause(stop, max(0.0, self._config.tick_seconds - seconds))

    async def _save_delays(self, report: EvaluationReport) -> None:
        """Save the delays that changed. A baseline changes once an hour."""
        changed = {
            brand: delay for brand, delay in detection_delays(report).items() if self._saved_delays.get(brand) != delay
        }
        if changed:
            with contextlib.suppress(TransientError):  # informational: the next evaluation tries again
                await self._call_store(self._store.save_delays, changed)
                self._saved_delays |= changed

    async def _save_rules(self) -> None:
        """Save the watched facets after taking the lead, and when the rules or the brands file changed."""
        found = await asyncio.to_thread(self._rules), await asyncio.to_thread(self._facets)
        if found == self._saved_rules:
            return
        start_rule_counters(self._telemetry, found[0])
        with contextlib.suppress(TransientError):
            await self._call_store(self._store.save_watched_facets, watched_facets(*found))
            self._saved_rules = found

    def _update_vitals(self, vitals: Vitals, report: EvaluationReport, sender: Sender) -> None:
        now = time.monotonic()
        stalled = report.stalled == "yes"
        vitals.record_evaluation(report.evaluated_until_ms, stalled=stalled, unseen=report.unseen, now=now)
        oldest_ms = sender.oldest_waiting_ms()
        vitals.waiting_since = None if oldest_ms is None else now - max(0, self._wall_ms() - oldest_ms) / 1_000

    async def _call_store(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Run *call* in a thread. Its return shows that the store responds."""
        answer = await asyncio.to_thread(call, *arguments, **named)
        self._store_answered = time.monotonic()
        return answer

    def app(self) -> web.Application:
        """The web application: /metrics for Prometheus, /healthz (the process runs), /readyz (the store responds)."""
        app = web.Application()

        async def metrics(request: web.Request) -> web.Response:
            if not has_token(request.headers.get("Authorization", ""), self._config.metrics_token):
                return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
            with contextlib.suppress(TransientError):  # then the numbers are old but consistent
                record_tally(self._telemetry, await asyncio.to_thread(self._store.tally))
            return web.Response(body=self._telemetry.expose(), headers={"Content-Type": CONTENT_TYPE})

        async def health(_: web.Request) -> web.Response:
            return web.json_response({"status": "alive"})

        async def ready(_: web.Request) -> web.Response:
            age = time.monotonic() - self._store_answered
            limit = max(READY_SECONDS, 2 * self._config.lease_seconds)
            answer = {"status": "ready" if age <= limit else "the store does not answer"}
            return web.json_response(answer, status=200 if age <= limit else 503)

        app.router.add_get("/metrics", metrics)
        app.router.add_get("/healthz", health)
        app.router.add_get("/readyz", ready)
        return app


def routes_of(receivers: Sequence[Receiver]) -> list[Route]:
    return [
        Route(
            receiver.name,
            receiver.min_severity,
            wants_every_update=receiver.wants_every_update,
            receives_all=receiver.name == KAFKA,
        )
        for receiver in receivers
    ]


def _loss_last(error: BaseException) -> bool:
    """Sort key: an unexpected error is raised before the loss of the lease that it may have caused."""
    return isinstance(error, LostLeadershipError)


def _log_transitions(report: EvaluationReport, seconds: float) -> None:
    for episode, transition, reason in report.transitions:
        log.warning(
            "episode %s",
            transition,
            extra={
                "episode": episode.key,
                "severity": episode.severity,
                "share": round(episode.latest.negative_share, 3),
                "baseline": round(episode.latest.baseline_share, 3),
                "reason": reason,
            },
        )
    if report.minutes:
        log.debug("minutes evaluated", extra={"minutes": report.minutes, "seconds": round(seconds, 3)})
