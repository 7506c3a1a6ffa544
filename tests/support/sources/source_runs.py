"""Runs one source against a real broker, and compares what arrived with what the platform sent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from brandpulse.kafka.topics import Topic, ensure_topics
from brandpulse.runtime.metric_definitions import INGEST_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.state.applied_logs import AppliedLogs
from ingest.sources.brand_filter import BrandFilter
from ingest.sources.delivery import PostDelivery
from ingest.sources.position_store import MemoryPositionStore, PositionStore
from ingest.sources.runner import Destination, SourceRunner
from ingest.sources.service import source_context
from ingest.sources.source import Source, SourceContext
from ingest.sources.spending.ledger import Ledger
from ingest.topic_reader import TopicReader
from tests.support.patience import wait_until_async

PARTITIONS = 3
BRANDS = 'brands:\n  - name: Acme Air\n    terms: ["acme"]\n'


def a_brands_file(folder: Path, brands: str = BRANDS) -> Path:
    path = folder / "brands.yaml"
    path.write_text(brands)
    return path


@dataclass(slots=True)
class SourceRun:
    """What a test may look at and change while the source runs."""

    runner: SourceRunner
    store: PositionStore
    telemetry: Telemetry
    stop: asyncio.Event
    context: SourceContext
    log_id: list[str]
    """The topic's id as the source sees it; a test may replace it."""

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        try:
            await wait_until_async(holds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; the source: {self.runner.state}") from None


@dataclass
class Place:
    """A broker's topic and a store, which outlive the runs of a source."""

    servers: str
    topic: str
    folder: Path
    store: PositionStore = field(default_factory=MemoryPositionStore)
    applied: Callable[[], AppliedLogs] = AppliedLogs

    @property
    def dlq_topic(self) -> str:
        return f"{self.topic}.dlq"

    def __post_init__(self) -> None:
        topics = [Topic(self.topic, PARTITIONS), Topic(self.dlq_topic, 1)]
        self.topic_id = ensure_topics(self.servers, topics)[self.topic]

    @contextlib.asynccontextmanager
    async def running(
        self, source: Source, *, kill: bool = False, brands: str = BRANDS, ledger: Ledger | None = None
    ) -> AsyncIterator[SourceRun]:
        """*source* runs in the context; at its end it is stopped, or with *kill* just cut off."""
        brand_filter = BrandFilter(a_brands_file(self.folder, brands))
        telemetry, stop, log_id = Telemetry(INGEST_METRICS), asyncio.Event(), [self.topic_id]
        delivery = PostDelivery(self.servers, self.topic, dlq_topic=self.dlq_topic)
        destination = Destination(delivery, self.store, lambda: log_id[0], self.applied)
        async with source_context(brand_filter, stop, ledger=ledger) as context:
            following = asyncio.create_task(brand_filter.follow(stop))
            runner = SourceRunner(
                source, destination, context, brand_filter, telemetry, first_pause_seconds=0.002, save_seconds=0.02
            )
            task = asyncio.create_task(runner.run())
            try:
                yield SourceRun(runner, self.store, telemetry, stop, context, log_id)
            finally:
                if kill:
                    task.cancel()
                stop.set()
                following.cancel()
                await asyncio.wait({task, following})
                await delivery.close(10)

    def newest_saved(self) -> datetime | None:
        """Time of the newest post before the stored position of the only source."""
        return next((position.last_event for position in self.store.positions().values()), None)

    def has_more_than(self, records: int) -> bool:
        return len(self.received()) > records

    def has_all(self, ids: set[str]) -> bool:
        return ids <= set(self.received())

    def received(self) -> list[str]:
        """Ids of all records in the topic, in the order of each partition; repeats included."""
        with TopicReader(self.servers, self.topic) as reader:
            ends = reader.ends()
            return [post.id for post in reader.posts_between(ends.low, ends.high)]
