"""A backtest against a worker: the same posts leave the same panes, sketches, counters and kept posts."""

import json
import random
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brandpulse.backtest.post_scoring import BrandScoring, facet_matcher
from brandpulse.backtest.recorded_evidence import KeptPosts
from brandpulse.backtest.recorded_panes import RecordedPanes
from brandpulse.backtest.recorded_post import RecordedPost
from brandpulse.backtest.recording import RecordedTexts, Tally
from brandpulse.config.brands_file import Brand
from brandpulse.config.facets import Facet
from brandpulse.schema.identity import AuthorHasher
from brandpulse.state.author_sketches import Authors, count_authors
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS, facet_series
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.state.stored_posts import HourPost, SampledPost
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.languages import OTHER, LanguageIdentifier
from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText
from stream_workers.aggregation.columnar_batch import ScoredPosts, build_columnar_batch, row_outcomes
from stream_workers.aggregation.columnar_fold import fold_columns, plan_columns
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.post_sample import SAMPLE_SIZE
from stream_workers.aggregation.row_fold import fold_rows, plan_rows
from stream_workers.aggregation.types import Cell, PostHour, SampleDay, Span, Stored
from stream_workers.decoding.batch_decoder import PythonBatchDecoder
from stream_workers.decoding.records import Record, Records
from stream_workers.scoring.brand_marker import BrandMarker
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.post_scores import PostScores, score_results
from stream_workers.state_store.memory_store import MemoryPartitionStore
from stream_workers.state_store.partition_store import Applied, ReadRequest
from tests.support.alerting.reference_scenario import LIMITS, RETENTION
from tests.support.builders import NOON_MS, a_post, rfc3339

BRANDS = ("Acme", "Bolt", "Cafe")
FACETS = [Facet(name="refund", words=["refund"]), Facet(name="angry", words=["angry"], sentiment=["negative"])]
MATCHER = BrandMatcher([Brand(name=name, terms=[name.lower()]) for name in BRANDS], FACETS)
HASHER = AuthorHasher("key")
LANGUAGES = LanguageIdentifier(("en",))
FEW_IDS = DedupLimits(memory_ms=2 * HOUR_MS, max_ids=60)
AGES = [0] * 8 + [30_000, 200_000, 4 * HOUR_MS, 50 * HOUR_MS, 91 * DAY_MS, -2 * MINUTE_MS, -10 * MINUTE_MS]
SERIES = [name for brand in BRANDS for name in (brand, *(facet_series(brand, facet.name) for facet in FACETS))]


class Model:
    """Scores a target by the length of its text, so that all four labels occur."""

    heads = ("sentiment", "target")

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        rows = [
            np.roll([0.7, 0.2, 0.06, 0.04], len(post.text) + number) for post in posts for number in range(post.targets)
        ]
        sentiment = np.full((len(posts), 3), 1 / 3, np.float32)
        return Scores({"sentiment": sentiment}, np.array(rows, np.float32).reshape(-1, 4))


def some_posts(
    seed: int, many: int = 400, *, ages: Sequence[int] = AGES, apart_ms: int = 120_000
) -> list[dict[str, Any]]:
    """In order of arrival: on time, late, hours and months old, from the future, duplicate, without a brand."""
    rng = random.Random(seed)
    words = ["acme", "bolt", "cafe", "refund", "angry", "nothing", "x"]
    posts: list[dict[str, Any]] = []
    arrived_ms = NOON_MS
    for number in range(many):
        arrived_ms += rng.randrange(apart_ms)
        post_id = str(number if rng.random() > 0.2 else rng.randrange(number + 1))
        text = " ".join(rng.sample(words, rng.randrange(1, 5)))
        if rng.random() < 0.05:
            text = f"{text} das ist wirklich nicht gut gewesen"
        post = a_post(
            post_id,
            text,
            arrived_ms - rng.choice(ages),
            author_id=rng.choice([f"author-{rng.randrange(60)}", "[deleted]"]),
        )
        posts.append(post | {"arrived_at": rfc3339(arrived_ms)})
    return posts


