import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import pytest

from brandpulse.config.brands_file import Brand
from brandpulse.errors import StateError, TransientError
from brandpulse.masking.mask import Mask
from brandpulse.runtime.metric_definitions import LABELLED_BRANDS, OTHER_BRANDS, WORKER_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.schema.dead_letters import RecordId
from brandpulse.schema.identity import AuthorHasher
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS
from brandpulse.state.outcomes.post_outcomes import SOURCES
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.languages import LanguageIdentifier
from model.inference.adapters import ClassifierScorer
from model.inference.keyword_classifier import KeywordClassifier
from model.inference.score_cache import CachingScorer
from model.inference.scorer import Scorer, Scores
from model.inputs.target_marking import MarkedText
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.types import Change, Stored
from stream_workers.consumer.adaptive_batch_size import MIN_POSTS, AdaptiveBatchSize
from stream_workers.consumer.assigned_partition import AssignedPartition
from stream_workers.consumer.batches import PartitionBatch, ReadBatch
from stream_workers.consumer.dlq_limit import DlqLimit
from stream_workers.decoding.batch_decoder import fastest_decoder
from stream_workers.decoding.records import Record, Records
from stream_workers.pipeline import partition_fold
from stream_workers.pipeline.batch_pipeline import BatchPipeline
from stream_workers.pipeline.output_producer import MemoryOutputProducer
from stream_workers.pipeline.partition_fold import MIN_COLUMNAR_ROWS
from stream_workers.pipeline.stage_data import ScoredPart
from stream_workers.scoring.near_misses import NearMissFinder
from stream_workers.scoring.post_scores import ScoreResult, score_results
from stream_workers.state_store.memory_store import MemoryPartitionStore
from stream_workers.state_store.partition_store import Applied, Failed, ReadRequest, Refused
from tests.support.builders import NOON_MS, a_post, a_record, a_status


@dataclass
class RecordedPartitions:
    """Records what the pipeline requests from the reader."""

    resets: list[str] = field(default_factory=list)
    pauses: list[str] = field(default_factory=list)

    def reset(self, held: AssignedPartition, reason: str) -> None:
        held.released = True
        self.resets.append(reason)

    def pause(self, held: AssignedPartition, reason: str) -> None:
        held.released = True
        self.pauses.append(reason)


class BreaksOn:
    """A scorer that raises on one word, like a post that breaks a real model."""

    name, version, heads = "fragile", "1", ("sentiment", "target")

    def __init__(self, word: str) -> None:
        self._word = word
        self.calls = 0

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        self.calls += 1
        if any(self._word in post.text for post in posts):
            raise RuntimeError("kernel panic")
        return keyword().score(posts)


def keyword() -> Scorer:
    return ClassifierScorer(KeywordClassifier())


class Opinionated:
    """Scores the first brand of each post negative, the second positive, and the others irrelevant."""

    name, version, heads = "opinionated", "1", ("sentiment", "target", "sarcasm")

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        opinions = np.array([(0.96, 0.04, 0, 0), (0, 0.04, 0.96, 0), (0, 0, 0.04, 0.96)], dtype=np.float32)
        rows = [opinions[min(target, 2)] for post in posts for target in range(post.targets)]
        heads = {"sentiment": np.tile(np.array([[0.1, 0.8, 0.1]], dtype=np.float32), (len(posts), 1))}
        heads["sarcasm"] = np.array([[len(post.text) / 100] for post in posts], dtype=np.float32)
        return Scores(heads, np.array(rows, dtype=np.float32).reshape(-1, 4))


class Alarmed(Opinionated):
    """The same, and every post of it is a complaint."""

    heads = ("sentiment", "target", "risk")

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        scores = super().score(posts)
        risk = np.tile(np.array([[0.99, 0.0, 0.0]], dtype=np.float32), (len(posts), 1))
        return Scores({"sentiment": scores.heads["sentiment"], "risk": risk}, scores.target)


