"""The batch pipeline, one thread per stage: decode, match, mark; call the model; wait, fold, produce output, write.

A batch that cannot be scored is bisected down to the post that breaks the model, which becomes a dead letter. Errors of
Kafka or Redis reset the partition: it is loaded and read again from `next`, so nothing is lost or counted twice.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from operator import attrgetter
from typing import Protocol

from brandpulse.errors import StateError, TransientError
from brandpulse.masking.mask import Mask
from brandpulse.runtime.metrics import Telemetry
from brandpulse.state.diagnosis.causes import dead_cause
from brandpulse.state.namespaces import Replay
from brandpulse.state.outcomes.post_outcomes import Cell
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.languages import OTHER, LanguageIdentifier
from model.inference.score_cache import CachingScorer
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.hour_posts import PostBudget
from stream_workers.aggregation.types import Change, Stored
from stream_workers.consumer.adaptive_batch_size import AdaptiveBatchSize
from stream_workers.consumer.assigned_partition import AssignedPartition
from stream_workers.consumer.batches import PartitionBatch, ReadBatch
from stream_workers.decoding.batch_decoder import BatchDecoder
from stream_workers.decoding.decoded_batch import DecodedBatch
from stream_workers.pipeline.output_producer import OutputProducer
from stream_workers.pipeline.partition_fold import PartitionFold
from stream_workers.pipeline.pending_scores import KnownScores, ModelScores, PendingScores, SplitScores
from stream_workers.pipeline.pipeline_metrics import PipelineMetrics
from stream_workers.pipeline.stage_data import PreparedPart, ScoredPart, join_batches
from stream_workers.scoring.brand_marker import BrandMarker
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.near_misses import NearMissFinder
from stream_workers.scoring.post_scores import ScoreResult, score_results
from stream_workers.state_store.partition_store import Applied, Failed, PartitionStore, ReadRequest, Refused

log = logging.getLogger(__name__)

SIMULATED_BATCH = 512
WAITED_SECONDS = 0.001
"""A shorter wait for the model means that it had already finished."""
_targets = attrgetter("targets")


class Partitions(Protocol):
    """What the pipeline requests from the reader."""

    def reset(self, partition: AssignedPartition, reason: str) -> None: ...

    def pause(self, partition: AssignedPartition, reason: str) -> None: ...


class BatchPipeline:
    """Three stages, each called from its own thread. Batches pass through all in the order they were read."""

    def __init__(
        self,
        *,
        decoder: BatchDecoder,
        matcher: BrandMatcher,
        mask: Mask,
        brands: Sequence[str],
        scorer: CachingScorer,
        store: PartitionStore,
        output: OutputProducer,
        partitions: Partitions,
        retention: Retention,
        dedup_limits: DedupLimits,
        telemetry: Telemetry,
        wall_ms: Callable[[], int],
        model_reads_text: bool = True,
        simulated_batch_seconds: float = 0.0,
        replay: Replay | None = None,
        facets: FacetMatcher | None = None,
        batch_size: AdaptiveBatchSize | None = None,
        languages: LanguageIdentifier | None = None,
        near_misses: NearMissFinder | None = None,
    ) -> None:
        """*model_reads_text*: false for engine null, which needs no marks and scores all posts alike: what remains is a
        worker's cost without a model. It then takes *simulated_batch_seconds* for up to 512 posts, without using the
        CPU, like a GPU. *replay*: what a shadow namespace recomputes; posts of other times are left out. *batch_size*:
        learns the model's speed. *languages*: identifies languages, if the model does not read all; others are counted
        as unread.
        *near_misses*: searches posts without a brand."""
        self._replay = replay
        self._model_reads_text = model_reads_text
        self._simulated_batch_seconds = simulated_batch_seconds
        self._constant_results: dict[int, ScoreResult] = {}
        """Number of brands in a post -> its result from a model that does not read text."""
        self._decoder = decoder
        self._marker = BrandMarker(matcher)
        self._mask = mask
        self._scorer = scorer
        self._facets = facets
        self._store = store
        self._output = output
        self._partitions = partitions
        self._retention = retention
        self._dedup_limits = dedup_limits
        self._telemetry = telemetry
        self._metrics = PipelineMetrics(telemetry, brands, wall_ms, () if languages is None else languages.names)
        self._languages = languages
        self._near_misses = near_misses
        self._batch_size = batch_size or AdaptiveBatchSize(SIMULATED_BATCH)
        self._post_budget = PostBudget()
        self._model_finished = 0.0
        """`time.perf_counter()` when the model last finished a call."""
        self.progress = 0
        """Number of applied batches, for the watchdog."""

    # -- first thread: input of the model --------------------------------------------------------------------------

    def prepare(self, batch: ReadBatch) -> list[PreparedPart]:
        """Decode the posts and mark the brands they name."""
        with self._timed("decode"):
            return [self._prepare(part) for part in batch.parts if not part.partition.released]

    def _prepare(self, part: PartitionBatch) -> PreparedPart:
        rows = self._decoder.decode(part.records)
        if self._replay is not None:
            # A shadow namespace leaves out posts of times that it does not recompute.
            rows = rows.filter_by_time(self._replay.holds)
        marked = self._mark(rows)
        if self._near_misses is not None:
            rows.near_misses = self._near_misses.find_in_batch(rows)
        for dead_record in rows.dead.values():
            if dead_record.reason == "unmatchable":
                # The error may quote the post, which belongs into the dead letter and not into a log.
                log.warning("post breaks the matcher", extra={"error": dead_record.message.partition(":")[0]})
        return PreparedPart(part, rows, marked)

    def _mark(self, rows: DecodedBatch) -> list[MarkedText]:
        if not self._model_reads_text:
            empty_texts = [_empty_text(len(match.brands)) for match in rows.matches]
            return list(map(empty_texts.__getitem__, rows.match_numbers[rows.matched].tolist()))
        self._identify_languages(rows)
        marked = []
        for row in rows.matched.tolist():
            try:
                marked.append(self._marker.mark(rows.post(row).text, rows.match(row).brands, rows.language(row)))
            except Exception as error:
                _mark_broken(rows, row, error)
        return marked

    def _identify_languages(self, rows: DecodedBatch) -> None:
        """Stores the language of each row that names a brand, and marks those that the model does not read."""
        if (languages := self._languages) is None:
            return
        rows.language_names = languages.names
        matched = rows.matched
        try:
            posts = [rows.post(row) for row in matched.tolist()]
            found = languages.identify([post.text for post in posts], [post.lang for post in posts])
        except Exception:
            found = [self._identify_alone(rows, row, languages) for row in matched.tolist()]
        numbers = {language: number for number, language in enumerate(languages.names)}
        rows.languages[matched] = list(map(numbers.__getitem__, found))
        for row, language in zip(matched.tolist(), found, strict=True):
            if language == OTHER and row not in rows.dead:
                rows.mark_unread(row)

    @staticmethod
    def _identify_alone(rows: DecodedBatch, row: int, languages: LanguageIdentifier) -> str:
        """The language of *row*, which is dead afterwards if its text is what broke the batch."""
        try:
            post = rows.post(row)
            return languages.identify([post.text], [post.lang])[0]
        except Exception as error:
            _mark_broken(rows, row, error)
            return OTHER

    # -- second thread: the model -----------------------------------------------------------------------------------

    def score_all(self, waiting: Sequence[Sequence[PreparedPart]]) -> list[ScoredPart]:
        """`score` several batches at once, in the order they were read."""
        return self.score([part for batch in waiting for part in batch])

    def score(self, parts: Sequence[PreparedPart]) -> list[ScoredPart]:
        """Pass the posts of all partitions to the model at once: a larger batch sorts and packs better.

        Returns when the model accepts the next call, possibly before it has finished this one.
        """
        live = [part for part in parts if not part.batch.partition.released]
        ends = list(accumulate((len(part.marked) for part in live), initial=0))
        hits, misses = self._scorer.hits, self._scorer.misses
        with self._timed("score"):
            call = self._call_model([marked for part in live for marked in part.marked])
        self._telemetry.counter("brandpulse_score_cache_hits_total").inc(self._scorer.hits - hits)
        self._telemetry.counter("brandpulse_score_cache_misses_total").inc(self._scorer.misses - misses)
        return [
            ScoredPart(part.batch, part.rows, [(call, start, end)])
            for part, (start, end) in zip(live, pairwise(ends), strict=True)
        ]

    def _call_model(self, posts: Sequence[MarkedText]) -> PendingScores:
        if not posts:
            return KnownScores(list, posts=0)
        started = time.perf_counter()
        if not self._model_reads_text:
            time.sleep(self._simulated_batch_seconds * math.ceil(len(posts) / SIMULATED_BATCH))
            return KnownScores(lambda: self._constant_scores(posts), posts=len(posts), started=started)
        try:
            scores = self._scorer.begin(posts)
        except MemoryError:
            raise
        except Exception as error:
            return self._bisect(posts, error)
        return ModelScores(posts, scores, started=started, on_scores=self._count_degraded, retry=self._bisect)

    def _count_degraded(self, scores: Scores) -> None:
        self._telemetry.counter("brandpulse_posts_degraded_total").inc(len(scores.degraded))

    def _bisect(self, posts: Sequence[MarkedText], error: Exception) -> PendingScores:
        """Score *posts* in halves after any *error*: one post must not stop the stream, and must not be lost."""
        if len(posts) == 1:
            # The error may quote the post, which belongs into the dead letter and not into a log.
            log.warning("post breaks the model", extra={"error": type(error).__name__})
            failed: list[ScoreResult] = [error]
            return KnownScores(lambda: failed, posts=1)
        middle = len(posts) // 2
        return SplitScores(self._call_model(posts[:middle]), self._call_model(posts[middle:]))

    def _constant_scores(self, posts: Sequence[MarkedText]) -> list[ScoreResult]:
        """One result for all posts with the same number of brands."""
        targets = list(map(_targets, posts))
        for number in set(targets) - self._constant_results.keys():
            text = [_empty_text(number)]
            [self._constant_results[number]] = score_results(self._scorer.inner.score(text), text)
        return list(map(self._constant_results.__getitem__, targets))

    # -- third thread: the store ---------------------------------------------------------------------------------

    def settle_all(self, waiting: Sequence[Sequence[ScoredPart]]) -> None:
        """`settle` several batches at once, in the order they were read: they share the cost of a write."""
        self.settle(join_batches(waiting))

    def settle(self, parts: Sequence[ScoredPart]) -> None:
        """Count the scored posts. Raises only bugs: errors of Kafka or Redis reset the partition."""
        with self._timed("answer"):
            for call, _, _ in chain.from_iterable(part.calls for part in parts):
                self._wait_for(call)
        with self._timed("fold"):
            live = [
                PartitionFold(part, self._mask, self._facets) for part in parts if not part.batch.partition.released
            ]
        for part in live:
            if part.batch.from_offset != part.batch.partition.status.next:
                # An earlier batch of the partition was dropped; the reset that follows reads this one again.
                self._partitions.reset(part.batch.partition, "an earlier batch was not applied")
        live = [part for part in live if not part.batch.partition.released]
        try:
            self._settle_together(live)
        except StateError:
            # Nothing was written yet. Damage to one partition must not stop the others: settle each alone.
            for part in live:
                try:
                    self._settle_together([part])
                except StateError as error:
                    log.exception("partition state damaged", extra={"partition": part.batch.partition.status.partition})
                    self._partitions.pause(part.batch.partition, _damage(error))

    def _wait_for(self, call: PendingScores) -> None:
        asked = time.perf_counter()
        call.wait()
        now = time.perf_counter()
        if now - asked > WAITED_SECONDS:
            # Otherwise the model finished earlier, at an unknown time.
            self._batch_size.observe(call.posts, now - max(call.started, self._model_finished))
        self._model_finished = now

    def _settle_together(self, parts: Sequence[PartitionFold]) -> None:
        """Raises StateError before anything is written."""
        try:
            changes = self._fold(parts)
            within_limit = [self._check_dlq_limit(part, change) for part, change in changes]
            self._write(
                [
                    (part.batch.partition, change)
                    for (part, change), within in zip(changes, within_limit, strict=True)
                    if within
                ]
            )
        except TransientError as error:
            for part in parts:
                if not part.batch.partition.released:
                    self._partitions.reset(part.batch.partition, str(error))

    def _check_dlq_limit(self, part: PartitionFold, change: Change) -> bool:
        """Whether the partition may continue after this batch; if not, it pauses before anything of it is written."""
        partition = part.batch.partition
        if change.dead or part.batch.origins:
            dead_offsets = {dead_record.record.offset for dead_record in change.dead}
            for offset in part.batch.records.offsets.tolist():
                if offset in part.batch.origins:
                    continue  # redriven by an operator, who knows that it was a dead letter
                partition.dlq_limit.observe(invalid=offset in dead_offsets and offset >= partition.status.allowed_until)
        else:
            partition.dlq_limit.observe_valid(len(part.batch.records))
        violation = partition.dlq_limit.violation
        if not violation:
            return True
        # Posts before the invalid run wait with it: they are read again, and counted, once allowed.
        post_outcomes = [
            Cell(*place, posts) for cells in change.post_outcomes.values() for place, posts in cells.items()
        ]
        cause = dead_cause(post_outcomes)
        remedy = f"{cause.remedy}; " if "dlq allow" not in cause.remedy else f"{cause.remedy}. "
        self._partitions.pause(
            partition, f"{violation}: {cause.reason}; {remedy}See `brandpulse dlq list`, then `brandpulse dlq allow`"
        )
        return False

    def _fold(self, parts: Sequence[PartitionFold]) -> list[tuple[PartitionFold, Change]]:
        """The change of each of *parts* whose stored state is the expected one; the others are reset."""
        if not parts:
            return []
        with self._timed("fold"):
            plans = [part.plan for part in parts]
        with self._timed("write"):
            stored = self._store.read(
                [
                    ReadRequest(
                        part.batch.partition.status,
                        digests,
                        cells,
                        [origin.digest for origin in part.batch.origins.values()],
                        part.batch.partition.seen_ids.lookups(part.batch.partition.status.generations, digests),
                    )
                    for part, (digests, cells) in zip(parts, plans, strict=True)
                ]
            )
        for part, values in zip(parts, stored, strict=True):
            if values.moved_to is not None:
                self._refuse(part.batch.partition, part.batch.from_offset, values.moved_to)
        with self._timed("fold"):
            return [
                (part, self._fold_one(part, values))
                for part, values in zip(parts, stored, strict=True)
                if values.moved_to is None
            ]

    def _fold_one(self, part: PartitionFold, stored: Stored) -> Change:
        allowance = self._post_budget.available(time.monotonic())
        change = part.fold(stored, retention=self._retention, limits=self._dedup_limits, allowance=allowance)
        self._post_budget.spend(change.hour_posts)
        return change

    def _write(self, changes: Sequence[tuple[AssignedPartition, Change]]) -> None:
        if not changes:
            return
        with self._timed("hand_over"):
            for partition, change in changes:
                status = partition.status
                self._output.add_scored(status.topic_id, status.partition, change.counted)
                self._output.add_dead(status.topic_id, status.partition, change.dead, change.origins)
            self._output.flush()
        with self._timed("write"):
            outcomes = self._store.apply([change for _, change in changes])
        for (partition, change), outcome in zip(changes, outcomes, strict=True):
            match outcome:
                case Applied():
                    self._metrics.count_applied(partition.status, change)
                    partition.sample_bounds.add(change.samples)
                    partition.sample_bounds.hours.add(change.hour_posts)
                    partition.seen_ids.add_applied(partition.status.generations, change)
                    partition.status = replace(
                        change.status,
                        seen_wall_ms=partition.status.seen_wall_ms,
                        caught_up=partition.status.caught_up,
                    )
                    self.progress += 1
                case Refused(next=next_offset):
                    self._refuse(partition, change.from_offset, next_offset)
                case Failed(error=error):
                    self._partitions.pause(partition, _damage(error))

    def _refuse(self, partition: AssignedPartition, from_offset: int, next_offset: int) -> None:
        self._telemetry.counter("brandpulse_writes_refused_total").inc()
        self._partitions.reset(partition, f"write refused: next is {next_offset}, expected {from_offset}")

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._telemetry.counter("brandpulse_stage_seconds_total").labels(stage).inc(time.perf_counter() - started)


def _mark_broken(rows: DecodedBatch, row: int, error: Exception) -> None:
    """A text that breaks the code, whatever the error, must not stop the worker."""
    rows.mark_dead(row, "unmatchable", f"{type(error).__name__}: {error}")


@lru_cache(maxsize=1_024)
def _empty_text(targets: int) -> MarkedText:
    """The input of a model that does not read text."""
    return MarkedText("", (), targets)


def _damage(error: StateError) -> str:
    return f"damaged state: {error}. Repair or delete that key, then run `brandpulse dlq allow`"
