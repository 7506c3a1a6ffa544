"""What passes from one stage of the pipeline to the next: one partition's part of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from model.inputs.target_marking import MarkedText
from stream_workers.consumer.batches import PartitionBatch
from stream_workers.decoding.decoded_batch import DecodedBatch
from stream_workers.decoding.records import Records
from stream_workers.pipeline.pending_scores import PendingScores
from stream_workers.scoring.post_scores import ScoreResult


@dataclass(frozen=True, slots=True)
class PreparedPart:
    """One partition's part of a batch, before the model."""

    batch: PartitionBatch
    rows: DecodedBatch
    marked: Sequence[MarkedText]
    """Of each row that names a brand; target i is brand i."""


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """One partition's part of a batch, after the call to the model."""

    batch: PartitionBatch
    rows: DecodedBatch
    calls: Sequence[tuple[PendingScores, int, int]]
    """The model's calls, and the range of this part's posts in each."""

    def results(self) -> list[ScoreResult]:
        """Of each row that names a brand, in order."""
        return list(chain.from_iterable(call.results[start:end] for call, start, end in self.calls))


def join_batches(batches: Sequence[Sequence[ScoredPart]]) -> list[ScoredPart]:
    """*batches*, in the order they were read, as one: consecutive parts of a partition become one part."""
    runs: dict[int, list[list[ScoredPart]]] = {}
    """Assigned partition -> its parts, in runs without a gap. After a reset it is another object."""
    for batch in batches:
        for part in batch:
            partition_runs = runs.setdefault(id(part.batch.partition), [[]])
            if partition_runs[-1] and partition_runs[-1][-1].batch.to_offset != part.batch.from_offset:
                partition_runs.append([])
            partition_runs[-1].append(part)
    return [_join(run) for partition_runs in runs.values() for run in partition_runs]


def _join(run: Sequence[ScoredPart]) -> ScoredPart:
    if len(run) == 1:
        return run[0]
    batches = [part.batch for part in run]
    return ScoredPart(
        PartitionBatch(
            batches[0].partition,
            batches[0].from_offset,
            batches[-1].to_offset,
            Records.concatenate([batch.records for batch in batches]),
            {offset: origin for batch in batches for offset, origin in batch.origins.items()},
            batches[-1].epoch,
        ),
        DecodedBatch.concatenate([part.rows for part in run]),
        [call for part in run for call in part.calls],
    )
