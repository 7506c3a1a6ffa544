"""`brandpulse worker`: reads the settings, builds the worker, runs it until SIGTERM."""

import asyncio
import gc
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from brandpulse.config.brand_warnings import brand_warnings
from brandpulse.config.brands_file import load_brands_file
from brandpulse.config.settings import Settings, load_settings
from brandpulse.errors import TransientError
from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.masking.mask import Mask
from brandpulse.redis.client import check_connection, connect
from brandpulse.runtime.child_process import free_port
from brandpulse.runtime.clock import wall_ms
from brandpulse.runtime.http_security import metrics_token
from brandpulse.runtime.lifecycle import cannot_listen, stop_event
from brandpulse.runtime.logging_setup import set_up_logging
from brandpulse.runtime.metric_definitions import WORKER_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.runtime.service_registry import announced
from brandpulse.schema.identity import AuthorHasher
from brandpulse.state.namespaces import load_replay
from brandpulse.text.brand_matcher import BrandMatcher
from model.inference.score_cache import CachingScorer
from model.language_weights import ModelFacts, load_language_model
from model.text_scoring import thresholds_of
from stream_workers.aggregation.seen_id_filter import native_filter
from stream_workers.app import WorkerApp, WorkerService, build_app
from stream_workers.consumer.adaptive_batch_size import AdaptiveBatchSize
from stream_workers.consumer.batches import ReadBatch
from stream_workers.consumer.post_reader import PostReader, ReaderConfig
from stream_workers.decoding.batch_decoder import fastest_decoder
from stream_workers.pipeline.batch_pipeline import BatchPipeline
from stream_workers.pipeline.output_producer import KafkaOutputProducer, ModelLabels
from stream_workers.pipeline.scored_topic_gate import ScoredTopicGate
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.near_misses import NearMissFinder
from stream_workers.settings import WorkerSettings
from stream_workers.state_store.redis_store import RedisPartitionStore

log = logging.getLogger(__name__)

GC_THRESHOLD = 50_000
"""Objects allocated and not freed between two runs of the cycle collector."""


