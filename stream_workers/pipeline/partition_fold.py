"""One partition's share of a batch, ready to be folded: by columns if it is large and all of it ordinary."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import cast

from stream_workers.aggregation.columnar_batch import Columns, ScoredRows, columns_of, outcomes_of
from stream_workers.aggregation.columnar_fold import fold_columns, plan_columns
from stream_workers.aggregation.deduplication import RepeatLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.hour_posts import AT_ONCE, Allowed
from stream_workers.aggregation.packed_ids import Ids
from stream_workers.aggregation.row_fold import Cell, Change, Outcome, Stored, fold, plan
from stream_workers.consumer.assigned_partition import PartitionBatch
from stream_workers.pipeline.stage_data import JudgedPart
from stream_workers.scoring.facet_matcher import Facets
from stream_workers.scoring.post_scores import Judged, Verdict

FEW_ROWS = 64
"""Fewer are looked at one by one: columns cost a millisecond however few they are, which under a steady load is most of
what this thread does. Twelve posts of four partitions, and their write, take it 6.0 ms by posts and 10.4 by columns; at
256 rows a part there is nothing between the two."""


class ScoredPart:
    """Knows how its posts are folded; the state is whoever's who folds."""

    def __init__(self, part: JudgedPart, mask: Callable[[str], str], facets: Facets | None) -> None:
        """Asks the model's answer for its verdicts. A post that the model could not judge is dead from here on."""
        self.batch: PartitionBatch = part.batch
        self._rows = part.rows
        verdicts = _buried(part, part.verdicts())
        self._posts = ScoredRows(part.rows, verdicts, mask, facets)
        self._columns: Columns | None = None
        if len(part.rows) >= FEW_ROWS and not part.rows.dead and not part.batch.origins:
            self._columns = columns_of(part.rows, verdicts, self._posts, facets)

    @cached_property
    def outcomes(self) -> Sequence[Outcome]:
        """Post by post: only of a batch that wants to be looked at so."""
        return outcomes_of(self._rows, self._posts)

    @cached_property
    def plan(self) -> tuple[Sequence[bytes], list[Cell]]:
        """As `fold.plan`."""
        return plan(self.outcomes) if self._columns is None else plan_columns(self._columns)

    def fold(
        self, stored: Stored, *, retention: Retention, limits: RepeatLimits, most_posts: Allowed = AT_ONCE
    ) -> Change:
        """As `fold.fold`."""
        batch, status = self.batch, self.batch.held.status
        change = None
        digests, _ = self.plan
        if self._columns is not None and isinstance(digests, Ids):
            change = fold_columns(
                status,
                self._columns,
                digests,
                batch.to_offset,
                stored,
                retention=retention,
                limits=limits,
                epoch=batch.epoch,
                bounds=batch.held.bounds,
                most_posts=most_posts,
                writer=batch.held.writer,
                near_misses=self._rows.near_misses,
            )
        return change or fold(
            status,
            self.outcomes,
            batch.to_offset,
            stored,
            retention=retention,
            limits=limits,
            epoch=batch.epoch,
            origins=batch.origins,
            bounds=batch.held.bounds,
            most_posts=most_posts,
            writer=batch.held.writer,
            near_misses=self._rows.near_misses,
        )


def _buried(part: JudgedPart, verdicts: Sequence[Verdict]) -> list[Judged]:
    """Those of *verdicts* that are ones; where the model raised on a post, its row is dead."""
    if set(map(type, verdicts)) == {Judged}:
        return cast("list[Judged]", verdicts)
    judged = [verdict for verdict in verdicts if isinstance(verdict, Judged)]
    if len(judged) < len(verdicts):
        for row, verdict in zip(part.rows.named.tolist(), verdicts, strict=True):
            if isinstance(verdict, Exception):
                part.rows.bury(row, "unscorable", f"{type(verdict).__name__}: {verdict}")
    return judged
