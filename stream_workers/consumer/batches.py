"""Splits one read into batches by partition. No I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import methodcaller

import numpy as np
from confluent_kafka import KafkaError, Message

from brandpulse.schema.dead_letters import RecordId, record_id_of
from stream_workers.consumer.assigned_partition import AssignedPartition
from stream_workers.decoding.records import Records

_partition_of, _error_of = methodcaller("partition"), methodcaller("error")


@dataclass(frozen=True, slots=True)
class PartitionBatch:
    """Records of one partition, in offset order, that follow each other without a gap in what was read."""

    partition: AssignedPartition
    from_offset: int
    """Where the previous batch ended, or the position after a seek. The first record may be later: logs have gaps."""
    to_offset: int
    records: Records
    origins: Mapping[int, RecordId] = field(default_factory=dict)
    """Offset -> original identity, of the records that `brandpulse dlq redrive` sent again."""
    epoch: int = -1
    """Leader epoch of the last record; -1: unknown."""


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """The records of one read, over all partitions."""

    parts: list[PartitionBatch] = field(default_factory=list)

    @property
    def posts(self) -> int:
        return sum(len(part.records) for part in self.parts)


def split_by_partition(
    messages: Sequence[Message],
    assigned: Mapping[int, AssignedPartition],
    on_error: Callable[[KafkaError, Message], None],
) -> ReadBatch:
    """*messages* by partition. A record that does not follow on the position of an assigned partition is dropped.

    Updates positions and ends in *assigned*. *on_error* receives errors other than the end of a partition.
    """
    by_partition: dict[int, list[Message]] = {}
    ended: set[int] = set()
    # librdkafka returns the records of one fetch of a partition together: runs are long.
    for number, run in groupby(messages, _partition_of):
        records = list(run)
        if any(map(_error_of, records)):
            records = _without_errors(number, records, ended, on_error)
        elif records:
            ended.discard(number)
        by_partition.setdefault(number, []).extend(records)
    parts = []
    for number, records in by_partition.items():
        partition = assigned.get(number)
        if partition is not None and not partition.released and (part := _batch(partition, records)) is not None:
            parts.append(part)
    for number in ended & assigned.keys():
        assigned[number].eof_position = assigned[number].position
        assigned[number].eof_count += 1
    return ReadBatch(parts)


def _without_errors(
    partition: int, run: Sequence[Message], ended: set[int], on_error: Callable[[KafkaError, Message], None]
) -> list[Message]:
    """The records of *run*. Updates whether the partition is in *ended*."""
    records = []
    for message in run:
        error = message.error()
        if error is None:
            records.append(message)
            ended.discard(partition)
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(partition)
        else:
            on_error(error, message)
    return records


def _batch(partition: AssignedPartition, messages: list[Message]) -> PartitionBatch | None:
    """The *messages* that follow on the partition's position, which advances; None if none does."""
    offsets = np.array([message.offset() for message in messages], np.int64)
    # A record from before a seek may still be in librdkafka's queue. Seen after a seek on a fresh broker: all of a
    # partition twice within one read.
    before = np.maximum.accumulate(np.concatenate(([partition.position - 1], offsets)))[:-1]
    follows = offsets > before
    if not follows.all():
        messages = [message for message, keep in zip(messages, follows.tolist(), strict=True) if keep]
        offsets = offsets[follows]
    if not messages:
        return None
    headers = [message.headers() for message in messages]
    origins = _origins(partition.status.partition, offsets.tolist(), headers) if any(headers) else {}
    records = Records(
        offsets,
        np.array([message.timestamp()[1] for message in messages], np.int64),
        [message.key() for message in messages],
        [message.value() for message in messages],
    )
    epoch = messages[-1].leader_epoch()
    partition.epoch = -1 if epoch is None else epoch
    from_offset, partition.position = partition.position, int(offsets[-1]) + 1
    return PartitionBatch(partition, from_offset, partition.position, records, origins, partition.epoch)


def _origins(
    partition: int, offsets: Sequence[int], headers: Sequence[list[tuple[str, bytes | None]] | None]
) -> dict[int, RecordId]:
    """Offset -> original identity, of the records that became dead letters in this partition before."""
    found = {}
    for offset, record_headers in zip(offsets, headers, strict=True):
        if record_headers and (origin := record_id_of(record_headers)) and origin.partition == partition:
            found[offset] = origin
    return found
