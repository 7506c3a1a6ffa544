"""Kafka records of one partition, by columns: nothing is made for a record until somebody asks for it."""

from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec
import numpy as np
import numpy.typing as npt

from stream_workers.decoding.lazy_sequence import OnDemand

Integers = npt.NDArray[np.int64]


class Record(msgspec.Struct, frozen=True, gc=False):
    """What we need of one Kafka record. A struct, like all that exists once a post: a tenth of a dataclass's cost."""

    offset: int
    record_ms: int
    """Kafka's timestamp: the broker's clock at arrival (LogAppendTime), or the producer's; -1 if there is none."""
    key: bytes | None
    value: bytes | None


class Records(OnDemand[Record]):
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
    def of(cls, records: Sequence[Record]) -> "Records":
        return cls(
            np.array([record.offset for record in records], np.int64),
            np.array([record.record_ms for record in records], np.int64),
            [record.key for record in records],
            [record.value for record in records],
        )

    @classmethod
    def joined(cls, parts: Sequence["Records"]) -> "Records":
        """*parts*, each of which follows on the one before."""
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

    def at(self, rows: Iterable[int]) -> "Records":
        """Those of *rows*, in that order."""
        chosen = np.fromiter(rows, np.intp)
        return Records(
            self.offsets[chosen],
            self.record_ms[chosen],
            [self.keys[row] for row in chosen],
            [self.values[row] for row in chosen],
        )
