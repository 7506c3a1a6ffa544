from hypothesis import given
from hypothesis import strategies as st

from brandpulse.state.author_sketches import AuthorCounts, Authors, count_authors
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import NO_CLOCK, Generation, PartitionStatus
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention, Timeliness, classify_event_time
from stream_workers.aggregation.row_fold import fold_rows, plan_rows
from stream_workers.aggregation.types import Cell, Change, Outcome, Scored, Stored, Unmatched
from stream_workers.decoding.post_decoder import DeadRecord
from stream_workers.decoding.records import Record
from stream_workers.state_store.memory_store import MemoryPartitionStore
from stream_workers.state_store.partition_store import Applied, ReadRequest
from tests.support.builders import NOON_MS, a_scored, a_status

RETENTION = Retention(lateness_ms=2 * MINUTE_MS, minutes_ms=48 * HOUR_MS, hours_ms=90 * DAY_MS)
LIMITS = DedupLimits(memory_ms=6 * HOUR_MS, max_ids=10_000)
NOON_MINUTE, NOON_HOUR = NOON_MS // MINUTE_MS, NOON_MS // HOUR_MS


def folded(outcomes: list[Outcome], status: PartitionStatus | None = None, stored: Stored | None = None) -> Change:
    return fold_rows(
        status or a_status(),
        outcomes,
        len(outcomes),
        stored or Stored(),
        retention=RETENTION,
        limits=LIMITS,
    )


def test_post_counts_in_its_minute_and_its_hour() -> None:
    change = folded([a_scored(sentiment="negative")])
    expected = Pane(negative=1, score_micros=-750_000)
    assert change.panes == {
        Cell("minute", "Acme", NOON_MINUTE): expected,
        Cell("hour", "Acme", NOON_HOUR): expected,
    }


def test_post_that_names_two_brands_counts_for_both() -> None:
    change = folded([a_scored(brands=("Acme", "Bolt"))])
    assert {cell.brand for cell in change.panes} == {"Acme", "Bolt"}
    assert all(pane == Pane(neutral=1) for pane in change.panes.values())


def test_post_may_be_negative_for_one_brand_and_positive_for_another() -> None:
    change = folded([a_scored("7", towards={"Acme": "negative", "Bolt": "positive", "Cafe": "irrelevant"})])
    panes = {cell.brand: pane for cell, pane in change.panes.items() if cell.span == "hour"}
    assert panes == {
        "Acme": Pane(negative=1, score_micros=-750_000),
        "Bolt": Pane(positive=1, score_micros=750_000),
        "Cafe": Pane(irrelevant=1),
    }
    assert {brand: [post.id for post in posts] for brand, posts in change.negatives.items()} == {"Acme": ["7"]}
    assert change.negatives["Acme"][0].negative == 0.8


def test_author_of_an_irrelevant_post_is_not_counted() -> None:
    posts: list[Outcome] = [a_scored(str(i), "irrelevant", author=i) for i in range(5)]
    change = folded([*posts, a_scored("x", "negative", author=9), a_scored("y", "neutral", author=3)])
    counts = count_authors([Authors.decode(change.authors[Cell("hour", "Acme", NOON_HOUR)])])
    assert counts == AuthorCounts(everyone=2, negative=1)
    assert change.panes[Cell("hour", "Acme", NOON_HOUR)].posts == 7


def test_irrelevant_posts_alone_leave_no_author_sketch() -> None:
    change = folded([a_scored("1", "irrelevant")])
    assert (dict(change.authors), dict(change.negatives)) == ({}, {})


def test_panes_are_added_to_the_stored_values() -> None:
    cell = Cell("hour", "Acme", NOON_HOUR)
    change = folded([a_scored(sentiment="positive")], stored=Stored(panes={cell: Pane(5, 6, 7, 100)}))
    assert change.panes[cell] == Pane(5, 6, 8, 750_100)


def test_duplicate_id_counts_once_within_and_across_batches() -> None:
    again = folded([a_scored("7", offset=0), a_scored("7", offset=1)])
    assert again.status.repeated == 1
    assert len(again.counted) == 1
    known = Stored(duplicates={a_scored("7").digest: 0})
    later = folded([a_scored("7", offset=2)], a_status(generations=(Generation(0, NOON_MS, 1),)), known)
    assert (later.status.repeated, later.panes, later.new_ids) == (1, {}, {})


def test_same_id_of_another_source_is_another_post() -> None:
    assert folded([a_scored("7"), a_scored("7", source="elsewhere")]).status.repeated == 0


def test_author_with_many_posts_counts_once() -> None:
    posts: list[Outcome] = [a_scored(str(i), "negative", author=99) for i in range(50)]
    posts.append(a_scored("x", "positive", author=100))
    change = folded(posts)
    counts = count_authors([Authors.decode(change.authors[Cell("minute", "Acme", NOON_MINUTE)])])
    assert (counts.everyone, counts.negative) == (2, 1)


def test_post_behind_the_watermark_is_late_and_counts() -> None:
    change = folded([a_scored("1", at_ms=NOON_MS), a_scored("2", at_ms=NOON_MS - 10 * MINUTE_MS)])
    assert change.status.late == 1
    assert Cell("minute", "Acme", NOON_MINUTE - 10) in change.panes


