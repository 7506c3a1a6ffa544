"""`brandpulse ingest run`: reads settings, and runs live sources and the webhook until SIGTERM."""

import asyncio
import logging

from confluent_kafka.admin import AdminClient

from brandpulse.config.settings import Settings, load_settings
from brandpulse.errors import ConfigError
from brandpulse.kafka.client import client_config
from brandpulse.kafka.topics import Topic, ensure_topics, topic_id
from brandpulse.redis.client import check_connection, connect
from brandpulse.runtime.http_security import metrics_token
from brandpulse.runtime.lifecycle import cannot_listen, listening, stop_event
from brandpulse.runtime.logging_setup import set_up_logging
from brandpulse.runtime.metric_definitions import INGEST_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.runtime.service_registry import announced
from ingest.post_producer import NO_CLIENT_LOG, check_broker
from ingest.settings import IngestSettings
from ingest.sources.brand_filter import BrandFilter
from ingest.sources.deletions import DeletionSweeper
from ingest.sources.delivery import PostDelivery
from ingest.sources.position_store import RedisPositionStore
from ingest.sources.runner import FLUSH_SECONDS, Destination
from ingest.sources.service import SourcesService, TopicIdWatch, source_context
from ingest.sources.sources_file import load_sources
from ingest.sources.spending.ledger import RedisLedger
from ingest.webhook.service import WebhookService
from ingest.webhook.settings import load_webhook
from ingest.worker_states import RedisWorkerStates

log = logging.getLogger(__name__)


def main() -> int:
    """Runs until SIGTERM or SIGINT; 0 after a clean stop, 1 after a crash. Raises ConfigError, TransientError."""
    settings, ingest = load_settings(Settings), load_settings(IngestSettings)
    set_up_logging(settings.log_level)
    load_sources(ingest.sources_file)  # a wrong file is reported before any server is asked
    load_webhook(ingest.sources_file)
    try:
        asyncio.run(_serve(settings, ingest))
    except ConfigError:
        raise
    except Exception:
        log.critical("ingest crashed", exc_info=True)
        return 1
    return 0


async def _serve(settings: Settings, ingest: IngestSettings) -> None:
    stop = stop_event()
    servers, topic = settings.bootstrap_servers(), settings.posts_topic
    brands = BrandFilter(settings.brands_file)
    client = connect(settings.redis_address(), patience_seconds=60)
    check_connection(client)
    check_broker(servers)
    wanted = [Topic(topic, settings.partitions), Topic(settings.dlq_topic)]
    ids = ensure_topics(servers, wanted, replication_factor=settings.replication_factor)
    admin = AdminClient(client_config(servers) | NO_CLIENT_LOG)
    watch = TopicIdWatch(ids[topic], lambda: topic_id(admin, topic))
    states = RedisWorkerStates(client, settings.namespace, topic)
    partitions = range(len(admin.list_topics(topic, timeout=10).topics[topic].partitions))
    delivery = PostDelivery(servers, topic, dlq_topic=settings.dlq_topic)
    destination = Destination(
        delivery, RedisPositionStore(client, settings.namespace), watch, lambda: states.applied(partitions)
    )
    telemetry = Telemetry(INGEST_METRICS, service="ingest")
    token = metrics_token(ingest.host, settings.metrics_token, variable="BRANDPULSE_INGEST_HOST")
    webhook = WebhookService(ingest.sources_file, bootstrap_servers=servers, topic=topic, telemetry=telemetry)
    sweeper = DeletionSweeper(client, settings.namespace, settings.author_keys(), telemetry)
    following = [asyncio.create_task(task) for task in (watch.run(stop), brands.follow(stop), sweeper.run(stop))]
    try:
        async with source_context(brands, stop, ledger=RedisLedger(client, settings.namespace)) as context:
            service = SourcesService(
                ingest.sources_file,
                destination=destination,
                context=context,
                brands=brands,
                telemetry=telemetry,
                metrics_token=token,
            )
            try:
                async with (
                    webhook.running(stop),
                    listening(service.app(webhook.state), ingest.host, ingest.port) as url,
                ):
                    with announced(settings.home, "ingest", url=url):
                        log.info("ingest started", extra={"url": url, "file": str(ingest.sources_file)})
                        await service.run()
            except OSError as error:
                raise cannot_listen(ingest.host, ingest.port, error, variable="BRANDPULSE_INGEST_PORT") from error
    finally:
        for task in following:
            task.cancel()
        left = await delivery.close(FLUSH_SECONDS)
        log.info("ingest stopped", extra={"unconfirmed": left})
