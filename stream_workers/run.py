"""`brandpulse worker`: reads settings and the clock, builds the worker, runs it until SIGTERM."""

import asyncio
import gc
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from brandpulse.config.brand_warnings import brand_warnings
from brandpulse.config.brands_file import load_brands_file
from brandpulse.config.settings import Settings, load_settings
from brandpulse.errors import ConfigError, TransientError
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.masking.mask import Mask
from brandpulse.redis.client import check_connection, connect
from brandpulse.runtime.child_process import free_port
from brandpulse.runtime.clock import wall_ms
from brandpulse.runtime.http_security import metrics_token
from brandpulse.runtime.logging_setup import set_up_logging
from brandpulse.runtime.metric_definitions import WORKER_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.runtime.service_registry import announced
from brandpulse.state.namespaces import load_replay
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.languages import LanguageFilter
from model.checkpoints.multi_head import read_heads_manifest
from model.inference.score_cache import CachingScorer
from model.loader import languages_of, load_scorer
from model.spec.weights import WEIGHTS
from stream_workers.aggregation.seen_id_filter import native_filter
from stream_workers.app import Lane, WorkerApp, build_app
from stream_workers.consumer.adaptive_batch_size import Pace
from stream_workers.consumer.assigned_partition import ReadBatch
from stream_workers.consumer.post_reader import PostReader, ReaderConfig
from stream_workers.decoding.decoded_batch import row_reader
from stream_workers.decoding.post_decoder import AuthorHasher
from stream_workers.pipeline.batch_pipeline import BatchLane
from stream_workers.pipeline.output_producer import KafkaHandOver
from stream_workers.pipeline.scored_topic_gate import Turn
from stream_workers.scoring.facet_matcher import Facets
from stream_workers.scoring.near_misses import NearMissFinder
from stream_workers.scoring.post_labels import EVEN
from stream_workers.settings import WorkerSettings
from stream_workers.state_store.redis_store import RedisPartitionStore

log = logging.getLogger(__name__)

COLLECT_EVERY = 50_000
"""Objects made and not freed between two looks for cycles."""


def main() -> int:
    """Runs until SIGTERM or SIGINT; 0 after a clean stop. Raises ConfigError."""
    settings, worker = load_settings(Settings), load_settings(WorkerSettings)
    set_up_logging(settings.log_level)
    file = load_brands_file(settings.brands_file)
    brands = file.brands
    for warning in brand_warnings(file):
        log.warning(
            "brand word matches too much or nothing",
            extra={"brand": warning.brand, "word": warning.word, "fault": warning.fault, "remedy": warning.remedy},
        )
    bootstrap_servers, redis_url = settings.bootstrap_servers(), settings.redis_address()
    token = metrics_token(worker.host, settings.metrics_token, variable="BRANDPULSE_WORKER_HOST")
    port = worker.port or free_port()
    _refuse_taken_port(worker.host, port)
    pace = Pace(worker.batch_posts)
    readers: list[PostReader] = []
    hurry = hurry_when(worker.hurry_lag, lambda: sum(reader.lag() for reader in readers))
    scorer = CachingScorer(
        load_scorer(worker.engine, worker.weights, worker.threads, exit_policy=worker.tiers, overloaded=hurry),
        max_entries=max(1, worker.cached_texts),
    )
    languages = languages_of(worker.engine, worker.weights)
    model, emotion_thresholds = _facts_of(scorer, worker.weights)
    facets = Facets(file.facets, heads=scorer.heads, emotion_thresholds=emotion_thresholds) if file.facets else None
    _wait_for_topics(settings, bootstrap_servers)
    telemetry = Telemetry(WORKER_METRICS, service="worker")
    owner = f"{socket.gethostname()}:{port}"
    retention = worker.retention()
    # Two clients: the reader's loads must not wait behind the lane's writes, and each stays in one thread.
    # One more try bridges a cut connection. As many as redis-py makes by itself would hold the reader.
    clients = [connect(redis_url, retries=1, patience_seconds=60) for _ in range(2)]
    check_connection(clients[0])
    stores = [RedisPartitionStore(client, settings.namespace, retention, drop_every=16) for client in clients]

    replay = load_replay(clients[0], settings.namespace)
    if replay is not None:
        log.info("counts into a shadow", extra={"namespace": settings.namespace, "of": replay.parent})

    parent = settings.namespace if replay is None else replay.parent
    turn = Turn(clients[1], settings.namespace, parent, settings.posts_topic, monotonic=time.monotonic)
    hand_over = KafkaHandOver(
        bootstrap_servers,
        posts_topic=settings.posts_topic,
        scored_topic=settings.scored_topic if worker.scored_topic_enabled else None,
        dlq_topic=settings.dlq_topic,
        model=model,
        emotion_thresholds=emotion_thresholds,
        until=turn.until,
    )

    def on_other_log() -> None:
        # A broker that came back empty has lost the topics that we write to, as well.
        _make_topics(settings, bootstrap_servers)
        hand_over.renew()

    def make_reader(offer: Callable[[ReadBatch, float], bool]) -> PostReader:
        config = ReaderConfig(
            bootstrap_servers=bootstrap_servers,
            group_id=settings.consumer_group,
            topic=settings.posts_topic,
            batch_posts=worker.batch_posts,
            batch_wait_seconds=worker.batch_wait_seconds,
            session_timeout_seconds=worker.session_timeout_seconds,
            idle_after_seconds=worker.idle_after_seconds,
            lateness_ms=retention.lateness_ms,
            invalid_run=worker.invalid_run,
            invalid_share=worker.invalid_share,
            owner=owner,
            group_protocol=worker.group_protocol,
            start=worker.start if replay is None else "earliest",
            new_filter=native_filter(native=worker.native_rows),
        )
        reader = PostReader(config, stores[0], offer, telemetry, on_other_log=on_other_log, wall_ms=wall_ms, pace=pace)
        readers.append(reader)
        return reader

    def make_lane(reader: PostReader) -> BatchLane:
        matcher = BrandMatcher(brands, file.facets)
        author_hash = AuthorHasher(settings.author_key.get_secret_value())
        return BatchLane(
            rows=row_reader(matcher, author_hash, native=worker.native_rows),
            matcher=matcher,
            mask=Mask(handle for brand in brands for handle in brand.handles),
            brands=[brand.name for brand in brands],
            scorer=scorer,
            store=stores[1],
            hand_over=hand_over,
            partitions=reader,
            retention=retention,
            limits=worker.repeat_limits(),
            telemetry=telemetry,
            wall_ms=wall_ms,
            reads=worker.engine != "null",
            batch_seconds=worker.null_batch_ms / 1_000,
            span=replay,
            facets=facets,
            pace=pace,
            languages=LanguageFilter(languages) if languages else None,
            near_misses=NearMissFinder(brands),
        )

    def make_service(app: WorkerApp) -> Lane:
        return Lane(
            app,
            make_reader=make_reader,
            make_lane=make_lane,
            batches_in_flight=worker.batches_in_flight,
            pace=pace,
            watchdog_seconds=worker.watchdog_seconds,
            telemetry=telemetry,
        )

    # What stands now stays for the process's life, and posts make no cycles: looking for some took a twentieth of a
    # worker without a model, and stopped one with a model for as long as it takes to look through its libraries.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, 20, 50)
    with announced(settings.home, "worker", url=f"http://{worker.host}:{port}", group=settings.namespace):
        asyncio.run(
            _serve(
                host=worker.host,
                port=port,
                data=str(settings.home / "faust"),
                token=token,
                telemetry=telemetry,
                scorer=scorer,
                make_service=make_service,
            )
        )
    return 0


