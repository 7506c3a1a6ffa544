"""Folds one partition's part of a batch: by columns if it is large and has no rare outcomes, else row by row."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import cast

from stream_workers.aggregation.columnar_batch import ColumnarBatch, ScoredPosts, build_columnar_batch, row_outcomes
from stream_workers.aggregation.columnar_fold import fold_columns, plan_columns
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.hour_posts import BURST, PostAllowance
from stream_workers.aggregation.packed_ids import PackedIds
from stream_workers.aggregation.row_fold import fold_rows, plan_rows
from stream_workers.aggregation.types import Cell, Change, Outcome, Stored
from stream_workers.consumer.batches import PartitionBatch
from stream_workers.pipeline.stage_data import ScoredPart
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.post_scores import PostScores, ScoreResult

MIN_COLUMNAR_ROWS = 64
"""Fewer rows are folded one by one. Columns cost a millisecond at any size, which dominates under a steady load: twelve
posts of four partitions and their write take 6.0 ms by rows and 10.4 ms by columns; at 256 rows per part both are
equal."""


class PartitionFold:
    """Chooses how the posts of one part are folded. The state belongs to the caller."""

    def __init__(self, part: ScoredPart, mask: Callable[[str], str], facets: FacetMatcher | None) -> None:
        """Takes the scores of *part*. A post that the model could not score is dead from here on."""
        self.batch: PartitionBatch = part.batch
        self._rows = part.rows
        scores = _mark_unscorable_dead(part, part.results())
        self._posts = ScoredPosts(part.rows, scores, mask, facets)
        self._columns: ColumnarBatch | None = None
        if len(part.rows) >= MIN_COLUMNAR_ROWS and not part.rows.dead and not part.batch.origins:
            self._columns = build_columnar_batch(part.rows, scores, self._posts, facets)

    @cached_property
    def outcomes(self) -> Sequence[Outcome]:
        """Row by row; computed only for a batch that is folded so."""
        return row_outcomes(self._rows, self._posts)

    @cached_property
    def plan(self) -> tuple[Sequence[bytes], list[Cell]]:
        """As `plan_rows`."""
        return plan_rows(self.outcomes) if self._columns is None else plan_columns(self._columns)

    def fold(
        self, stored: Stored, *, retention: Retention, limits: DedupLimits, allowance: PostAllowance = BURST
    ) -> Change:
        """As `fold_rows`."""
        batch, partition = self.batch, self.batch.partition
        change = None
        digests, _ = self.plan
        if self._columns is not None and isinstance(digests, PackedIds):
            change = fold_columns(
                partition.status,
                self._columns,
                digests,
                batch.to_offset,
                stored,
                retention=retention,
                limits=limits,
                epoch=batch.epoch,
                bounds=partition.sample_bounds,
                allowance=allowance,
                writer=partition.writer,
                near_misses=self._rows.near_misses,
            )
        return change or fold_rows(
            partition.status,
            self.outcomes,
            batch.to_offset,
            stored,
            retention=retention,
            limits=limits,
            epoch=batch.epoch,
            origins=batch.origins,
            bounds=partition.sample_bounds,
            allowance=allowance,
            writer=partition.writer,
            near_misses=self._rows.near_misses,
        )


def _mark_unscorable_dead(part: ScoredPart, results: Sequence[ScoreResult]) -> list[PostScores]:
    """The scores among *results*. A row for which the model raised becomes dead."""
    if set(map(type, results)) == {PostScores}:
        return cast("list[PostScores]", results)
    scores = [result for result in results if isinstance(result, PostScores)]
    if len(scores) < len(results):
        for row, result in zip(part.rows.matched.tolist(), results, strict=True):
            if isinstance(result, Exception):
                part.rows.mark_dead(row, "unscorable", f"{type(result).__name__}: {result}")
    return scores
