"""`brandpulse alerter`: reads settings, builds the alerter, and runs it until SIGTERM."""

import asyncio
import contextlib
import logging
import os
import socket
import uuid

import aiohttp

from alerting.evaluation.hour_summary_cache import HourSummaryReader
from alerting.heartbeat import Heartbeat
from alerting.notifications.receivers.factory import build_receivers
from alerting.notifications.receivers.kafka_topic import KafkaTopic
from alerting.notifications.receivers.receiver_config import ReceiverConfig
from alerting.notifications.receivers.receivers_file import load_receivers
from alerting.rules.live_brands import LiveBrands
from alerting.rules.live_rules import LiveRules
from alerting.rules.loader import facet_names_of
from alerting.rules.models import DEFAULT_RULES
from alerting.service import AlerterService, ServiceConfig
from alerting.settings import AlerterSettings
from alerting.store.redis_store import RedisAlertStore
from brandpulse.config.settings import Settings, load_settings
from brandpulse.errors import ConfigError, TransientError
from brandpulse.redis.client import check_connection, connect
from brandpulse.runtime.backoff import Backoff
from brandpulse.runtime.clock import wall_ms
from brandpulse.runtime.http_security import metrics_token
from brandpulse.runtime.lifecycle import cannot_listen, listening, stop_event
from brandpulse.runtime.logging_setup import set_up_logging
from brandpulse.runtime.metric_definitions import ALERTER_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.runtime.service_registry import announced

log = logging.getLogger(__name__)


def main() -> int:
    """Runs until SIGTERM or SIGINT; 0 after a clean stop, 1 after a crash. Raises ConfigError."""
    settings, alerter = load_settings(Settings), load_settings(AlerterSettings)
    set_up_logging(settings.log_level)
    configs = [] if alerter.receivers_file is None else load_receivers(alerter.receivers_file)
    if not configs:
        log.warning(
            "no receivers configured: alerts go only to the store, the topic and this log",
            extra={"topic": settings.alerts_topic, "remedy": "BRANDPULSE_RECEIVERS_FILE=./receivers.yaml"},
        )
    telemetry = Telemetry(ALERTER_METRICS, service="alerter")
    rules = None
    if alerter.rules_file is not None:
        rules = LiveRules(
            alerter.rules_file,
            receivers={config.name for config in configs},
            facets=facet_names_of(settings.brands_file),
            telemetry=telemetry,
        )
    try:
        asyncio.run(_serve(settings, alerter, configs, telemetry, rules))
    except ConfigError:
        raise
    except Exception:
        log.critical("alerter crashed", exc_info=True)
        return 1
    return 0


async def _serve(
    settings: Settings,
    alerter: AlerterSettings,
    configs: list[ReceiverConfig],
    telemetry: Telemetry,
    rules: LiveRules | None,
) -> None:
    stop = stop_event()
    bootstrap_servers = settings.bootstrap_servers()
    # No retries in the client: each caller decides whether and how long to retry.
    client = connect(settings.redis_address(), retries=0, patience_seconds=60)
    check_connection(client)
    topic = KafkaTopic(
        bootstrap_servers,
        settings.alerts_topic,
        replication_factor=settings.replication_factor,
        timeout_seconds=alerter.request_timeout_seconds,
    )
    brands = LiveBrands(settings.brands_file)
    async with aiohttp.ClientSession() as session:
        receivers = build_receivers(
            configs,
            topic=topic,
            session=session,
            timeout_seconds=alerter.request_timeout_seconds,
            link=alerter.link,
        )
        service = AlerterService(
            holder=f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
            reader=HourSummaryReader(client, settings.namespace),
            store=RedisAlertStore(client, settings.namespace, durable_replicas=alerter.durable_replicas),
            receivers={receiver.name: receiver for receiver in receivers},
            config=ServiceConfig(
                tick_seconds=alerter.tick_seconds,
                lease_seconds=alerter.lease_seconds,
                request_timeout_seconds=alerter.request_timeout_seconds,
                policies=alerter.policies(),
                retry=alerter.retry_policy(),
                link=alerter.link,
                metrics_token=metrics_token(alerter.host, settings.metrics_token, variable="BRANDPULSE_ALERTER_HOST"),
            ),
            telemetry=telemetry,
            wall_ms=wall_ms,
            rules=rules.current if rules is not None else lambda: DEFAULT_RULES,
            heartbeat=_heartbeat(alerter, session, telemetry),
            facets=brands.facets,
            brands=brands.names,
            zones=brands.zones,
        )
        async with contextlib.AsyncExitStack() as stack:
            try:
                url = await stack.enter_async_context(listening(service.app(), alerter.host, alerter.port))
            except OSError as error:
                raise cannot_listen(alerter.host, alerter.port, error, variable="BRANDPULSE_ALERTER_PORT") from error
            stack.enter_context(announced(settings.home, "alerter", url=url, group=settings.namespace))
            log.info(
                "alerter ready",
                extra={"metrics": f"{url}/metrics", "receivers": [receiver.name for receiver in receivers]},
            )
            preparing = asyncio.create_task(_prepare(topic, stop))
            preparing.add_done_callback(lambda task: stop.set() if task.exception() is not None else None)
            try:
                await service.run(stop)
            finally:
                stop.set()
                await preparing
                for receiver in receivers:
                    await receiver.close()
                client.close()
        log.info("alerter stopped")


def _heartbeat(alerter: AlerterSettings, session: aiohttp.ClientSession, telemetry: Telemetry) -> Heartbeat | None:
    if alerter.heartbeat_url is None:
        return None
    return Heartbeat(
        alerter.heartbeat_url,
        policy=alerter.heartbeat_policy(),
        session=session,
        timeout_seconds=alerter.request_timeout_seconds,
        telemetry=telemetry,
    )


async def _prepare(topic: KafkaTopic, stop: asyncio.Event) -> None:
    """Create the topic before the first alert. An unavailable broker delays nothing else."""
    backoff = Backoff(stop, first_seconds=1.0, most_seconds=30.0)
    while not stop.is_set():
        try:
            await asyncio.to_thread(topic.prepare)
        except TransientError as error:
            log.warning("waiting for Kafka", extra={"reason": str(error), "seconds": backoff.grow()})
            await backoff.pause()
        else:
            return


if __name__ == "__main__":
    raise SystemExit(main())