async def _serve(
    *,
    host: str,
    port: int,
    data: str,
    token: str | None,
    telemetry: Telemetry,
    scorer: CachingScorer,
    make_service: Callable[[WorkerApp], Lane],
) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    app, _service = build_app(
        host=host,
        port=port,
        data=data,
        token=token,
        telemetry=telemetry,
        scorer=scorer,
        make_service=make_service,
    )
    await app.start()
    log.info("worker ready", extra={"metrics": f"http://{host}:{port}/metrics", "model": scorer.name})
    crashed = asyncio.ensure_future(app.wait_until_stopped())
    await asyncio.wait({crashed, asyncio.ensure_future(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
    log.info("worker stops")
    await app.stop()
    if app.crash_reason is not None:
        raise app.crash_reason


def hurry_when(limit: int | None, lag: Callable[[], int]) -> Callable[[], bool] | None:
    """Whether more than *limit* posts wait by *lag*; None without a limit.

    Not a function that says no: an engine that may be asked to hurry holds a second, shallower graph.
    """
    return None if limit is None else lambda: lag() > limit


def _facts_of(scorer: CachingScorer, weights: Path | None) -> tuple[str, Sequence[float]]:
    """`name@version` of the model, and the probabilities from which it tells each emotion."""
    if "emotion" not in scorer.heads:
        return f"{scorer.name}@{scorer.version}", EVEN
    manifest = read_heads_manifest(weights or WEIGHTS)
    return f"{manifest.name}@{scorer.version}", manifest.threshold("emotion")


def _wait_for_topics(settings: Settings, bootstrap_servers: str, *, patience_seconds: float = 60.0) -> None:
    """Create what is missing; a broker that starts beside us gets a minute."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            _make_topics(settings, bootstrap_servers)
        except TransientError as error:
            if time.monotonic() > deadline:
                raise
            log.warning("waiting for Kafka", extra={"reason": str(error)})
            time.sleep(1)
        else:
            return


def _make_topics(settings: Settings, bootstrap_servers: str) -> None:
    wanted = [
        Topic(settings.posts_topic, settings.partitions),
        Topic(settings.scored_topic, settings.partitions),
        Topic(settings.dlq_topic),
    ]
    ensure_topics(bootstrap_servers, wanted, replication_factor=settings.replication_factor)


def _refuse_taken_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        # As the web server itself will bind: an old connection in TIME_WAIT takes no port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port} ({error.strerror}). "
                "Set BRANDPULSE_WORKER_PORT to another port, or to 0 for any free one"
            ) from error