@dataclass(frozen=True, slots=True)
class DebugOptions:
    """What only benchmarks and debugging set."""

    simulated_batch_seconds: float = 0.0
    """With engine null: how long up to 512 posts take, as on a GPU."""
    native: bool = True
    """Use native code if it is built."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker with all its parts, ready to run."""

    settings: Settings
    host: str
    port: int
    token: str | None
    telemetry: Telemetry
    scorer: CachingScorer
    make_service: Callable[[WorkerApp], WorkerService]

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT. Raises what crashed the app."""
        # What exists now lives as long as the process, and posts create no cycles. Searching for cycles took 5 % of the
        # time of a worker without a model, and paused one with a model while its libraries were searched.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 50)
        url = f"http://{self.host}:{self.port}"
        with announced(self.settings.home, "worker", url=url, group=self.settings.namespace):
            asyncio.run(self._serve(url))

    async def _serve(self, url: str) -> None:
        stop = stop_event()
        app, _service = build_app(
            host=self.host,
            port=self.port,
            data=str(self.settings.home / "faust"),
            token=self.token,
            telemetry=self.telemetry,
            scorer=self.scorer,
            make_service=self.make_service,
        )
        await app.start()
        log.info("worker ready", extra={"metrics": f"{url}/metrics", "model": self.scorer.name})
        stopped = asyncio.ensure_future(app.wait_until_stopped())
        await asyncio.wait({stopped, asyncio.ensure_future(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        log.info("worker stops")
        await app.stop()
        if app.crash_reason is not None:
            raise app.crash_reason


def main(debug: DebugOptions | None = None) -> int:
    """Runs until SIGTERM or SIGINT; returns 0 after a clean stop. Raises ConfigError."""
    settings, worker = load_settings(Settings), load_settings(WorkerSettings)
    set_up_logging(settings.log_level)
    build_worker(settings, worker, debug or DebugOptions()).run()
    return 0


def build_worker(settings: Settings, worker: WorkerSettings, debug: DebugOptions) -> Worker:
    """Loads the model and connects to Kafka and Redis. Raises ConfigError, TransientError."""
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
    _check_port(worker.host, port)
    batch_size = AdaptiveBatchSize(worker.batch_posts)
    readers: list[PostReader] = []
    overloaded = overload_check(worker.overload_lag, lambda: sum(reader.lag() for reader in readers))
    model = load_language_model(
        worker.engine, worker.weights, worker.threads, exit_policy=worker.tiers, overloaded=overloaded
    )
    scorer = CachingScorer(model.scorer, max_entries=max(1, worker.cached_texts))
    default = _model_labels(model.default)
    routed = {language: _model_labels(facts) for language, facts in model.routed.items()}
    facets = None
    if file.facets:
        facets = FacetMatcher(
            file.facets,
            heads=scorer.heads,
            emotion_thresholds=default.emotion_thresholds,
            routed_thresholds={language: labels.emotion_thresholds for language, labels in routed.items()},
        )
    _wait_for_topics(settings, bootstrap_servers)
    telemetry = Telemetry(WORKER_METRICS, service="worker")
    retention = worker.retention()
    # Two clients: the reader's loads must not wait for the pipeline's writes, and each client stays in one thread.
    # One retry bridges a broken connection. The default number of retries of redis-py would block the reader.
    clients = [connect(redis_url, retries=1, patience_seconds=60) for _ in range(2)]
    check_connection(clients[0])
    stores = [RedisPartitionStore(client, settings.namespace, retention, drop_every=16) for client in clients]

    replay = load_replay(clients[0], settings.namespace)
    if replay is not None:
        log.info("counting into a shadow namespace", extra={"namespace": settings.namespace, "parent": replay.parent})

    parent = settings.namespace if replay is None else replay.parent
    gate = ScoredTopicGate(clients[1], settings.namespace, parent, settings.posts_topic, monotonic=time.monotonic)
    output = KafkaOutputProducer(
        bootstrap_servers,
        posts_topic=settings.posts_topic,
        scored_topic=settings.scored_topic if worker.scored_topic_enabled else None,
        dlq_topic=settings.dlq_topic,
        model=default.model,
        emotion_thresholds=default.emotion_thresholds,
        languages=routed,
        end_offset=gate.end_offset,
    )

    def on_other_log() -> None:
        # A broker that came back empty has also lost the topics that the worker writes to.
        _make_topics(settings, bootstrap_servers)
        output.replace_producer()

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
            owner=f"{socket.gethostname()}:{port}",
            group_protocol=worker.group_protocol,
            start=worker.start if replay is None else "earliest",
            new_filter=native_filter(native=debug.native),
        )
        reader = PostReader(
            config, stores[0], offer, telemetry, on_other_log=on_other_log, wall_ms=wall_ms, batch_size=batch_size
        )
        readers.append(reader)
        return reader

    def make_pipeline(reader: PostReader) -> BatchPipeline:
        matcher = BrandMatcher(brands, file.facets)
        author_hash = AuthorHasher(settings.author_key.get_secret_value())
        return BatchPipeline(
            decoder=fastest_decoder(matcher, author_hash, native=debug.native),
            matcher=matcher,
            mask=Mask(handle for brand in brands for handle in brand.handles),
            brands=[brand.name for brand in brands],
            scorer=scorer,
            store=stores[1],
            output=output,
            partitions=reader,
            retention=retention,
            dedup_limits=worker.dedup_limits(),
            telemetry=telemetry,
            wall_ms=wall_ms,
            model_reads_text=worker.engine != "null",
            simulated_batch_seconds=debug.simulated_batch_seconds,
            replay=replay,
            facets=facets,
            batch_size=batch_size,
            languages=model.identifier,
            near_misses=NearMissFinder(brands, matcher),
        )

    def make_service(app: WorkerApp) -> WorkerService:
        return WorkerService(
            app,
            make_reader=make_reader,
            make_pipeline=make_pipeline,
            batches_in_flight=worker.batches_in_flight,
            batch_size=batch_size,
            watchdog_seconds=worker.watchdog_seconds,
            telemetry=telemetry,
        )

    return Worker(settings, worker.host, port, token, telemetry, scorer, make_service)


def overload_check(limit: int | None, lag: Callable[[], int]) -> Callable[[], bool] | None:
    """Whether more than *limit* posts wait by *lag*; None without a limit.

    None, not a function that returns False: an engine with an overload check holds a second, shallower graph.
    """
    return None if limit is None else lambda: lag() > limit


def _model_labels(facts: ModelFacts) -> ModelLabels:
    return ModelLabels(facts.name, thresholds_of(facts.thresholds, "emotion"))


def _wait_for_topics(settings: Settings, bootstrap_servers: str, *, patience_seconds: float = 60.0) -> None:
    """Create missing topics. A broker that starts at the same time gets a minute."""
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


def _check_port(host: str, port: int) -> None:
    """Raises ConfigError if *port* is in use."""
    with socket.socket() as probe:
        # As the web server will bind it: an old connection in TIME_WAIT does not occupy a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise cannot_listen(host, port, error, variable="BRANDPULSE_WORKER_PORT") from error
