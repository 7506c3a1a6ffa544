"""The alerter: asks for the lease, and while it leads, ticks, sends and renews; beside it /metrics and health."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence, Set
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
from brandpulse.runtime.http_security import has_token
from brandpulse.runtime.metrics import CONTENT_TYPE, Telemetry

log = logging.getLogger(__name__)

READY_SECONDS = 15.0
"""Ready: the store answered within that time."""


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
    """What /metrics wants to be shown; None: it is open, since only this machine can ask."""


class AlerterService:
    """One alerter of several. *holder* is unique to this life of the process: a restart is a takeover too."""

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
        """*rules*, *facets*, *brands* and *zones* are asked at each tick; *facets* are those that are counted, watched
        or not, *brands* the names of the brands file, None where it cannot be read."""
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
        """By the monotonic clock, counted from before we asked: the store's lease ends no sooner."""
        self._rng = random.Random()
        self._noted: dict[str, float] = {}
        """Brand -> expected delay as it stands in the store."""
        self._noted_rules: tuple[RuleSet, Set[str]] | None = None
        """With the counted facets: what stands in the store."""
        self._leader_gauge = telemetry.gauge("brandpulse_alerter_leader")
        start_counters(telemetry, receivers, rules())

    async def run(self, stop: asyncio.Event) -> None:
        """Until *stop*. Raises what is a bug; a store that is away is waited for."""
        self._leader_gauge.set(0)
        waits = 0.0
        while not stop.is_set():
            try:
                asked = time.monotonic()
                token = await self._ask(self._store.acquire, self._holder, lease_ms=self._lease_ms)
                self._leads_until = asked + self._config.lease_seconds
                waits = 0.0
            except TransientError as error:
                waits = min(5.0, max(0.2, waits * 2))
                log.warning("waiting for Redis", extra={"reason": str(error), "seconds": waits})
                await _pause(stop, self._rng.uniform(waits / 2, waits))
                continue
            if token is None:
                await _pause(stop, self._config.lease_seconds / 4)
                continue
            log.info("leads", extra={"token": token})
            self._leader_gauge.set(1)
            try:
                await self._lead(token, stop)
            except LostLeadershipError as error:
                log.warning("no longer leads", extra={"reason": str(error)})
            finally:
                self._leader_gauge.set(0)
        with contextlib.suppress(TransientError):
            await asyncio.to_thread(self._store.release, self._holder)

    async def _lead(self, token: int, stop: asyncio.Event) -> None:
        """Renew, tick and send side by side; the end of one is the end of all."""
        config = self._config
        self._noted_rules = None
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
            asyncio.create_task(self._tick(evaluator, sender, vitals, resign)),
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
            await _pause(stop, self._config.lease_seconds / 3)
            if stop.is_set():
                return
            asked = time.monotonic()
            try:
                if not await self._ask(self._store.renew, self._holder, lease_ms=self._lease_ms):
                    raise LostLeadershipError("the lease ran out, or is another's")
                self._leads_until = asked + self._config.lease_seconds
            except TransientError as error:
                log.warning("lease not renewed", extra={"reason": str(error)})
                if time.monotonic() >= self._leads_until:
                    raise LostLeadershipError("the store was away for longer than the lease") from error

    async def _tick(self, evaluator: Evaluator, sender: Sender, vitals: Vitals, stop: asyncio.Event) -> None:
        waits = 0.0
        while not stop.is_set():
            began = time.monotonic()
            try:
                report = await self._ask(evaluator.evaluate, self._wall_ms())
                waits = 0.0
            except TransientError as error:
                waits = min(5.0, max(0.2, waits * 2))
                log.warning("tick put off", extra={"reason": str(error), "seconds": waits})
                await _pause(stop, self._rng.uniform(waits / 2, waits))
                continue
            if report.deliveries:
                sender.wake(report.deliveries)
            seconds = time.monotonic() - began
            record_evaluation(self._telemetry, report, seconds=seconds, brands=await asyncio.to_thread(self._brands))
            await self._note_delays(report)
            await self._note_rules()
            self._note(vitals, report, sender)
            _tell(report, seconds)
            await _pause(stop, max(0.0, self._config.tick_seconds - seconds))

    async def _note_delays(self, report: EvaluationReport) -> None:
        """What changed since it was last written: an hour's baseline stands for an hour."""
        changed = {brand: delay for brand, delay in detection_delays(report).items() if self._noted.get(brand) != delay}
        if changed:
            with contextlib.suppress(TransientError):  # a hint: the next tick tries again
                await self._ask(self._store.save_delays, changed)
                self._noted |= changed

    async def _note_rules(self) -> None:
        """At the begin of a lead, and when the rules or the brands file changed."""
        found = await asyncio.to_thread(self._rules), await asyncio.to_thread(self._facets)
        if found == self._noted_rules:
            return
        start_rule_counters(self._telemetry, found[0])
        with contextlib.suppress(TransientError):
            await self._ask(self._store.save_watched_facets, watched_facets(*found))
            self._noted_rules = found

    def _note(self, vitals: Vitals, report: EvaluationReport, sender: Sender) -> None:
        now = time.monotonic()
        stalled = report.stalled == "yes"
        vitals.saw_tick(report.evaluated_until_ms, stalled=stalled, unseen=report.unseen, now=now)
        oldest_ms = sender.oldest_waiting_ms()
        vitals.waiting_since = None if oldest_ms is None else now - max(0, self._wall_ms() - oldest_ms) / 1_000

    async def _ask(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """*call* in a thread; its answer is the store's sign of life."""
        answer = await asyncio.to_thread(call, *arguments, **named)
        self._store_answered = time.monotonic()
        return answer

    def app(self) -> web.Application:
        """The web port: /metrics for Prometheus, /healthz (the process lives), /readyz (the store answers)."""
        app = web.Application()

        async def metrics(request: web.Request) -> web.Response:
            if not has_token(request.headers.get("Authorization", ""), self._config.metrics_token):
                return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
            with contextlib.suppress(TransientError):  # then the numbers are old, and agree all the same
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


@contextlib.asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serves *app* while inside; gives its address. Raises OSError if the port is taken."""
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    waiting: Coroutine[Any, Any, Any] = stop.wait()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(waiting, seconds)


def _loss_last(error: BaseException) -> bool:
    """A bug is told before the loss of the lease that it may have caused."""
    return isinstance(error, LostLeadershipError)


def _tell(report: EvaluationReport, seconds: float) -> None:
    for episode, transition, reason in report.transitions:
        log.warning(
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
        log.debug("evaluated", extra={"minutes": report.minutes, "seconds": round(seconds, 3)})
