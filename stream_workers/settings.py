"""Settings of a worker. Prefix `BRANDPULSE_WORKER_`."""

import os
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from brandpulse.config.advanced import ADVANCED
from model.spec.options import Engine, ExitPolicy
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention


class WorkerSettings(BaseSettings):
    """Read once, in `stream_workers/run.py`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_WORKER_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", examples=["127.0.0.1"])
    """Address of the metrics and health port."""
    port: int = Field(default=0, ge=0, le=65_535, examples=[0])
    """Metrics and health port. 0: any free port, which is recorded under BRANDPULSE_HOME."""
    engine: Engine = Field(default="auto", examples=["auto"])
    """Inference engine of the model. auto: the fastest for this machine."""
    weights: Path | None = Field(default=None, examples=["/models/minilm-brand"])
    """Folder of the model's weights. Unset: the weights that ship with brandpulse."""
    tiers: ExitPolicy = Field(default="full", examples=["full"])
    """early: half the layers score the posts whose sentiment is certain, for twice the posts per second. Counts per
    brand stay as good; emotions, complaint and therefore urgency of those posts are worse (see the model card)."""
    threads: int | None = Field(default=None, ge=1, le=256, examples=[os.cpu_count() or 2])
    """CPU threads of the model. Unset: all cores."""
    batch_posts: int = Field(default=512, ge=1, le=10_000, examples=[512], json_schema_extra=ADVANCED)
    """Maximum records per read. With a model on the CPU reads adapt to what it scores in half a second."""
    batch_wait_seconds: float = Field(default=0.1, gt=0, le=10, examples=[0.1], json_schema_extra=ADVANCED)
    """How long a read waits for more records. Adds directly to latency."""
    batches_in_flight: int = Field(default=8, ge=1, le=64, examples=[8], json_schema_extra=ADVANCED)
    """Maximum batches that are read and not yet counted. Beyond it the partitions pause."""
    cached_texts: int = Field(default=50_000, ge=0, le=10_000_000, examples=[50_000], json_schema_extra=ADVANCED)
    """Texts whose scores are cached. Each takes about 500 bytes, and 16 per brand."""
    overload_lag: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        # The second name is deprecated.
        validation_alias=AliasChoices("BRANDPULSE_WORKER_OVERLOAD_LAG", "BRANDPULSE_WORKER_HURRY_LAG", "overload_lag"),
        examples=[20_000],
        json_schema_extra=ADVANCED,
    )
    """When lag exceeds this many records, low-confidence posts keep the early-exit prediction: faster, slightly less
    accurate. brandpulse_posts_degraded_total counts them. Unset: never."""
    lateness_seconds: float = Field(default=120, ge=0, le=86_400, examples=[120])
    """How far a post may be behind the newest post of its partition and still be on time."""
    repeat_memory_hours: float = Field(default=6, gt=0, le=168, examples=[6], json_schema_extra=ADVANCED)
    """Event time for which ids are remembered to drop duplicates. An id takes 60-70 bytes of Redis."""
    repeat_memory_ids: int = Field(
        default=4_000_000, ge=1_000, le=1_000_000_000, examples=[4_000_000], json_schema_extra=ADVANCED
    )
    """Maximum ids remembered per partition, for backfills that do not advance the clock."""
    minute_panes_hours: float = Field(default=48, ge=1, le=168, examples=[48], json_schema_extra=ADVANCED)
    """Event time for which counts per minute are retained."""
    hour_panes_days: float = Field(default=90, ge=1, le=3_660, examples=[90])
    """Event time for which counts per hour are retained. Older posts go to the dead-letter topic as `too_old`."""
    start: Literal["earliest", "latest"] = Field(default="earliest", examples=["earliest"], json_schema_extra=ADVANCED)
    """Where to start in a topic for which the namespace has no state, for example after Redis lost everything: at the
    oldest retained record, or at the newest. The worker logs it."""
    group_protocol: Literal["classic", "consumer"] = Field(
        default="classic", examples=["classic"], json_schema_extra=ADVANCED
    )
    """consumer: KIP-848, for Apache Kafka 4. The broker then decides when a member is dead, by default after 45 s
    (group.consumer.session.timeout.ms): a killed worker's partitions are not read until then."""
    session_timeout_seconds: float = Field(default=6, ge=1, le=300, examples=[6], json_schema_extra=ADVANCED)
    """After this time without a heartbeat a worker's partitions go to other workers (group protocol classic)."""
    idle_after_seconds: float = Field(default=3, ge=0.5, le=600, examples=[3], json_schema_extra=ADVANCED)
    """A partition that is at its end for this time is idle, and does not hold back the watermark."""
    watchdog_seconds: float = Field(default=120, ge=5, le=3_600, examples=[120], json_schema_extra=ADVANCED)
    """With lag and no progress for this time the process ends, and its supervisor restarts it."""
    invalid_run: int = Field(default=500, ge=1, le=1_000_000, examples=[500], json_schema_extra=ADVANCED)
    """This many invalid posts in a row pause the partition until `brandpulse dlq allow`."""
    invalid_share: float = Field(default=0.5, gt=0, le=1, examples=[0.5], json_schema_extra=ADVANCED)
    """This share of invalid posts among the last thousand pauses the partition too."""
    scored_topic_enabled: bool = Field(default=True, examples=[True], json_schema_extra=ADVANCED)
    """Whether each counted post is also written to topic posts.scored."""

    def retention(self) -> Retention:
        return Retention(
            lateness_ms=int(self.lateness_seconds * 1_000),
            minutes_ms=int(self.minute_panes_hours * 3_600_000),
            hours_ms=int(self.hour_panes_days * 86_400_000),
        )

    def dedup_limits(self) -> DedupLimits:
        return DedupLimits(int(self.repeat_memory_hours * 3_600_000), self.repeat_memory_ids)
