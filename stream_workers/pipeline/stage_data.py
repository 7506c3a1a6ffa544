"""What passes from one stage of the lane to the next: one partition's share of a batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from model.inputs.target_marking import MarkedText
from stream_workers.consumer.assigned_partition import PartitionBatch
from stream_workers.decoding.decoded_batch import Rows
from stream_workers.decoding.records import Records
from stream_workers.scoring.post_scores import Verdict

Asked = Callable[[], Callable[[], list[Verdict]]]
"""Waits until the model has said all; what that returns makes one verdict per post of it, in order."""


@dataclass(frozen=True, slots=True)
class PreparedPart:
    """One partition's share of a batch, as the model will read it."""

    batch: PartitionBatch
    rows: Rows
    marked: Sequence[MarkedText]
    """Of each row that names a brand; target i is brand i."""


class Answer:
    """What the model says of the posts of one call. It may still be at it: the storing thread waits for it, and makes
    verdicts of it, so that the thread that asks is free to ask on."""

    def __init__(self, ask: Asked, *, posts: int, began: float) -> None:
        self._asked = ask
        self.posts = posts
        self.began = began
        """`time.perf_counter()` when the model was asked."""

    def wait(self) -> None:
        """Returns once the model has said all."""
        _ = self._make

    @cached_property
    def _make(self) -> Callable[[], list[Verdict]]:
        return self._asked()

    @cached_property
    def verdicts(self) -> list[Verdict]:
        return self._make()


@dataclass(frozen=True, slots=True)
class JudgedPart:
    """One partition's share of a batch, after the model."""

    batch: PartitionBatch
    rows: Rows
    said: Sequence[tuple[Answer, int, int]]
    """Where its posts stand among those of the model's calls: from, to."""

    def verdicts(self) -> list[Verdict]:
        """Of each row that names a brand, in order."""
        return list(chain.from_iterable(answer.verdicts[start:end] for answer, start, end in self.said))


def joined(batches: Sequence[Sequence[JudgedPart]]) -> list[JudgedPart]:
    """*batches*, in the order they were read, as one: a partition's parts that follow each other become one part."""
    runs: dict[int, list[list[JudgedPart]]] = {}
    """Held partition -> its parts, in runs without a gap. One that was reset has a successor: another object."""
    for batch in batches:
        for part in batch:
            runs_of = runs.setdefault(id(part.batch.held), [[]])
            if runs_of[-1] and runs_of[-1][-1].batch.to_offset != part.batch.from_offset:
                runs_of.append([])
            runs_of[-1].append(part)
    return [_united(run) for runs_of in runs.values() for run in runs_of]


def _united(run: Sequence[JudgedPart]) -> JudgedPart:
    if len(run) == 1:
        return run[0]
    batches = [part.batch for part in run]
    return JudgedPart(
        PartitionBatch(
            batches[0].held,
            batches[0].from_offset,
            batches[-1].to_offset,
            Records.joined([batch.records for batch in batches]),
            {offset: origin for batch in batches for offset, origin in batch.origins.items()},
            batches[-1].epoch,
        ),
        Rows.joined([part.rows for part in run]),
        [said for part in run for said in part.said],
    )
