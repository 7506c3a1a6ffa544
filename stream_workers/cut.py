"""One read, cut into batches by partition. Knows records and what is held; asks nobody."""

from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import KafkaError, Message

from brandpulse.letters import Origin, origin_of
from stream_workers.decode import Record
from stream_workers.held import HeldPartition, PartitionBatch, ReadBatch


def cut(
    messages: Sequence[Message], held: Mapping[int, HeldPartition], on_error: Callable[[KafkaError, Message], None]
) -> ReadBatch:
    """Records by partition. What does not belong to a held partition's next place falls out.

    Positions and ends are noted in *held*; *on_error* is told what else came in a record's place.
    """
    by_partition: dict[int, list[Record]] = {}
    origins: dict[int, dict[int, Origin]] = {}
    last: dict[int, Message] = {}
    ended: set[int] = set()
    for message in messages:
        partition, error = message.partition(), message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                ended.add(partition)
            else:
                on_error(error, message)
            continue
        offset = message.offset()
        ended.discard(partition)
        place = held.get(partition)
        if place is None or place.gone:
            continue
        records = by_partition.setdefault(partition, [])
        # A record from before a seek may still come out of librdkafka's queue; seen after a seek on a fresh broker:
        # all of a partition twice within one read.
        if offset < (records[-1].offset + 1 if records else place.position):
            continue
        last[partition] = message
        records.append(Record(offset, message.timestamp()[1], message.key(), message.value()))
        if (headers := message.headers()) and (origin := origin_of(headers)) and origin.partition == partition:
            origins.setdefault(partition, {})[offset] = origin
    parts = []
    for partition, records in by_partition.items():
        if not records:
            continue
        place = held[partition]
        to_offset = records[-1].offset + 1
        epoch = last[partition].leader_epoch()
        place.epoch = -1 if epoch is None else epoch
        parts.append(PartitionBatch(place, place.position, to_offset, records, origins.get(partition, {}), place.epoch))
        place.position = to_offset
    for partition in ended & held.keys():
        held[partition].ended_at = held[partition].position
        held[partition].ends_told += 1
    return ReadBatch(parts)