class Bench:
    """A pipeline on in-memory stores, with one partition."""

    def __init__(
        self,
        scorer: Scorer | None = None,
        *,
        run_limit: int = 50,
        brands: Sequence[str] = ("Acme",),
        named: Sequence[str] = ("Acme",),
        languages: Sequence[str] = ("en",),
    ) -> None:
        self.store = MemoryPartitionStore()
        self.output = MemoryOutputProducer()
        self.partitions = RecordedPartitions()
        self.telemetry = Telemetry(WORKER_METRICS)
        self.batch_size = AdaptiveBatchSize(512)
        self._run_limit = run_limit
        matcher = BrandMatcher([Brand(name=name, terms=[name]) for name in named])
        self.pipeline = BatchPipeline(
            decoder=fastest_decoder(matcher, AuthorHasher("key")),
            matcher=matcher,
            mask=Mask(),
            brands=brands,
            scorer=CachingScorer(scorer or keyword()),
            store=self.store,
            output=self.output,
            partitions=self.partitions,
            retention=Retention(2 * MINUTE_MS, 48 * HOUR_MS, 90 * DAY_MS),
            dedup_limits=DedupLimits(6 * HOUR_MS, 10_000),
            telemetry=self.telemetry,
            wall_ms=lambda: NOON_MS,
            batch_size=self.batch_size,
            languages=LanguageIdentifier(languages),
            near_misses=NearMissFinder([Brand(name=name, terms=[name]) for name in named], matcher),
        )
        self.store.rebase(None, a_status())
        self.held = self.load()

    def load(self) -> AssignedPartition:
        status = self.store.load("posts", 0)
        assert status is not None
        return AssignedPartition(status, status.next, DlqLimit(run_limit=self._run_limit, share_limit=0.5))

    def batch(self, texts: Sequence[str], start: int = 0, held: AssignedPartition | None = None) -> ReadBatch:
        records = [a_record(a_post(f"{start + i}", text), start + i) for i, text in enumerate(texts)]
        return self.batch_of(records, held)

    def batch_of(self, records: list[Record], held: AssignedPartition | None = None) -> ReadBatch:
        owner = held or self.held
        return ReadBatch(
            [PartitionBatch(owner, records[0].offset, records[-1].offset + 1, Records.from_records(records))]
        )

    def scored(self, batch: ReadBatch) -> list[ScoredPart]:
        return self.pipeline.score(self.pipeline.prepare(batch))

    def run(self, batch: ReadBatch) -> None:
        self.pipeline.settle(self.scored(batch))

    @property
    def stored(self) -> PartitionStatus:
        status = self.store.load("posts", 0)
        assert status is not None
        return status


