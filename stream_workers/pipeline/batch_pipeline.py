"""The batch lane, three threads: decode -> match -> mark; ask the model; wait for it -> fold -> hand over -> write.

A batch that cannot be scored is bisected down to the post that breaks the model, which goes to the dead letters. What
goes wrong with the world resets the partition: it is loaded and read again from `next`, so nothing is lost or doubled.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
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
from brandpulse.text.languages import LanguageFilter
from model.inference.score_cache import CachingScorer
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText
from stream_workers.aggregation.deduplication import RepeatLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.hour_posts import PostBudget
from stream_workers.aggregation.row_fold import Change, Stored
from stream_workers.consumer.adaptive_batch_size import Pace
from stream_workers.consumer.assigned_partition import HeldPartition, PartitionBatch, ReadBatch
from stream_workers.decoding.decoded_batch import RowReader, Rows
from stream_workers.pipeline.output_producer import HandOver
from stream_workers.pipeline.partition_fold import ScoredPart
from stream_workers.pipeline.pipeline_metrics import LaneCounters
from stream_workers.pipeline.stage_data import Answer, Asked, JudgedPart, PreparedPart, joined
from stream_workers.scoring.brand_marker import BrandMarker
from stream_workers.scoring.facet_matcher import Facets
from stream_workers.scoring.near_misses import NearMissFinder
from stream_workers.scoring.post_scores import Verdict, verdicts_of
from stream_workers.state_store.partition_store import Applied, Failed, PartitionStore, ReadRequest, Refused

log = logging.getLogger(__name__)

SIMULATED_BATCH = 512
MOMENT = 0.001
"""Seconds that whoever asks for what is there takes less than."""
_targets = attrgetter("targets")


class Partitions(Protocol):
    """What the lane asks of the reader."""

    def reset(self, held: HeldPartition, reason: str) -> None: ...

    def pause(self, held: HeldPartition, reason: str) -> None: ...


class BatchLane:
    """Three stages, each called from one thread of its own; batches pass through all in the order they were read."""

    def __init__(
        self,
        *,
        rows: RowReader,
        matcher: BrandMatcher,
        mask: Mask,
        brands: Sequence[str],
        scorer: CachingScorer,
        store: PartitionStore,
        hand_over: HandOver,
        partitions: Partitions,
        retention: Retention,
        limits: RepeatLimits,
        telemetry: Telemetry,
        wall_ms: Callable[[], int],
        reads: bool = True,
        batch_seconds: float = 0.0,
        span: Replay | None = None,
        facets: Facets | None = None,
        pace: Pace | None = None,
        languages: LanguageFilter | None = None,
        near_misses: NearMissFinder | None = None,
    ) -> None:
        """*reads*: whether the model reads its posts. One that does not (engine null) needs no marks, and says the same
        of all: what is left is a worker's cost without a model. It takes *batch_seconds* for up to 512 posts, and no
        processor: as a GPU would. *span*: what a shadow namespace recomputes; posts of other times are left out.
        *pace*: is told what the model takes; who reads asks it.
        *languages*: which texts the model reads, if not all; the others are counted as unread.
        *near_misses*: looks for words near a brand's in posts that name none."""
        self._span = span
        self._reads = reads
        self._batch_seconds = batch_seconds
        self._same: dict[int, Verdict] = {}
        """Number of brands -> what a model that does not read says of a post that names so many."""
        self._rows = rows
        self._marker = BrandMarker(matcher)
        self._mask = mask
        self._scorer = scorer
        self._facets = facets
        self._store = store
        self._hand_over = hand_over
        self._partitions = partitions
        self._retention = retention
        self._limits = limits
        self._telemetry = telemetry
        self._counters = LaneCounters(telemetry, brands, wall_ms)
        self._languages = languages
        self._near_misses = near_misses
        self._pace = pace or Pace(SIMULATED_BATCH)
        self._post_budget = PostBudget()
        self._scored_until = 0.0
        """`time.perf_counter()` when the model was last seen to be through with a call."""
        self.progress = 0
        """Grows with every applied batch: what the watchdog looks at."""

    # -- first thread: what the model will read --------------------------------------------------------------------

    def prepare(self, batch: ReadBatch) -> list[PreparedPart]:
        """Posts decoded, with the brands they name marked."""
        with self._timed("decode"):
            return [self._prepared(part) for part in batch.parts if not part.held.gone]

    def _prepared(self, part: PartitionBatch) -> PreparedPart:
        rows = self._rows.read(part.records)
        if self._span is not None:
            # A shadow namespace leaves out the posts of other times than it recomputes.
            rows = rows.only(self._span.holds)
        marked = self._marked(rows)
        if self._near_misses is not None:
            rows.near_misses = self._near_misses.look(rows)
        for letter in rows.dead.values():
            if letter.reason == "unmatchable":
                # The error's text may quote the post, which belongs into the dead letter and not into a log.
                log.warning("post breaks the matcher", extra={"error": letter.message.partition(":")[0]})
        return PreparedPart(part, rows, marked)

    def _marked(self, rows: Rows) -> list[MarkedText]:
        if not self._reads:
            unread = [_unread(len(meaning.brands)) for meaning in rows.meanings]
            return list(map(unread.__getitem__, rows.which[rows.named].tolist()))
        marked = []
        for row in rows.named.tolist():
            try:
                post = rows.post(row)
                if self._languages is not None and not self._languages.reads(post.text, lang=post.lang):
                    rows.leave_unread(row)
                    continue
                marked.append(self._marker.mark(post.text, rows.meaning(row).brands))
            except Exception as error:
                # Catches everything: what nobody foresaw in a text is its end, not the worker's.
                rows.bury(row, "unmatchable", f"{type(error).__name__}: {error}")
        return marked

    # -- second thread: the model -----------------------------------------------------------------------------------

    def score_all(self, waiting: Sequence[Sequence[PreparedPart]]) -> list[JudgedPart]:
        """`score` of several batches, in the order they were read, at once."""
        return self.score([part for batch in waiting for part in batch])

    def score(self, parts: Sequence[PreparedPart]) -> list[JudgedPart]:
        """All partitions' posts to the model at once: a larger batch sorts and packs better.

        Back when the model could take more, though it may not be through with these.
        """
        live = [part for part in parts if not part.batch.held.gone]
        ends = list(accumulate((len(part.marked) for part in live), initial=0))
        hits, misses = self._scorer.hits, self._scorer.misses
        with self._timed("score"):
            began = time.perf_counter()
            posts = [marked for part in live for marked in part.marked]
            answer = Answer(self._ask(posts), posts=len(posts), began=began)
        self._telemetry.counter("brandpulse_score_cache_hits_total").inc(self._scorer.hits - hits)
        self._telemetry.counter("brandpulse_score_cache_misses_total").inc(self._scorer.misses - misses)
        return [
            JudgedPart(part.batch, part.rows, [(answer, start, end)])
            for part, (start, end) in zip(live, pairwise(ends), strict=True)
        ]

    def _ask(self, posts: Sequence[MarkedText]) -> Asked:
        """Asks the model, which may still be at it when this returns."""
        if not posts:
            return lambda: list
        if not self._reads:
            time.sleep(self._batch_seconds * math.ceil(len(posts) / SIMULATED_BATCH))
            return lambda: lambda: self._always(posts)
        try:
            answer = self._scorer.begin(posts)
        except MemoryError:
            raise
        except Exception as error:
            return self._ask_in_parts(posts, error)
        return partial(self._answered, posts, answer)

    def _answered(self, posts: Sequence[MarkedText], answer: Callable[[], Scores]) -> Callable[[], list[Verdict]]:
        try:
            scores = answer()
        except MemoryError:
            raise
        except Exception as error:
            return self._ask_in_parts(posts, error)()
        self._telemetry.counter("brandpulse_posts_hurried_total").inc(len(scores.degraded))
        return lambda: verdicts_of(scores, posts)

    def _ask_in_parts(self, posts: Sequence[MarkedText], error: Exception) -> Asked:
        """After *error*, whatever it is, as `_marked` does: a post nobody foresaw must not stop the stream, and is not
        lost."""
        if len(posts) == 1:
            # The error's text may quote the post, which belongs into the dead letter and not into a log.
            log.warning("post breaks the model", extra={"error": type(error).__name__})
            dead: list[Verdict] = [error]
            return lambda: lambda: dead
        middle = len(posts) // 2
        first, second = self._ask(posts[:middle]), self._ask(posts[middle:])

        def wait() -> Callable[[], list[Verdict]]:
            before, after = first(), second()
            return lambda: [*before(), *after()]

        return wait

    def _always(self, posts: Sequence[MarkedText]) -> list[Verdict]:
        """One verdict for all that name as many brands."""
        targets = list(map(_targets, posts))
        for number in set(targets) - self._same.keys():
            alike = [_unread(number)]
            [self._same[number]] = verdicts_of(self._scorer.inner.score(alike), alike)
        return list(map(self._same.__getitem__, targets))

    # -- third thread: the store ---------------------------------------------------------------------------------

    def settle_all(self, waiting: Sequence[Sequence[JudgedPart]]) -> None:
        """`settle` of several batches, in the order they were read, at once: what a write costs, all share."""
        self.settle(joined(waiting))

    def settle(self, judged: Sequence[JudgedPart]) -> None:
        """Count what was scored. Raises only our own bugs: the world's troubles reset the partition."""
        with self._timed("answer"):
            for answer, _, _ in chain.from_iterable(part.said for part in judged):
                self._wait_for(answer)
        with self._timed("fold"):
            live = [ScoredPart(part, self._mask, self._facets) for part in judged if not part.batch.held.gone]
        for part in live:
            if part.batch.from_offset != part.batch.held.status.next:
                # An earlier batch of the partition fell out; the reset that follows reads this one again.
                self._partitions.reset(part.batch.held, "a batch before it was not applied")
        live = [part for part in live if not part.batch.held.gone]
        try:
            self._settle_together(live)
        except StateError:
            # Nothing was written yet. One partition's damage must not stop its neighbours: each for itself.
            for part in live:
                try:
                    self._settle_together([part])
                except StateError as error:
                    log.exception("state is damaged", extra={"partition": part.batch.held.status.partition})
                    self._partitions.pause(part.batch.held, _mend(error))

    def _wait_for(self, answer: Answer) -> None:
        asked = time.perf_counter()
        answer.wait()
        now = time.perf_counter()
        if now - asked > MOMENT:
            # Else the model was through before, and nobody knows when.
            self._pace.took(answer.posts, now - max(answer.began, self._scored_until))
        self._scored_until = now

    def _settle_together(self, parts: Sequence[ScoredPart]) -> None:
        """Raises StateError before anything is written."""
        try:
            changes = self._fold(parts)
            within = [self._within_limits(part, change) for part, change in changes]
            self._write(
                [(part.batch.held, change) for (part, change), fits in zip(changes, within, strict=True) if fits]
            )
        except TransientError as error:
            for part in parts:
                if not part.batch.held.gone:
                    self._partitions.reset(part.batch.held, str(error))

    def _within_limits(self, part: ScoredPart, change: Change) -> bool:
        """Whether the partition may go on after this batch; if not it pauses before anything of it is written."""
        held = part.batch.held
        if change.dead or part.batch.origins:
            dead = {letter.record.offset for letter in change.dead}
            for offset in part.batch.records.offsets.tolist():
                if offset in part.batch.origins:
                    continue  # sent again by a person, who knows that it died before
                held.guard.observe(invalid=offset in dead and offset >= held.status.allowed_until)
        else:
            held.guard.observe_valid(len(part.batch.records))
        verdict = held.guard.verdict
        if not verdict:
            return True
        # The posts that came before the bad run wait with it: they are read again, and counted, once allowed.
        met = [Cell(*place, posts) for cells in change.fates.values() for place, posts in cells.items()]
        cause = dead_cause(met)
        remedy = f"{cause.remedy}; " if "dlq allow" not in cause.remedy else f"{cause.remedy}. "
        self._partitions.pause(
            held, f"{verdict}: {cause.reason}; {remedy}See `brandpulse dlq list`, then `brandpulse dlq allow`"
        )
        return False

    def _fold(self, parts: Sequence[ScoredPart]) -> list[tuple[ScoredPart, Change]]:
        """The change of each of *parts* whose state stands where we believe; the others reset."""
        if not parts:
            return []
        with self._timed("fold"):
            plans = [part.plan for part in parts]
        with self._timed("write"):
            stored = self._store.read(
                [
                    ReadRequest(
                        part.batch.held.status,
                        digests,
                        cells,
                        [origin.digest for origin in part.batch.origins.values()],
                        part.batch.held.known.questions(part.batch.held.status.generations, digests),
                    )
                    for part, (digests, cells) in zip(parts, plans, strict=True)
                ]
            )
        for part, known in zip(parts, stored, strict=True):
            if known.moved_to is not None:
                self._refuse(part.batch.held, part.batch.from_offset, known.moved_to)
        with self._timed("fold"):
            return [
                (part, self._fold_one(part, known))
                for part, known in zip(parts, stored, strict=True)
                if known.moved_to is None
            ]

    def _fold_one(self, part: ScoredPart, known: Stored) -> Change:
        most = self._post_budget.left(time.monotonic())
        change = part.fold(known, retention=self._retention, limits=self._limits, most_posts=most)
        self._post_budget.spend(change.hour_posts)
        return change

    def _write(self, changes: Sequence[tuple[HeldPartition, Change]]) -> None:
        if not changes:
            return
        with self._timed("hand_over"):
            for held, change in changes:
                self._hand_over.scored(held.status.topic_id, held.status.partition, change.counted)
                self._hand_over.dead(held.status.topic_id, held.status.partition, change.dead, change.origins)
            self._hand_over.flush()
        with self._timed("write"):
            outcomes = self._store.apply([change for _, change in changes])
        for (held, change), outcome in zip(changes, outcomes, strict=True):
            match outcome:
                case Applied():
                    self._counters.applied(held.status, change)
                    held.bounds.take(change.samples)
                    held.bounds.hours.take(change.hour_posts)
                    held.known.take(held.status.generations, change)
                    held.status = replace(
                        change.status, seen_wall_ms=held.status.seen_wall_ms, caught_up=held.status.caught_up
                    )
                    self.progress += 1
                case Refused(next=stands_at):
                    self._refuse(held, change.from_offset, stands_at)
                case Failed(error=error):
                    self._partitions.pause(held, _mend(error))

    def _refuse(self, held: HeldPartition, from_offset: int, stands_at: int) -> None:
        self._telemetry.counter("brandpulse_writes_refused_total").inc()
        self._partitions.reset(held, f"refused: next stands at {stands_at}, not {from_offset}")

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._telemetry.counter("brandpulse_stage_seconds_total").labels(stage).inc(time.perf_counter() - started)


@lru_cache(maxsize=1_024)
def _unread(targets: int) -> MarkedText:
    """What a model that does not read gets of a post."""
    return MarkedText("", (), targets)


def _mend(error: StateError) -> str:
    return f"damaged state: {error}. Mend or delete that key, then `brandpulse dlq allow`"
