"""`fold_columns` builds the same change as `fold_rows`, or none."""

from collections import Counter
from dataclasses import dataclass, replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brandpulse.config.brands_file import Brand
from brandpulse.config.facets import Facet
from brandpulse.schema.identity import AuthorHasher
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.text.brand_matcher import BrandMatcher
from stream_workers.aggregation.columnar_batch import ColumnarBatch, ScoredPosts, build_columnar_batch, row_outcomes
from stream_workers.aggregation.columnar_fold import fold_columns, plan_columns
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.hour_posts import BURST, PostAllowance
from stream_workers.aggregation.post_sample import SampleBounds
from stream_workers.aggregation.row_fold import fold_rows, plan_rows
from stream_workers.aggregation.types import Change, Outcome, Stored
from stream_workers.decoding.batch_decoder import PythonBatchDecoder
from stream_workers.decoding.records import Record, Records
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.post_scores import PostScores, build_post_scores
from stream_workers.state_store.memory_store import MemoryPartitionStore
from stream_workers.state_store.partition_store import Applied, ReadRequest
from tests.support.builders import NOON_MS, PROBABILITIES, a_post, a_record, a_status

RETENTION = Retention(lateness_ms=2 * MINUTE_MS, minutes_ms=48 * HOUR_MS, hours_ms=90 * DAY_MS)
LIMITS = DedupLimits(memory_ms=6 * HOUR_MS, max_ids=40)
BRANDS = [Brand(name=name, terms=[name]) for name in ("Acme", "Bolt", "Cafe")]
FACETS = [Facet(name="refund", words=["refund"]), Facet(name="sad", mood=["sadness"], sentiment=["negative"])]
WORDED = FACETS[:1]


@dataclass(frozen=True)
class A:
    """One post of these tests."""

    post_id: str
    text: str = "acme"
    sentiment: str = "negative"
    minute: float = 0
    record_minute: float | None = None
    author: str = "ann"
    source: str = "test"
    key: bool = True

    def record(self, offset: int) -> Record:
        at_ms = NOON_MS + int(self.minute * MINUTE_MS)
        record_ms = -1 if self.record_minute is None else NOON_MS + int(self.record_minute * MINUTE_MS)
        post = a_post(self.post_id, self.text, at_ms, author_id=self.author, source=self.source)
        record = a_record(post, offset, record_ms)
        return record if self.key else msgspec.structs.replace(record, key=None)


LANGUAGES = ("en", "de", "other")


class Read:
    """*posts* after the model, for both folds."""

    def __init__(
        self, posts: list[A], first: int = 0, facets: list[Facet] | None = None, *, identified: bool = True
    ) -> None:
        reader = PythonBatchDecoder(BrandMatcher(BRANDS, facets or ()), AuthorHasher("key"))
        rows = reader.decode(Records.from_records([post.record(first + at) for at, post in enumerate(posts)]))
        assert not rows.dead
        for row in rows.matched.tolist():
            if "refund cafe" in posts[row].text:
                rows.mark_unread(row)
        if identified:
            rows.language_names = LANGUAGES
            rows.languages[rows.matched] = [len(posts[row].author) % 2 for row in rows.matched.tolist()]
        rows.near_misses = Counter(post.author for post in posts)
        asked = FacetMatcher(facets, heads=("sentiment", "target", "mood")) if facets else None
        verdicts = [_verdict(posts[row].sentiment, len(rows.match(row).brands)) for row in rows.matched.tolist()]
        scored = ScoredPosts(rows, verdicts, str.upper, asked)
        self.columns: ColumnarBatch = build_columnar_batch(rows, verdicts, scored, asked)
        self.outcomes: list[Outcome] = row_outcomes(rows, scored)
        self.to_offset = first + len(posts)

    def both(
        self,
        status: PartitionStatus,
        stored: Stored,
        bounds: SampleBounds | None = None,
        *,
        allowance: PostAllowance = BURST,
    ) -> tuple[Change | None, Change]:
        digests, _ = plan_columns(self.columns)
        quick = fold_columns(
            status,
            self.columns,
            digests,
            self.to_offset,
            stored,
            retention=RETENTION,
            limits=LIMITS,
            epoch=3,
            bounds=bounds,
            near_misses=self.columns.rows.near_misses,
            allowance=allowance,
        )
        slow = fold_rows(
            status,
            self.outcomes,
            self.to_offset,
            stored,
            retention=RETENTION,
            limits=LIMITS,
            epoch=3,
            bounds=bounds,
            near_misses=self.columns.rows.near_misses,
            allowance=allowance,
        )
        return quick, slow


def _verdict(sentiment: str, brands: int) -> PostScores:
    """*sentiment* for the first brand, neutral for the others."""
    targets = (PROBABILITIES[sentiment], *[PROBABILITIES["neutral"]] * (brands - 1))
    return build_post_scores(targets, {"sentiment": (0.1, 0.8, 0.1), "mood": (0.1, 0.1, 0.1, 0.7)}, (None,) * brands)