class Worker:
    """One partition of a worker, and its store in memory."""

    def __init__(self, limits: DedupLimits) -> None:
        self.status = PartitionStatus("posts", 0, 0, "t", lateness_ms=RETENTION.lateness_ms)
        self.posts = 0
        self._limits = limits
        self._facets = FacetMatcher(FACETS, heads=Model.heads)
        self._cells: set[Cell] = set()
        self._store = MemoryPartitionStore()
        assert self._store.rebase(None, self.status)

    def count(self, records: Sequence[Record]) -> None:
        rows = PythonBatchDecoder(MATCHER, HASHER).decode(Records.from_records(records))
        for row in rows.matched.tolist():
            if LANGUAGES.identify([rows.post(row).text], [rows.post(row).lang]) == [OTHER]:
                rows.mark_unread(row)
        marked = [
            BrandMarker(MATCHER).mark(rows.post(row).text, rows.match(row).brands) for row in rows.matched.tolist()
        ]
        scores = [one for one in score_results(Model().score(marked), marked) if isinstance(one, PostScores)]
        posts = ScoredPosts(rows, scores, str, self._facets)
        columns = build_columnar_batch(rows, scores, posts, self._facets)
        to_offset = self.status.next + len(records)
        digests, cells = plan_columns(columns)
        [stored] = self._store.read([ReadRequest(self.status, digests, cells)])
        change = fold_columns(
            self.status, columns, digests, to_offset, stored, retention=RETENTION, limits=self._limits
        )
        if change is None:
            outcomes = row_outcomes(rows, posts)
            asked, cells = plan_rows(outcomes)
            [stored] = self._store.read([ReadRequest(self.status, asked, cells)])
            change = fold_rows(self.status, outcomes, to_offset, stored, retention=RETENTION, limits=self._limits)
        assert self._store.apply([change]) == [Applied()]
        self.status = change.status
        self.posts += len(change.counted)
        self._cells |= {*change.panes, *change.authors}

    def samples(self) -> dict[SampleDay, list[SampledPost]]:
        return self._store.samples("posts", 0)

    def hour_posts(self) -> dict[PostHour, list[HourPost]]:
        return self._store.hour_posts("posts", 0)

    def stored(self) -> Stored:
        [stored] = self._store.read([ReadRequest(self.status, (), sorted(self._cells))])
        return stored


def worked(posts: Sequence[dict[str, Any]], limits: DedupLimits, *, seed: int) -> Worker:
    """*posts* in batches cut at random."""
    rng, worker = random.Random(seed), Worker(limits)
    records = [
        Record(
            offset,
            round(datetime.fromisoformat(post["arrived_at"]).timestamp() * 1_000),
            b"",
            json.dumps(post).encode(),
        )
        for offset, post in enumerate(posts)
    ]
    while records:
        size = rng.choice([1, 3, 20, 90])
        worker.count(records[:size])
        records = records[size:]
    return worker


def scored(posts: Sequence[dict[str, Any]], folder: Path) -> list[RecordedPost]:
    path = folder / "posts.jsonl"
    path.write_text("".join(json.dumps(post) + "\n" for post in posts), encoding="utf-8")
    model = Model()
    texts = RecordedTexts(
        BrandScoring(MATCHER, BrandMarker(MATCHER), model),
        {},
        author_hash=HASHER.of_author,
        languages=LANGUAGES,
        facets=facet_matcher(FACETS, model),
    )
    texts.score(path, Tally())
    return list(texts.posts(path, Tally()))


def backtested(posts: Sequence[dict[str, Any]], limits: DedupLimits, folder: Path) -> RecordedPanes:
    panes = RecordedPanes(RETENTION, limits)
    for number, post in enumerate(scored(posts, folder)):
        panes.count(post)
        if number % 37 == 0:
            panes.brands()  # A read folds what has come so far: the batches differ from the worker's.
    return panes


