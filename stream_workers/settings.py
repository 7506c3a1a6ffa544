"""Settings of a worker. Prefix `BRANDPULSE_WORKER_`."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from brandpulse.config.advanced import ADVANCED
from model.spec.options import Engine, ExitPolicy
from stream_workers.aggregation.deduplication import RepeatLimits
from stream_workers.aggregation.event_time import Retention


class WorkerSettings(BaseSettings):
    """Read once, in `stream_workers/run.py`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_WORKER_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    host: str = Field(default="127.0.0.1", examples=["127.0.0.1"])
    """Address of the metrics and health port."""
    port: int = Field(default=0, ge=0, le=65_535, examples=[0])
    """0: any free one; it is written under BRANDPULSE_HOME."""
    engine: Engine = Field(default="auto", examples=["auto"])
    weights: Path | None = Field(default=None, examples=["/models/minilm-brand"])
    """Unset: the weights that ship with brandpulse."""
    tiers: ExitPolicy = Field(default="full", examples=["full"])
    """early: half the layers settle the posts of whose sentiment they are sure, for twice the posts a second. Counts
    towards brands stay as good; emotions, complaint and so urgency of those posts are worse (the model card says by how
    much)."""
    null_batch_ms: float = Field(default=0, ge=0, le=60_000, examples=[100], json_schema_extra=ADVANCED)
    """Of engine null, for benches: how long up to 512 posts take, as on a GPU."""
    native_rows: bool = Field(default=True, examples=[True], json_schema_extra=ADVANCED)
    """Read posts in native code where `make native` built it. Python reads the same, several times slower: false tells
    whether that code is at fault."""
    threads: int | None = Field(default=None, ge=1, le=256, examples=[os.cpu_count() or 2])
    """Of the model on a CPU. Unset: all cores."""
    batch_posts: int = Field(default=512, ge=1, le=10_000, examples=[512], json_schema_extra=ADVANCED)
    """How many records one read takes at most. With a model on the CPU it takes fewer: what that gets through in half
    a second."""
    batch_wait_seconds: float = Field(default=0.1, gt=0, le=10, examples=[0.1], json_schema_extra=ADVANCED)
    """How long a read waits for company; adds straight to latency."""
    batches_in_flight: int = Field(default=8, ge=1, le=64, examples=[8], json_schema_extra=ADVANCED)
    """Bound of everything read and not yet counted; beyond it the partitions pause."""
    cached_texts: int = Field(default=50_000, ge=0, le=10_000_000, examples=[50_000], json_schema_extra=ADVANCED)
    """Repeated texts are scored once while remembered; about 500 bytes each, and 16 a brand."""
    hurry_lag: int | None = Field(default=None, ge=1, le=1_000_000_000, examples=[20_000], json_schema_extra=ADVANCED)
    """With more records than this to go, posts in doubt keep the early layers' answer: sooner, a little less exact.
    Each is counted in brandpulse_posts_hurried_total. Unset: never."""
    lateness_seconds: float = Field(default=120, ge=0, le=86_400, examples=[120])
    """How far behind the newest post of its partition a post may be and still be on time."""
    repeat_memory_hours: float = Field(default=6, gt=0, le=168, examples=[6], json_schema_extra=ADVANCED)
    """Event time for which a (source, id) is remembered; 60-70 bytes of Redis an id."""
    repeat_memory_ids: int = Field(
        default=4_000_000, ge=1_000, le=1_000_000_000, examples=[4_000_000], json_schema_extra=ADVANCED
    )
    """Bound of that memory per partition, for backfills that do not move the clock."""
    minute_panes_hours: float = Field(default=48, ge=1, le=168, examples=[48], json_schema_extra=ADVANCED)
    hour_panes_days: float = Field(default=90, ge=1, le=3_660, examples=[90])
    """Older posts go to the dead-letter topic as `too_old`."""
    start: Literal["earliest", "latest"] = Field(default="earliest", examples=["earliest"], json_schema_extra=ADVANCED)
    """Where to begin in a topic of which the namespace has no state at all, as after a store lost everything: with what
    retention left, or with what comes from now on. The worker logs it."""
    group_protocol: Literal["classic", "consumer"] = Field(
        default="classic", examples=["classic"], json_schema_extra=ADVANCED
    )
    """consumer: KIP-848, for Apache Kafka 4. There the broker says when a member is dead, after 45 s unless it is
    told otherwise (group.consumer.session.timeout.ms): a killed worker's partitions stand still for so long."""
    session_timeout_seconds: float = Field(default=6, ge=1, le=300, examples=[6], json_schema_extra=ADVANCED)
    """After so long without a sign of life a worker's partitions are given to others (group protocol classic)."""
    idle_after_seconds: float = Field(default=3, ge=0.5, le=600, examples=[3], json_schema_extra=ADVANCED)
    """A partition read to its end for so long is idle: it holds no watermark back."""
    watchdog_seconds: float = Field(default=120, ge=5, le=3_600, examples=[120], json_schema_extra=ADVANCED)
    """With lag and no progress for so long the process ends, and its supervisor starts a fresh one."""
    invalid_run: int = Field(default=500, ge=1, le=1_000_000, examples=[500], json_schema_extra=ADVANCED)
    """So many invalid posts in a row pause the partition until `brandpulse dlq allow`."""
    invalid_share: float = Field(default=0.5, gt=0, le=1, examples=[0.5], json_schema_extra=ADVANCED)
    """Or this share of the last thousand."""
    scored_topic_enabled: bool = Field(default=True, examples=[True], json_schema_extra=ADVANCED)
    """Whether each counted post is also written to topic posts.scored."""

    def retention(self) -> Retention:
        return Retention(
            lateness_ms=int(self.lateness_seconds * 1_000),
            minutes_ms=int(self.minute_panes_hours * 3_600_000),
            hours_ms=int(self.hour_panes_days * 86_400_000),
        )

    def repeat_limits(self) -> RepeatLimits:
        return RepeatLimits(int(self.repeat_memory_hours * 3_600_000), self.repeat_memory_ids)