def the_same(quick: Change | None, slow: Change) -> bool:
    """Equal byte for byte, lazily built values included."""
    assert quick is not None
    assert list(quick.counted) == list(slow.counted)
    assert replace(quick, counted=()) == replace(slow, counted=())
    return True


def test_common_outcomes_give_the_same_change() -> None:
    posts = [
        A("1", "acme and bolt", "negative", 0, 0),
        A("2", "nothing", "neutral", 1, 1),
        A("3", "bolt refund", "positive", -10, 1, author="bob"),  # late
        A("4", "cafe", "irrelevant", 2, 2),
        A("5", "acme", "negative", -50 * 60, 2),  # counts in its hour only
        A("6", "acme", "negative", -4 * 60, 2),  # its author is not counted in the minute
        A("7", "acme refund", "negative", 300, 2.5),  # ahead of the record, within the tolerance
    ]
    posts[-1] = replace(posts[-1], minute=5, record_minute=2.5)
    for facets in (None, FACETS, WORDED):
        quick, slow = Read(posts, facets=facets).both(a_status(), Stored())
        assert the_same(quick, slow)
        assert slow.status.late == 3
        assert slow.status.unmatched == 1
        assert len(slow.panes) > 5


def test_batch_without_brands_gives_the_same_change() -> None:
    quick, slow = Read([A("1", "nothing"), A("2", "nothing", minute=7)]).both(a_status(), Stored())
    assert the_same(quick, slow)
    assert slow.status.clock_ms == NOON_MS + 7 * MINUTE_MS


def test_each_brand_counts_its_posts_by_language() -> None:
    posts = [A("1"), A("2", author="eve1"), A("3", "bolt, acme"), A("4", "refund cafe"), A("5", "nothing")]
    quick, slow = Read(posts).both(a_status(), Stored())
    assert the_same(quick, slow)
    assert slow.status.languages == (
        ("Acme", (("de", 2), ("en", 1))),
        ("Bolt", (("de", 1),)),
        ("Cafe", (("other", 1),)),
    )


@pytest.mark.parametrize(
    ("posts", "stored"),
    [
        ([A("1"), A("1")], Stored()),
        ([A("1"), A("2", minute=6, record_minute=0)], Stored()),
        ([A("1"), A("2", minute=-91 * 1440)], Stored()),
        ([A("1")], Stored(duplicates={b"x" * 12: 0})),
    ],
    ids=["the same id twice", "from the future", "too old", "the store has one of the ids"],
)
def test_rare_outcome_is_left_to_the_row_fold(posts: list[A], stored: Stored) -> None:
    quick, _ = Read(posts).both(a_status(), stored)
    assert quick is None


minutes = st.integers(-95 * 1440, 60) | st.integers(-200, 3)
posts_of = st.builds(
    A,
    post_id=st.integers(0, 10_000).map(str),
    text=st.sampled_from(["acme", "bolt, acme", "cafe bolt acme refund", "refund cafe", "nothing", "@acme refund"]),
    sentiment=st.sampled_from(["negative", "neutral", "positive", "irrelevant"]),
    minute=minutes,
    record_minute=st.none() | st.integers(-5, 70) | st.sampled_from([-29_000_000, 300, 800_000_000]),
    author=st.sampled_from(["ann", "bob", "eve", "[deleted]"]),
    source=st.sampled_from(["test", "rss", *map(str, range(20))]),
    key=st.sampled_from([True, True, True, False]),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(posts_of, min_size=1, max_size=40), min_size=1, max_size=4),
    st.sampled_from([None, FACETS]),
    st.sampled_from([PostAllowance(0, 0), PostAllowance(1, 0), PostAllowance(2, 7), BURST]),
    st.booleans(),
)
def test_both_folds_give_the_same_change_for_any_stream(
    batches: list[list[A]], facets: list[Facet] | None, allowance: PostAllowance, identified: bool
) -> None:
    """Several batches in a row, each on the panes, sketches, generations and samples of the earlier ones."""
    store, status, bounds = MemoryPartitionStore(), a_status(), SampleBounds()
    store.rebase(None, status)
    first = 0
    for batch in batches:
        read = Read(batch, first, facets, identified=identified)
        first += len(batch)
        digests, cells = plan_rows(read.outcomes)
        quick_digests, quick_cells = plan_columns(read.columns)
        assert quick_digests == digests
        assert set(quick_cells) == set(cells)
        assert len(quick_cells) == len(cells)
        [stored] = store.read([ReadRequest(status, digests, cells)])
        quick, slow = read.both(status, stored, bounds, allowance=allowance)
        # An id that recurs after its generation was dropped within the batch is not a duplicate, but rare.
        ordinary = not stored.duplicates and not slow.dead and len(set(digests)) == len(digests)
        assert (quick is not None) == ordinary
        if ordinary:
            assert the_same(quick, slow)
        assert store.apply([slow]) == [Applied()]
        bounds.add(slow.samples)
        bounds.hours.add(slow.hour_posts)
        status = slow.status