@pytest.mark.parametrize("limits", [LIMITS, FEW_IDS], ids=["all ids", "few ids"])
@pytest.mark.parametrize("seed", range(4))
def test_the_same_posts_leave_the_same_panes_as_in_a_worker(tmp_path: Path, limits: DedupLimits, seed: int) -> None:
    posts = some_posts(seed)
    worker, recorded = worked(posts, limits, seed=seed), backtested(posts, limits, tmp_path)
    stored = worker.stored()
    by_span: dict[Span, dict[str, dict[int, Pane]]] = {
        span: {
            name: {cell.bucket: pane for cell, pane in stored.panes.items() if cell[:2] == (span, name)}
            for name in SERIES
        }
        for span in ("minute", "hour")
    }
    first, last = (choose(cell.bucket for cell in stored.panes if cell.span == "hour") for choose in (min, max))
    assert recorded.hours(SERIES, first, last) == by_span["hour"]
    minutes = recorded.minutes(SERIES, first * 60, last * 60 + 59, authors=True)
    assert {name: dict(one.panes) for name, one in minutes.items()} == by_span["minute"]
    assert {
        Cell("minute", name, minute): sketch.encode()
        for name, one in minutes.items()
        for minute, [sketch] in one.authors.items()
    } == {cell: authors for cell, authors in stored.authors.items() if cell.span == "minute"}
    assert {
        Cell("hour", name, hour): people
        for name, hours in recorded.hour_authors(SERIES, first, last).items()
        for hour, people in hours.items()
    } == {
        cell: count_authors([Authors.decode(authors)])
        for cell, authors in stored.authors.items()
        if cell.span == "hour"
    }


@pytest.mark.parametrize("limits", [LIMITS, FEW_IDS], ids=["all ids", "few ids"])
def test_the_same_posts_leave_the_same_clock_and_counters(tmp_path: Path, limits: DedupLimits) -> None:
    posts = some_posts(9)
    worker, recorded = worked(posts, limits, seed=9), backtested(posts, limits, tmp_path)
    status, expected = recorded.status, worker.status
    assert recorded.posts == worker.posts
    counters = [status.late, status.repeated, status.dead, status.unmatched, status.unread]
    assert counters == [expected.late, expected.repeated, expected.dead, expected.unmatched, expected.unread]
    assert all(counters), "the posts test every rule"
    assert (status.clock_ms, status.next) == (expected.clock_ms, expected.next)
    assert status.generations == expected.generations


def test_too_few_remembered_ids_count_a_post_twice_as_in_a_worker(tmp_path: Path) -> None:
    posts = some_posts(3)
    assert backtested(posts, FEW_IDS, tmp_path).posts > backtested(posts, LIMITS, tmp_path).posts


@pytest.mark.parametrize("seed", range(2))
def test_the_same_posts_are_kept_as_in_a_worker(tmp_path: Path, seed: int) -> None:
    posts = some_posts(seed, 1_200, ages=[0, 30_000, 200_000], apart_ms=12_000)
    worker = worked(posts, LIMITS, seed=seed)
    hours = [hour.hour for hour in worker.hour_posts()]
    begin_ms, end_ms = min(hours) * HOUR_MS, (max(hours) + 1) * HOUR_MS
    window = KeptPosts([(brand, begin_ms, end_ms) for brand in BRANDS], partitions=1)
    day_after = KeptPosts([(brand, end_ms + DAY_MS, end_ms + DAY_MS) for brand in BRANDS], partitions=1)
    dropped = backtested(posts, LIMITS, tmp_path).dropped
    counted = [post for number, post in enumerate(scored(posts, tmp_path)) if number not in dropped]
    for start in range(0, len(counted), 70):
        window.add(counted[start : start + 70])
        day_after.add(counted[start : start + 70])
    for place, kept in worker.hour_posts().items():
        found = window.of_window(place.series, place.hour * HOUR_MS, (place.hour + 1) * HOUR_MS)
        assert set(found.negative if place.negative else found.others) == set(kept)
    assert any(len(kept) == place.size for place, kept in worker.hour_posts().items()), "some hour is full"
    for day, sampled in worker.samples().items():
        assert set(day_after.samples(day.brand, day.day, day.day)[day.day]) == set(sampled)
    assert any(len(sampled) == SAMPLE_SIZE for sampled in worker.samples().values())
