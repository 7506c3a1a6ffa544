"""One partition as this worker holds it, between the load of its state and the loss of it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from brandpulse.schema.dead_letters import RecordId
from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.post_sample import SampleBounds
from stream_workers.aggregation.seen_id_filter import KnownIds
from stream_workers.consumer.dlq_limit import InvalidGuard
from stream_workers.decoding.records import Records


@dataclass(slots=True)
class HeldPartition:
    """Made at each load, never mended: after a refusal, a rebalance or a lost connection a new one takes its place.

    Batches in flight keep a reference, so `gone` makes them fall out, whichever stage they are in.
    """

    status: PartitionStatus
    """As of the last applied batch; only the settling thread replaces it."""
    position: int
    """Offset after the last record read; only the reading thread moves it."""
    guard: InvalidGuard
    ended_at: int = -1
    """Position at which Kafka last said that nothing follows. Offsets alone do not tell: transactions leave gaps."""
    ends_told: int = 0
    """How often Kafka said so."""
    gone: bool = False
    epoch: int = -1
    """Leader epoch of the last record read; -1: not known."""
    bounds: SampleBounds = field(default_factory=SampleBounds)
    """Only of what was applied while it is held; the settling thread's."""
    known: KnownIds = field(default_factory=KnownIds)
    """Likewise."""
    writer: str = field(default_factory=lambda: secrets.token_hex(8))
    """As `PartitionStatus.writer`, once it has written."""


@dataclass(frozen=True, slots=True)
class PartitionBatch:
    """Records of one partition, in offset order, that follow each other without a gap in what was read."""

    held: HeldPartition
    from_offset: int
    """Where the batch before ended, or where the worker sought: not the first record's offset, for there are gaps."""
    to_offset: int
    records: Records
    origins: Mapping[int, RecordId] = field(default_factory=dict)
    """Offset -> first identity, of the records among them that `brandpulse dlq redrive` sent again."""
    epoch: int = -1
    """Leader epoch of the last record; -1: not known."""


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """What one read brought, over all partitions."""

    parts: list[PartitionBatch] = field(default_factory=list)

    @property
    def posts(self) -> int:
        return sum(len(part.records) for part in self.parts)