@pytest.fixture(autouse=True, params=["columns", "posts"])
def _folded_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs every test with both folds: these batches are so small that all would be folded by rows."""
    if request.param == "columns":
        monkeypatch.setattr(partition_fold, "MIN_COLUMNAR_ROWS", 0)


@pytest.mark.parametrize("rows", [MIN_COLUMNAR_ROWS - 1, MIN_COLUMNAR_ROWS])
def test_few_rows_are_folded_by_rows_and_many_by_columns(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(partition_fold, "MIN_COLUMNAR_ROWS", MIN_COLUMNAR_ROWS)
    ways: list[str] = []
    for way in ("fold_rows", "fold_columns"):
        monkeypatch.setattr(partition_fold, way, _noted(ways, getattr(partition_fold, way), way))
    bench = Bench()
    bench.run(bench.batch(["acme is awful"] * rows))
    assert ways == ["fold_rows" if rows < MIN_COLUMNAR_ROWS else "fold_columns"]
    assert (bench.stored.next, len(bench.output.scored_posts)) == (rows, rows)


def _noted(ways: list[str], fold: Callable[..., Change | None], way: str) -> Callable[..., Change | None]:
    def noted(*arguments: Any, **named: Any) -> Change | None:
        ways.append(way)
        return fold(*arguments, **named)

    return noted


def test_batch_is_counted_and_written_to_topics() -> None:
    bench = Bench()
    bench.run(bench.batch(["acme is awful", "@ann likes acme", "nothing"]))
    assert (bench.stored.next, bench.stored.unmatched) == (3, 1)
    assert [scored.masked_text for _, scored in bench.output.scored_posts] == ["acme is awful", "@user likes acme"]
    assert bench.pipeline.progress == 1


def test_each_brand_of_a_post_gets_its_own_score_in_one_pass() -> None:
    bench = Bench(Opinionated(), named=("Acme", "Bolt", "Cafe"))
    bench.run(bench.batch(["bolt, acme", "cafe, bolt and acme", "cafe"]))
    parts = [scored for _, scored in bench.output.scored_posts]
    assert [[(score.brand, score.label) for score in post.brands] for post in parts] == [
        [("Acme", 0), ("Bolt", 2)],
        [("Acme", 0), ("Bolt", 2), ("Cafe", 3)],
        [("Cafe", 0)],
    ]
    exposed = bench.telemetry.expose().decode()
    for brand, sentiment, posts in (("Acme", "negative", 2), ("(other)", "irrelevant", 1)):
        assert f'counted_total{{brand="{brand}",sentiment="{sentiment}"}} {posts}.0' in exposed


def test_posts_with_the_same_text_get_the_same_heads() -> None:
    bench = Bench(Opinionated())
    bench.run(bench.batch(["acme", "acme is a long story", "acme"]))
    score = [post.heads["sarcasm"][0] for _, post in bench.output.scored_posts]
    assert score[0] == score[2] < score[1]
    assert [set(post.heads) for _, post in bench.output.scored_posts] == [{"sentiment", "sarcasm"}] * 3


def test_urgency_is_reported_for_each_brand() -> None:
    bench = Bench(Alarmed(), named=("Acme", "Bolt"))
    bench.run(bench.batch(["acme: the charger caught fire, bolt helped", "no brand", "acme caught fire"]))
    urgencies = [[score.urgency for score in post.brands] for _, post in bench.output.scored_posts]
    assert urgencies == [["high", "low"], ["high"]]


def test_degraded_posts_are_reported_and_count() -> None:
    class Overloaded(Opinionated):
        def score(self, posts: Sequence[MarkedText]) -> Scores:
            scores = super().score(posts)
            return Scores(scores.heads, scores.target, frozenset({0, 2}))

    bench = Bench(Overloaded())
    bench.run(bench.batch(["acme a", "acme b", "acme c"]))
    exposed = bench.telemetry.expose().decode()
    assert "brandpulse_posts_degraded_total 2.0" in exposed
    assert "brandpulse_posts_hurried_total 2.0" in exposed, "the deprecated name has the same value"
    assert len(bench.output.scored_posts) == 3


def test_post_that_breaks_the_model_is_dead_and_the_others_count() -> None:
    scorer = BreaksOn("BOOM")
    bench = Bench(scorer)
    bench.run(bench.batch([f"acme {'BOOM' if i == 37 else i}" for i in range(64)]))
    [(_, letter)] = bench.output.dead_letters
    assert (letter.record.offset, letter.reason) == (37, "unscorable")
    assert "kernel panic" in letter.message
    assert (len(bench.output.scored_posts), bench.stored.dead) == (63, 1)
    assert scorer.calls <= 14, "bisected, not one post at a time"


def test_post_that_breaks_a_pending_call_is_dead_and_the_others_count() -> None:
    class BreaksLate(BreaksOn):
        def begin(self, posts: Sequence[MarkedText]) -> Callable[[], Scores]:
            return lambda: self.score(posts)

    scorer = BreaksLate("BOOM")
    bench = Bench(scorer)
    parts = bench.scored(bench.batch([f"acme {'BOOM' if i == 37 else i}" for i in range(64)]))
    assert scorer.calls == 0, "the model was not waited for"
    bench.pipeline.settle(parts)
    [(_, letter)] = bench.output.dead_letters
    assert (letter.record.offset, letter.reason) == (37, "unscorable")
    assert (len(bench.output.scored_posts), bench.stored.dead) == (63, 1)
    assert scorer.calls <= 14, "bisected, not one post at a time"


def test_batch_size_learns_only_from_calls_that_were_waited_for() -> None:
    class Slow(Opinionated):
        def begin(self, posts: Sequence[MarkedText]) -> Callable[[], Scores]:
            def finish() -> Scores:
                time.sleep(0.02 * len(posts))
                return self.score(posts)

            return finish

    bench = Bench(Slow())
    assert bench.batch_size.posts == 512
    bench.run(bench.batch([f"acme {number}" for number in range(40)]))
    assert bench.batch_size.posts == MIN_POSTS
    fast = Bench(Opinionated())
    fast.run(fast.batch([f"acme {number}" for number in range(40)]))
    assert fast.batch_size.posts == 512


def test_post_that_breaks_the_matcher_is_dead_and_the_others_count(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    find_hits = BrandMatcher.find_hits

    def fragile(self: BrandMatcher, folded: str) -> list[tuple[int, int, int]]:
        if "boom" in folded:
            raise ValueError("unexpected")
        return find_hits(self, folded)

    monkeypatch.setattr(BrandMatcher, "find_hits", fragile)
    bench.run(bench.batch(["acme a", "acme BOOM", "acme b"]))
    [(_, letter)] = bench.output.dead_letters
    assert (letter.record.offset, letter.reason) == (1, "unmatchable")
    assert len(bench.output.scored_posts) == 2


def test_post_without_finite_scores_is_dead() -> None:
    class GivesNothing(BreaksOn):
        def score(self, posts: Sequence[MarkedText]) -> Scores:
            scores = keyword().score(posts)
            scores.target[[self._word in post.text for post in posts]] = np.nan
            return scores

    bench = Bench(GivesNothing("BOOM"))
    bench.run(bench.batch(["acme a", "acme BOOM", "acme b"]))
    [(_, letter)] = bench.output.dead_letters
    assert (letter.record.offset, letter.reason) == (1, "unscorable")
    assert len(bench.output.scored_posts) == 2


def test_write_of_a_former_owner_is_refused_and_resets_the_partition() -> None:
    bench = Bench()
    zombie = bench.load()
    bench.run(bench.batch(["acme one"]))
    bench.run(bench.batch(["acme one", "acme two"], held=zombie))
    assert bench.stored.next == 1
    assert zombie.released
    assert "next is 1" in bench.partitions.resets[0]


def test_batch_of_a_released_partition_is_not_counted() -> None:
    bench = Bench()
    parts = bench.pipeline.score(bench.pipeline.prepare(bench.batch(["acme"])))
    bench.held.released = True
    bench.pipeline.settle(parts)
    assert bench.stored.next == 0


def test_batch_after_a_gap_is_not_counted() -> None:
    bench = Bench()
    bench.run(bench.batch(["acme"], start=5))
    assert (bench.stored.next, len(bench.partitions.resets)) == (0, 1)


def test_two_batches_scored_before_the_first_is_stored_both_count() -> None:
    bench = Bench()
    first = bench.pipeline.score(bench.pipeline.prepare(bench.batch(["acme a"], start=0)))
    second = bench.pipeline.score(bench.pipeline.prepare(bench.batch(["acme b"], start=1)))
    bench.pipeline.settle(first)
    bench.pipeline.settle(second)
    assert bench.stored.next == 2


def test_waiting_batches_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    calls: list[int] = []
    apply = bench.store.apply

    def counting(changes: Sequence[Change]) -> list[Applied | Refused | Failed]:
        calls.append(len(changes))
        return apply(changes)

    monkeypatch.setattr(bench.store, "apply", counting)
    waiting = [bench.scored(bench.batch([f"acme {n}", f"acme {n}"], start=2 * n)) for n in range(3)]
    bench.pipeline.settle_all(waiting)
    assert (bench.stored.next, calls, bench.partitions.resets) == (6, [1], [])


def test_results_are_converted_by_the_storing_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    made: list[int] = []

    def noting(scores: Scores, posts: Sequence[MarkedText]) -> list[ScoreResult]:
        made.append(len(posts))
        return score_results(scores, posts)

    monkeypatch.setattr("stream_workers.pipeline.pending_scores.score_results", noting)
    waiting = [bench.scored(bench.batch(["acme", "acme is awful"], start=2 * n)) for n in range(2)]
    assert made == []
    bench.pipeline.settle_all(waiting)
    assert (made, bench.stored.next) == ([2, 2], 4)


def test_waiting_batches_count_the_same_as_single_batches() -> None:
    texts = ["acme", "nothing", "bolt is fine", "acme again", "acme is awful", "x", "bolt", "acme"]
    alone, together = Bench(), Bench()
    for bench in (alone, together):
        waiting = [bench.scored(bench.batch(texts[n : n + 3], start=n)) for n in range(0, len(texts), 3)]
        if bench is alone:
            for parts in waiting:
                bench.pipeline.settle(parts)
        else:
            bench.pipeline.settle_all(waiting)
    assert replace(together.stored, writer="") == replace(alone.stored, writer="")
    results = [
        [(offset, post.digest, post.brands) for offset, post in bench.output.scored_posts]
        for bench in (together, alone)
    ]
    assert results[0] == results[1]


def test_waiting_batch_after_a_gap_is_not_counted() -> None:
    bench = Bench()
    waiting = [bench.scored(bench.batch(["acme"], start=start)) for start in (0, 5)]
    bench.pipeline.settle_all(waiting)
    assert (bench.stored.next, len(bench.partitions.resets)) == (0, 1)


def test_batches_of_a_reloaded_partition_are_not_joined() -> None:
    bench = Bench()
    lost = bench.scored(bench.batch(["acme a"], start=0))
    bench.held.released = True
    after = bench.scored(bench.batch(["acme a"], held=bench.load()))
    bench.pipeline.settle_all([lost, after])
    assert (bench.stored.next, bench.partitions.resets) == (1, [])


def test_output_that_the_broker_refuses_resets_and_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    def refuse() -> None:
        raise TransientError("broker away")

    monkeypatch.setattr(bench.output, "flush", refuse)
    bench.run(bench.batch(["acme"]))
    assert (bench.stored.next, bench.partitions.resets) == (0, ["broker away"])


def test_unavailable_store_resets_and_the_batch_counts_once_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    apply = bench.store.apply

    def apply_and_lose_the_reply(changes: Sequence[Change]) -> list[Applied | Refused | Failed]:
        apply(changes)
        raise TransientError("connection reset")

    monkeypatch.setattr(bench.store, "apply", apply_and_lose_the_reply)
    bench.run(bench.batch(["acme is awful"]))
    assert bench.partitions.resets == ["connection reset"]
    monkeypatch.setattr(bench.store, "apply", apply)
    again = bench.load()
    assert again.position == 1, "the write was applied, only its reply was lost"


def test_damaged_state_pauses_the_partition_and_names_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    def damaged(_changes: Sequence[Change]) -> list[Applied | Refused | Failed]:
        return [Failed(StateError("{main:posts:0}:neg:Acme is a string, not a zset"))]

    monkeypatch.setattr(bench.store, "apply", damaged)
    bench.run(bench.batch(["acme"]))
    [reason] = bench.partitions.pauses
    assert "{main:posts:0}:neg:Acme is a string" in reason
    assert "dlq allow" in reason


def test_damaged_partition_does_not_stop_others(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.store.rebase(None, a_status(partition=1))
    neighbour_status = bench.store.load("posts", 1)
    assert neighbour_status is not None
    neighbour = AssignedPartition(neighbour_status, 0, DlqLimit(run_limit=50, share_limit=0.5))
    read = bench.store.read

    def damaged_in_partition_0(requests: Sequence[ReadRequest]) -> list[Stored]:
        if any(request.status.partition == 0 for request in requests):
            raise StateError("no pane")
        return read(requests)

    monkeypatch.setattr(bench.store, "read", damaged_in_partition_0)
    both = ReadBatch([*bench.batch(["acme a"]).parts, *bench.batch(["acme b"], held=neighbour).parts])
    bench.run(both)
    assert len(bench.partitions.pauses) == 1
    assert (bench.stored.next, neighbour.status.next) == (0, 1)


def junk(start: int, count: int) -> list[Record]:
    return [Record(start + i, NOON_MS, None, b"junk") for i in range(count)]


def test_many_invalid_posts_pause_the_partition_before_the_write() -> None:
    bench = Bench()
    bench.run(bench.batch_of([a_record(a_post("1", "acme")), *junk(1, 60)]))
    [reason] = bench.partitions.pauses
    assert "60 invalid posts in a row" in reason
    assert "dlq allow" in reason
    assert (bench.stored.next, bench.output.dead_letters) == (0, [])


def test_producer_with_a_wrong_clock_pauses_the_partition() -> None:
    bench = Bench()
    tomorrow = [a_record(a_post(str(i), "acme", NOON_MS + DAY_MS), i, record_ms=NOON_MS) for i in range(60)]
    bench.run(bench.batch_of(tomorrow))
    assert "60 invalid posts in a row" in bench.partitions.pauses[0]
    assert bench.output.dead_letters == []


def test_invalid_posts_allowed_by_an_operator_pass() -> None:
    bench = Bench()
    bench.held.status = a_status(allowed_until=61)
    bench.run(bench.batch_of([a_record(a_post("1", "acme")), *junk(1, 60)]))
    assert bench.partitions.pauses == []
    assert (bench.stored.next, bench.stored.dead, len(bench.output.dead_letters)) == (61, 60, 60)


def test_redriven_dead_letters_do_not_pause_and_count_no_second_death() -> None:
    bench = Bench()
    [part] = bench.batch_of(junk(0, 60)).parts
    bench.run(ReadBatch([replace(part, origins={i: RecordId("log-0", 0, i) for i in range(60)})]))
    assert bench.partitions.pauses == []
    assert (bench.stored.next, bench.stored.dead, len(bench.output.dead_letters)) == (60, 0, 60)


def test_metrics_are_zero_before_the_first_event() -> None:
    exposed = Bench().telemetry.expose().decode()
    assert 'brandpulse_posts_dead_total{reason="too_old"} 0.0' in exposed
    for sentiment in ("negative", "irrelevant"):
        assert f'brandpulse_posts_counted_total{{brand="Acme",sentiment="{sentiment}"}} 0.0' in exposed
    assert OTHER_BRANDS not in exposed


def test_cached_texts_are_counted() -> None:
    bench = Bench()
    bench.run(bench.batch(["acme is awful", "acme is awful", "acme is fine"]))
    exposed = bench.telemetry.expose().decode()
    assert "brandpulse_score_cache_hits_total 1.0" in exposed
    assert "brandpulse_score_cache_misses_total 2.0" in exposed


def test_thousands_of_brands_do_not_create_thousands_of_series() -> None:
    bench = Bench(brands=[f"brand {number}" for number in range(LABELLED_BRANDS + 500)])
    bench.run(bench.batch(["acme is awful"]))
    exposed = bench.telemetry.expose().decode()
    assert f'brandpulse_posts_counted_total{{brand="{OTHER_BRANDS}",sentiment="negative"}} 1.0' in exposed
    assert exposed.count("brandpulse_posts_counted_total{") == 4 * (LABELLED_BRANDS + 1)


def test_post_in_an_unread_language_counts_for_no_brand() -> None:
    bench = Bench()
    foreign = "acme annule encore mon vol, c'est une honte et personne ne répond"
    bench.run(bench.batch(["acme is awful", foreign, "nothing", foreign]))
    assert (bench.stored.unread, bench.stored.unmatched) == (2, 1)
    assert [post.decoded.post.text for _, post in bench.output.scored_posts] == ["acme is awful"]
    post_outcomes = {cell.outcome: cell.posts for period in bench.stored.post_outcomes for cell in period.cells}
    assert post_outcomes == {"on_time": 1, "unread": 2, "unmatched": 1}
    exposed = bench.telemetry.expose().decode()
    assert "brandpulse_posts_unread_total 2.0" in exposed
    assert bench.stored.languages == (("Acme", (("en", 1), ("other", 2))),)
    assert 'brandpulse_posts_language_total{language="other"} 2.0' in exposed
    assert 'brandpulse_posts_fate_total{fate="unread",source="test"} 2.0' in exposed


def test_language_of_a_batch_reaches_the_scorer_and_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    identify = LanguageIdentifier.identify

    def counted(self: LanguageIdentifier, texts: Sequence[str], declared: Sequence[str | None]) -> list[str]:
        calls.append(len(texts))
        return identify(self, texts, declared)

    monkeypatch.setattr(LanguageIdentifier, "identify", counted)
    bench = Bench(languages=("en", "de"))
    prepared = bench.pipeline.prepare(
        bench.batch(["acme is awful and they know it", "nothing", "acme ist wirklich schrecklich und teuer"])
    )
    assert [post.language for part in prepared for post in part.marked] == ["en", "de"]
    bench.pipeline.settle(bench.pipeline.score(prepared))
    assert [post.language for _, post in bench.output.scored_posts] == ["en", "de"]
    assert bench.stored.languages == (("Acme", (("de", 1), ("en", 1))),)
    assert calls == [2]


def test_text_that_breaks_the_identification_is_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    identify = LanguageIdentifier.identify

    def fragile(self: LanguageIdentifier, texts: Sequence[str], declared: Sequence[str | None]) -> list[str]:
        if any("poison" in text for text in texts):
            raise RuntimeError("no such class")
        return identify(self, texts, declared)

    monkeypatch.setattr(LanguageIdentifier, "identify", fragile)
    bench = Bench()
    bench.run(bench.batch(["acme is awful", "acme poison", "acme ist wirklich schrecklich und teuer"]))
    [(_, letter)] = bench.output.dead_letters
    assert (letter.record.offset, letter.reason) == (1, "unmatchable")
    assert (bench.stored.unread, bench.stored.dead) == (1, 1)
    assert bench.stored.languages == (("Acme", (("en", 1), ("other", 1))),)


def test_each_post_of_an_unknown_author_counts_as_a_person() -> None:
    bench = Bench()
    posts = [a_post(str(n), "acme is awful", author_id="[deleted]" if n % 2 else "ann") for n in range(10)]
    bench.run(bench.batch_of([a_record(post, n) for n, post in enumerate(posts)]))
    authors = {post.author for _, post in bench.output.scored_posts}
    assert len(authors) == 6
    post_outcomes = {cell.outcome: cell.posts for period in bench.stored.post_outcomes for cell in period.cells}
    assert post_outcomes == {"on_time": 10, "+unknown_author": 5}


def test_records_without_a_key_are_counted() -> None:
    bench = Bench()
    records = [a_record(a_post(str(n), "acme"), n) for n in range(3)]
    records[1] = msgspec.structs.replace(records[1], key=None)
    bench.run(bench.batch_of(records))
    assert bench.stored.keyless == 1


def test_near_miss_in_an_unmatched_post_is_stored() -> None:
    bench = Bench()
    bench.run(bench.batch(["acme", "Ac-Me is late", "nothing"]))
    assert bench.stored.near_misses == (("Ac-Me for Acme", 1),)


def test_pause_names_the_cause_of_the_dead_letters() -> None:
    bench = Bench()
    seconds = [a_record(a_post(str(n), "acme"), n, NOON_MS // 1_000) for n in range(60)]
    bench.run(bench.batch_of(seconds))
    [reason] = bench.partitions.pauses
    assert "60 invalid posts in a row (limit 50): the Kafka timestamps of the records are near 1970" in reason
    assert "send timestamps in milliseconds" in reason
    assert "dlq allow" in reason


def test_sources_use_a_few_labels() -> None:
    bench = Bench()
    posts = [a_post(str(n), "acme", source=f"source {n}\x1b") for n in range(40)]
    bench.run(bench.batch_of([a_record(post, n) for n, post in enumerate(posts)]))
    exposed = bench.telemetry.expose().decode()
    assert exposed.count("posts_fate_total{") == SOURCES + 1
    assert "\x1b" not in exposed
