from brandpulse.schema.dead_letters import RecordId
from brandpulse.state.outcomes.post_outcomes import PERIOD_MS
from stream_workers.aggregation.row_fold import fold_rows
from stream_workers.aggregation.types import Change, Outcome, Stored
from stream_workers.decoding.post_decoder import DeadRecord
from tests.support.builders import NOON_MS, a_scored, a_status
from tests.support.counting_oracle import LIMITS, RETENTION

FIRST = RecordId("log-0", 0, 7)


def folded(outcomes: list[Outcome], origins: dict[int, RecordId], stored: Stored | None = None) -> Change:
    return fold_rows(
        a_status(100), outcomes, 110, stored or Stored(), retention=RETENTION, limits=LIMITS, origins=origins
    )


def dead_at(offset: int) -> DeadRecord:
    return DeadRecord(a_scored("1", offset=offset).decoded.record, "not_json", "broken")


def test_redriven_post_counts_and_its_identity_is_remembered() -> None:
    change = folded([a_scored("1", offset=100)], {100: FIRST})
    assert (len(change.counted), change.redriven, change.status.redriven) == (1, {FIRST.digest: 100}, 1)


def test_finished_redriven_post_is_a_duplicate_whatever_its_content() -> None:
    done = Stored(redriven=frozenset([FIRST.digest]))
    change = folded([a_scored("another id", offset=100), dead_at(101)], {100: FIRST, 101: FIRST}, done)
    assert (change.counted, change.dead, change.status.repeated, change.status.redriven) == ([], [], 2, 0)


def test_two_redriven_copies_in_one_batch_count_once() -> None:
    change = folded([a_scored("1", offset=100), a_scored("2", offset=101)], {100: FIRST, 101: FIRST})
    assert (len(change.counted), change.status.repeated, change.redriven) == (1, 1, {FIRST.digest: 100})


def test_redriven_post_that_dies_again_is_not_counted_again() -> None:
    change = folded([dead_at(100)], {100: FIRST})
    assert (len(change.dead), change.status.dead, change.redriven) == (1, 0, {})
    assert change.origins == {100: FIRST}


def test_dead_copy_does_not_stop_another_copy_in_the_batch() -> None:
    change = folded([dead_at(100), a_scored("1", offset=101)], {100: FIRST, 101: FIRST})
    assert (len(change.counted), len(change.dead), change.redriven) == (1, 1, {FIRST.digest: 101})


def test_redriven_post_also_sent_by_its_producer_is_a_duplicate() -> None:
    post = a_scored("1", offset=100)
    found = Stored(duplicates={post.digest: 0})
    status = a_status(100, generations=folded([post], {}).status.generations)
    change = fold_rows(status, [post], 101, found, retention=RETENTION, limits=LIMITS, origins={100: FIRST})
    assert (change.counted, change.status.repeated, change.status.redriven) == ([], 1, 1)


def test_redriven_post_that_dies_again_starts_no_outcome_period() -> None:
    """Otherwise the period of the next post would depend on batch boundaries: the store remembers only counted ones."""
    later = a_scored("1", offset=100, at_ms=NOON_MS + PERIOD_MS).decoded.record
    change = folded([DeadRecord(later, "not_json", "broken"), a_scored("2", offset=101)], {100: FIRST})
    assert [period.number for period in change.status.post_outcomes] == [NOON_MS // PERIOD_MS]
