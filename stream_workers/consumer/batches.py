"""One read, cut into batches by partition. Knows records and what is held; asks nobody."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import methodcaller

import numpy as np
from confluent_kafka import KafkaError, Message

from brandpulse.schema.dead_letters import RecordId, record_id_of
from stream_workers.consumer.assigned_partition import HeldPartition, PartitionBatch, ReadBatch
from stream_workers.decoding.records import Records

_partition_of, _error_of = methodcaller("partition"), methodcaller("error")


def cut(
    messages: Sequence[Message], held: Mapping[int, HeldPartition], on_error: Callable[[KafkaError, Message], None]
) -> ReadBatch:
    """Records by partition. What does not belong to a held partition's next place falls out.

    Positions and ends are noted in *held*; *on_error* is told what else came in a record's place.
    """
    by_partition: dict[int, list[Message]] = {}
    ended: set[int] = set()
    # librdkafka hands over what one answer brought of a partition together: runs are long.
    for partition, run in groupby(messages, _partition_of):
        records = list(run)
        if any(map(_error_of, records)):
            records = _without_errors(partition, records, ended, on_error)
        elif records:
            ended.discard(partition)
        by_partition.setdefault(partition, []).extend(records)
    parts = []
    for partition, records in by_partition.items():
        place = held.get(partition)
        if place is not None and not place.gone and (part := _part(place, records)) is not None:
            parts.append(part)
    for partition in ended & held.keys():
        held[partition].ended_at = held[partition].position
        held[partition].ends_told += 1
    return ReadBatch(parts)


def _without_errors(
    partition: int, run: Sequence[Message], ended: set[int], on_error: Callable[[KafkaError, Message], None]
) -> list[Message]:
    """The records of *run*. Whether the partition has *ended* after it is noted."""
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


def _part(place: HeldPartition, messages: list[Message]) -> PartitionBatch | None:
    """What of *messages* follows on the partition's position, which moves on; None if nothing does."""
    offsets = np.array([message.offset() for message in messages], np.int64)
    # A record from before a seek may still come out of librdkafka's queue; seen after a seek on a fresh broker:
    # all of a partition twice within one read.
    before = np.maximum.accumulate(np.concatenate(([place.position - 1], offsets)))[:-1]
    follows = offsets > before
    if not follows.all():
        messages = [message for message, fits in zip(messages, follows.tolist(), strict=True) if fits]
        offsets = offsets[follows]
    if not messages:
        return None
    headers = [message.headers() for message in messages]
    origins = _origins(place.status.partition, offsets.tolist(), headers) if any(headers) else {}
    records = Records(
        offsets,
        np.array([message.timestamp()[1] for message in messages], np.int64),
        [message.key() for message in messages],
        [message.value() for message in messages],
    )
    epoch = messages[-1].leader_epoch()
    place.epoch = -1 if epoch is None else epoch
    from_offset, place.position = place.position, int(offsets[-1]) + 1
    return PartitionBatch(place, from_offset, place.position, records, origins, place.epoch)


def _origins(
    partition: int, offsets: Sequence[int], headers: Sequence[list[tuple[str, bytes | None]] | None]
) -> dict[int, RecordId]:
    """Offset -> first identity, of the records that say they died in this partition before."""
    found = {}
    for offset, told in zip(offsets, headers, strict=True):
        if told and (origin := record_id_of(told)) and origin.partition == partition:
            found[offset] = origin
    return found
