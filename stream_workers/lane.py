"""The batch lane, three threads: decode -> match -> mark; score; judge -> fold -> hand over -> write.

A batch that cannot be scored is bisected down to the post that breaks the model, which goes to the dead letters. What
goes wrong with the world resets the partition: it is loaded and read again from `next`, so nothing is lost or doubled.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Protocol

from brandpulse.errors import StateError, TransientError
from brandpulse.live import Replay
from brandpulse.telemetry import Telemetry
from model.marking import MarkedText
from model.score_cache import CachingScorer
from stream_workers.counters import LaneCounters
from stream_workers.decode import AuthorHasher, Dead, Decoded, decode
from stream_workers.event_time import Retention
from stream_workers.facets import Facets
from stream_workers.fold import Change, Outcome, Unmatched, fold, plan, scored
from stream_workers.hand_over import HandOver
from stream_workers.held import HeldPartition, ReadBatch
from stream_workers.marking import BrandMarker
from stream_workers.masking import NameMask
from stream_workers.match import BrandMatcher
from stream_workers.parts import Answer, JudgedPart, Named, PreparedPart, ScoredPart, joined
from stream_workers.repeats import RepeatLimits
from stream_workers.store import Applied, Failed, PartitionStore, ReadRequest, Refused
from stream_workers.verdict import Verdict, verdicts_of

log = logging.getLogger(__name__)

SIMULATED_BATCH = 512


class Partitions(Protocol):
    """What the lane asks of the reader."""

    def reset(self, held: HeldPartition, reason: str) -> None: ...

    def pause(self, held: HeldPartition, reason: str) -> None: ...


class BatchLane:
    """Three stages, each called from one thread of its own; batches pass through all in the order they were read."""

    def __init__(
        self,
        *,
        matcher: BrandMatcher,
        mask: NameMask,
        brands: Sequence[str],
        scorer: CachingScorer,
        author_hash: AuthorHasher,
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
    ) -> None:
        """*reads*: whether the model reads its posts. One that does not (engine null) needs no marks, and says the same
        of all: what is left is a worker's cost without a model. It takes *batch_seconds* for up to 512 posts, and no
        processor: as a GPU would. *span*: what a shadow namespace recomputes; posts of other times are left out."""
        self._span = span
        self._reads = reads
        self._batch_seconds = batch_seconds
        self._same: dict[int, Verdict] = {}
        """Number of brands -> what a model that does not read says of a post that names so many."""
        self._matcher = matcher
        self._marker = BrandMarker(matcher)
        self._mask = mask
        self._scorer = scorer
        self._facets = facets
        self._author_hash = author_hash
        self._store = store
        self._hand_over = hand_over
        self._partitions = partitions
        self._retention = retention
        self._limits = limits
        self._telemetry = telemetry
        self._counters = LaneCounters(telemetry, brands, wall_ms)
        self.progress = 0
        """Grows with every applied batch: what the watchdog looks at."""

    # -- first thread: what the model will read --------------------------------------------------------------------

    def prepare(self, batch: ReadBatch) -> list[PreparedPart]:
        """Posts decoded, with the brands they name marked."""
        with self._timed("decode"):
            return [
                PreparedPart(part, [self._name(item) for item in self._within_span(decode(part.records))])
                for part in batch.parts
                if not part.held.gone
            ]

    def _within_span(self, items: list[Decoded | Dead]) -> list[Decoded | Dead]:
        """Without the posts of other times than a shadow namespace recomputes."""
        if (span := self._span) is None:
            return items
        return [item for item in items if isinstance(item, Dead) or span.holds(item.event_ms)]

    def _name(self, item: Decoded | Dead) -> Named | Unmatched | Dead:
        """*item* with the brands it names, marked. What nobody foresaw in a text is its end, not the worker's."""
        if isinstance(item, Dead):
            return item
        try:
            if not self._reads:
                brands, worded = self._matcher.look(item.post.text)
                return Named(item, brands, _unread(len(brands)), worded) if brands else Unmatched(item)
            brands, marked, worded = self._marker.name(item.post.text)
            return Unmatched(item) if marked is None else Named(item, brands, marked, worded)
        except Exception as error:
            log.warning("post breaks the matcher", extra={"error": type(error).__name__})
            return Dead(item.record, "unmatchable", f"{type(error).__name__}: {error}")

    # -- second thread: the model -----------------------------------------------------------------------------------

    def score_all(self, waiting: Sequence[Sequence[PreparedPart]]) -> list[JudgedPart]:
        """`score` of several batches, in the order they were read, at once."""
        return self.score([part for batch in waiting for part in batch])

    def score(self, parts: Sequence[PreparedPart]) -> list[JudgedPart]:
        """All partitions' posts through the model at once: a larger batch sorts and packs better."""
        live = [part for part in parts if not part.batch.held.gone]
        wanted = [[item.marked for item in part.items if isinstance(item, Named)] for part in live]
        ends = list(accumulate(map(len, wanted), initial=0))
        hits, misses = self._scorer.hits, self._scorer.misses
        with self._timed("score"):
            answer = Answer(self._judge([marked for posts in wanted for marked in posts]))
        self._telemetry.counter("brandpulse_score_cache_hits_total").inc(self._scorer.hits - hits)
        self._telemetry.counter("brandpulse_score_cache_misses_total").inc(self._scorer.misses - misses)
        return [
            JudgedPart(part.batch, part.items, [(answer, start, end)])
            for part, (start, end) in zip(live, pairwise(ends), strict=True)
        ]

    def _outcomes(self, part: JudgedPart) -> ScoredPart:
        verdicts = part.verdicts()
        return ScoredPart(
            part.batch,
            [self._outcome(item, next(verdicts)) if isinstance(item, Named) else item for item in part.items],
        )

    def _outcome(self, item: Named, verdict: Verdict) -> Outcome:
        if isinstance(verdict, Exception):
            return Dead(item.decoded.record, "unscorable", f"{type(verdict).__name__}: {verdict}")
        post = item.decoded.post
        return scored(
            item.decoded,
            item.brands,
            verdict,
            author=self._author_hash(post.source, post.author_id),
            mask=self._mask,
            facets=self._facets,
            worded=item.worded,
        )

    def _judge(self, posts: Sequence[MarkedText]) -> Callable[[], list[Verdict]]:
        """Asks the model now; what is returned makes one verdict per post of what it said, in order."""
        if not posts:
            return list
        if not self._reads:
            time.sleep(self._batch_seconds * math.ceil(len(posts) / SIMULATED_BATCH))
            return lambda: [self._always(post) for post in posts]
        try:
            scores = self._scorer.score(posts)
        except MemoryError:
            raise
        except Exception as error:
            # Catches everything, as `_name` does: a post nobody foresaw must not stop the stream, and is not lost.
            if len(posts) == 1:
                # The error's text may quote the post, which belongs into the dead letter and not into a log.
                log.warning("post breaks the model", extra={"error": type(error).__name__})
                dead: list[Verdict] = [error]
                return lambda: dead
            middle = len(posts) // 2
            first, second = self._judge(posts[:middle]), self._judge(posts[middle:])
            return lambda: [*first(), *second()]
        self._telemetry.counter("brandpulse_posts_hurried_total").inc(len(scores.hurried))
        return lambda: verdicts_of(scores, posts)

    def _always(self, post: MarkedText) -> Verdict:
        if (said := self._same.get(post.targets)) is None:
            [said] = verdicts_of(self._scorer.inner.score([post]), [post])
            self._same[post.targets] = said
        return said

    # -- third thread: the store ---------------------------------------------------------------------------------

    def settle_all(self, waiting: Sequence[Sequence[JudgedPart]]) -> None:
        """`settle` of several batches, in the order they were read, at once: what a write costs, all share."""
        self.settle(joined(waiting))

    def settle(self, judged: Sequence[JudgedPart]) -> None:
        """Count what was scored. Raises only our own bugs: the world's troubles reset the partition."""
        with self._timed("fold"):
            live = [self._outcomes(part) for part in judged if not part.batch.held.gone]
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
            for record in part.batch.records:
                if record.offset in part.batch.origins:
                    continue  # sent again by a person, who knows that it died before
                held.guard.observe(invalid=record.offset in dead and record.offset >= held.status.allowed_until)
        else:
            held.guard.observe_valid(len(part.batch.records))
        verdict = held.guard.verdict
        if not verdict:
            return True
        # The posts that came before the bad run wait with it: they are read again, and counted, once allowed.
        self._partitions.pause(held, f"{verdict}; see `brandpulse dlq list`, then `brandpulse dlq allow`")
        return False

    def _fold(self, parts: Sequence[ScoredPart]) -> list[tuple[ScoredPart, Change]]:
        """The change of each of *parts* whose state stands where we believe; the others reset."""
        if not parts:
            return []
        plans = [plan(part.outcomes) for part in parts]
        with self._timed("write"):
            stored = self._store.read(
                [
                    ReadRequest(part.batch.held.status, digests, cells, [o.digest for o in part.batch.origins.values()])
                    for part, (digests, cells) in zip(parts, plans, strict=True)
                ]
            )
        for part, known in zip(parts, stored, strict=True):
            if known.moved_to is not None:
                self._refuse(part.batch.held, part.batch.from_offset, known.moved_to)
        with self._timed("fold"):
            return [
                (
                    part,
                    fold(
                        part.batch.held.status,
                        part.outcomes,
                        part.batch.to_offset,
                        known,
                        retention=self._retention,
                        limits=self._limits,
                        epoch=part.batch.epoch,
                        origins=part.batch.origins,
                        bounds=part.batch.held.bounds,
                    ),
                )
                for part, known in zip(parts, stored, strict=True)
                if known.moved_to is None
            ]

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
