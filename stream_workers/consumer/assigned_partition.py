"""One partition assigned to this worker, from the load of its state until it is released."""

import secrets
from dataclasses import dataclass, field

from brandpulse.state.partition_state import PartitionStatus
from stream_workers.aggregation.post_sample import SampleBounds
from stream_workers.aggregation.seen_id_filter import SeenIdFilter
from stream_workers.consumer.dlq_limit import DlqLimit


@dataclass(slots=True)
class AssignedPartition:
    """Created at each load. After a refused write, a rebalance or a lost connection a new one replaces it.

    Batches in flight keep a reference, so `released` drops them at whichever stage they are.
    """

    status: PartitionStatus
    """After the last applied batch. Only the storing thread replaces it."""
    position: int
    """Offset after the last record read. Only the reading thread moves it."""
    dlq_limit: DlqLimit
    eof_position: int = -1
    """Position at which Kafka last reported the end of the log. Offsets do not show it: transactions leave gaps."""
    eof_count: int = 0
    """How often Kafka reported the end."""
    released: bool = False
    epoch: int = -1
    """Leader epoch of the last record read; -1: unknown."""
    sample_bounds: SampleBounds = field(default_factory=SampleBounds)
    """Of what was applied since the load. Used by the storing thread only."""
    seen_ids: SeenIdFilter = field(default_factory=SeenIdFilter)
    """Of what was applied since the load. Used by the storing thread only."""
    writer: str = field(default_factory=lambda: secrets.token_hex(8))
    """Random token: `PartitionStatus.writer` after the first write."""
