"""Kafka records of one partition in columns: no object is created per record until it is accessed."""

from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec
import numpy as np
import numpy.typing as npt

from stream_workers.decoding.lazy_sequence import LazySequence

Integers = npt.NDArray[np.int64]


class Record(msgspec.Struct, frozen=True, gc=False):
    """The used fields of one Kafka record. A struct costs a tenth of a dataclass, which matters once per post."""

    offset: int
    record_ms: int
    """Kafka's timestamp: the broker's clock at arrival (LogAppendTime), or the producer's; -1 if there is none."""
    key: bytes | None
    value: bytes | None


class Records(LazySequence[Record]):
    """n records in offset order."""

    __slots__ = ("keys", "offsets", "record_ms", "values")

    def __init__(
        self, offsets: Integers, record_ms: Integers, keys: list[bytes | None], values: list[bytes | None]
    ) -> None:
        """*offsets* and *record_ms* as in `Record`: (n,) each."""
        self.offsets = offsets
        self.record_ms = record_ms
        self.keys = keys
        self.values = values

    @classmethod
    def from_records(cls, records: Sequence[Record]) -> "Records":
        return cls(
            np.array([record.offset for record in records], np.int64),
            np.array([record.record_ms for record in records], np.int64),
            [record.key for record in records],
            [record.value for record in records],
        )

    @classmethod
    def concatenate(cls, parts: Sequence["Records"]) -> "Records":
        """*parts*, which follow each other in the log, as one."""
        return cls(
            np.concatenate([part.offsets for part in parts]),
            np.concatenate([part.record_ms for part in parts]),
            list(chain.from_iterable(part.keys for part in parts)),
            list(chain.from_iterable(part.values for part in parts)),
        )

    def __len__(self) -> int:
        return len(self.values)

    def _make(self, at: int) -> Record:
        return Record(int(self.offsets[at]), int(self.record_ms[at]), self.keys[at], self.values[at])

    def select(self, rows: Iterable[int]) -> "Records":
        """The records at *rows*, in that order."""
        chosen = np.fromiter(rows, np.intp)
        return Records(
            self.offsets[chosen],
            self.record_ms[chosen],
            [self.keys[row] for row in chosen],
            [self.values[row] for row in chosen],
        )