def test_post_beyond_minute_retention_counts_in_its_hour_only() -> None:
    old = NOON_MS - 50 * HOUR_MS
    change = folded([a_scored("1"), a_scored("2", at_ms=old)])
    assert Cell("hour", "Acme", old // HOUR_MS) in change.panes
    assert Cell("minute", "Acme", old // MINUTE_MS) not in change.panes


def test_post_beyond_hour_retention_is_dead_as_too_old() -> None:
    change = folded([a_scored("1"), a_scored("2", at_ms=NOON_MS - 91 * DAY_MS, offset=1)])
    [letter] = change.dead
    assert (letter.reason, change.status.dead) == ("too_old", 1)
    assert "BRANDPULSE_NAMESPACE" in letter.message


def test_post_from_the_future_is_dead_and_does_not_advance_the_clock() -> None:
    change = folded([a_scored("1"), a_scored("2", at_ms=NOON_MS + HOUR_MS, record_ms=NOON_MS)])
    assert [letter.reason for letter in change.dead] == ["from_the_future"]
    assert change.status.clock_ms == NOON_MS


def test_unmatched_and_dead_posts_are_counted_without_a_pane() -> None:
    readable = a_scored("1")
    change = folded([Unmatched(readable.decoded), DeadRecord(Record(1, 0, None, b"x"), "not_json", "no")])
    assert (change.status.unmatched, change.status.dead, dict(change.panes)) == (1, 1, {})


def test_newest_negative_posts_are_stored() -> None:
    posts: list[Outcome] = [a_scored(str(i), "negative", NOON_MS - i * 1_000) for i in range(30)]
    change = folded(posts)
    assert {post.id for post in change.negatives["Acme"]} == {str(i) for i in range(20)}, "newest by event time"


def test_2015_stream_counts_like_one_of_today() -> None:
    then = 1_424_000_000_000
    verdict, clock = classify_event_time(then, NOON_MS, NO_CLOCK, RETENTION)
    assert (verdict, clock) == (Timeliness.ON_TIME, then)


def test_dedup_window_drops_ids_by_event_time_and_size() -> None:
    store = MemoryPartitionStore()
    status = a_status()
    assert store.rebase(None, status)
    for step in range(40):
        change = fold_rows(
            status,
            [a_scored(f"{step}-{i}", at_ms=NOON_MS + step * HOUR_MS, offset=step * 10 + i) for i in range(10)],
            (step + 1) * 10,
            Stored(),
            retention=RETENTION,
            limits=LIMITS,
        )
        assert store.apply([change]) == [Applied()]
        status = change.status
        assert len(status.generations) <= 6
    oldest_kept = NOON_MS + 39 * HOUR_MS - LIMITS.memory_ms
    assert all(generation.began_ms >= oldest_kept - LIMITS.memory_ms // 2 for generation in status.generations)
    recent = a_scored("39-3").digest
    ancient = a_scored("0-3").digest
    [found] = store.read([ReadRequest(status, [recent, ancient], [])])
    assert set(found.duplicates) == {recent}


def test_backfill_that_does_not_advance_the_clock_stays_within_the_limit() -> None:
    limits = DedupLimits(memory_ms=6 * HOUR_MS, max_ids=100)
    status = a_status()
    for step in range(60):
        posts: list[Outcome] = [a_scored(f"{step}-{i}") for i in range(10)]
        status = fold_rows(status, posts, status.next + 10, Stored(), retention=RETENTION, limits=limits).status
        assert sum(generation.size for generation in status.generations) <= 100


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Scored], list[int]]:
    """A stream with duplicates, late and too old posts, and its batch boundaries."""
    minutes = st.integers(-95 * 1440, 60)
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 15), st.sampled_from(["negative", "neutral", "positive", "irrelevant"]), minutes)
        )
    )
    posts = [
        a_scored(str(number), sentiment, NOON_MS + minute * MINUTE_MS, offset=offset, record_ms=NOON_MS + DAY_MS)
        for offset, (number, sentiment, minute) in enumerate(rows)
    ]
    return posts, sorted(draw(st.lists(st.integers(0, len(posts)), max_size=5)))


@given(streams())
def test_batch_boundaries_change_nothing(drawn: tuple[list[Scored], list[int]]) -> None:
    posts, cuts = drawn

    def run(edges: list[int]) -> tuple[PartitionStatus, dict[Cell, Pane]]:
        store, status = MemoryPartitionStore(), a_status()
        store.rebase(None, status)
        panes: dict[Cell, Pane] = {}
        for start, end in zip([0, *edges], [*edges, len(posts)], strict=True):
            batch = posts[start:end]
            digests, cells = plan_rows(batch)
            [stored] = store.read([ReadRequest(status, digests, cells)])
            change = fold_rows(status, batch, end, stored, retention=RETENTION, limits=LIMITS)
            assert store.apply([change]) == [Applied()]
            status = change.status
            panes |= change.panes
        return status, panes

    whole, cut = run([]), run(cuts)
    assert whole == cut
    status, panes = whole
    hours = [pane for cell, pane in panes.items() if cell.span == "hour"]
    counted = sum(pane.posts for pane in hours)
    assert counted + status.repeated + status.dead == len(posts)
