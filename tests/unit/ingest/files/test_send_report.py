"""The report of `ingest file`."""

from brandpulse.state.outcomes.post_outcomes import Cell, Period
from brandpulse.state.partition_state import PartitionStatus
from ingest.files.send_report import WorkerResult, causes, row_lines, worker_result, worker_result_lines
from tests.support.builders import a_status


def test_worker_result_is_the_difference_of_the_counters() -> None:
    before = [a_status(5, late=1, dead=2, repeated=3, unmatched=4), a_status(0, partition=1, unread=7)]
    after = [a_status(15, late=4, dead=4, repeated=4, unmatched=5), a_status(9, partition=1, dead=1, unread=9)]
    result = worker_result(20, before, after, {"too_old": 3})
    assert (result.counted, result.late, result.dead, result.repeated, result.unmatched) == (13, 3, 3, 1, 1)
    assert (result.on_time, result.unread) == (10, 2)
    assert result.on_time + result.late + result.dead + result.repeated + result.unmatched + result.unread == 20
    assert not result.succeeded(20)


def test_result_succeeds_unless_posts_are_dead_or_all_unmatched() -> None:
    assert WorkerResult(9, late=9, repeated=1).succeeded(10)
    assert WorkerResult(9, unmatched=1).succeeded(10)
    assert not WorkerResult(0, unmatched=10).succeeded(10)
    assert not WorkerResult(0, unmatched=4, unread=6).succeeded(10)
    assert WorkerResult(1, unread=9).succeeded(10)
    assert not WorkerResult(9, dead=1).succeeded(10)
    assert WorkerResult(0).succeeded(0)


def test_each_nonzero_count_has_a_line_with_a_remedy() -> None:
    assert worker_result_lines(WorkerResult(10), 10, {}) == []
    result = WorkerResult(1, late=2, dead=3, repeated=4, unmatched=5, reasons={"too_old": 3})
    text = "\n".join(worker_result_lines(result, 15, {"too_old": "A namespace of its own."}))
    for expected in ("dead: 3 posts", "dlq list", "3 too_old. A namespace of its own.", "unmatched: 5 posts"):
        assert expected in text
    assert "repeated: 4 posts" in text
    assert "late: 2 posts" in text
    assert "unread: 1 post. " in worker_result_lines(WorkerResult(9, unread=1), 10, {})[0]
    assert "none of the posts names a brand" in worker_result_lines(WorkerResult(0, unmatched=5), 5, {})[0]


def test_rows_that_were_not_sent_are_reported_by_cause() -> None:
    nothing = {"in_file": 0, "sent_before": 0, "changed": 0, "other_source": 0, "rejected": 0}
    assert row_lines(**nothing, rejects="r") == []
    text = "\n".join(
        row_lines(
            in_file=1,
            sent_before=20,
            changed=3,
            other_source=4,
            rejected=5,
            rejects="a.rejects.jsonl",
        )
    )
    for expected in (
        "duplicates in the file: 1 row.",
        "sent before: 20 posts",
        "3 of them had another text",
        "4 of them under",
    ):
        assert expected in text
    assert "rejected: 5 rows" in text
    assert "a.rejects.jsonl" in text


def with_outcomes(*cells: Cell) -> list[PartitionStatus]:
    return [a_status(post_outcomes=(Period(2_000_000, cells),))]


def test_frequent_outcome_has_its_cause_and_one_remedy() -> None:
    before = with_outcomes(Cell("file", "on_time", 20, 900), Cell("rss", "unread", 20, 5))
    after = with_outcomes(
        Cell("file", "on_time", 20, 910), Cell("file", "unread", 20, 90), Cell("rss", "unread", 20, 500)
    )
    result = WorkerResult(10, unread=90)
    why = causes(result, 100, before, after, source="file")
    assert list(why) == ["unread"]
    (sentence,) = why["unread"]
    assert sentence.startswith(
        "90 % of the posts from 'file' in this run are in a language that the model does not support"
    )
    lines = worker_result_lines(WorkerResult(10, unread=90, why=why), 100, {})
    assert lines == [lines[0], f"  {sentence}"]
    assert "BRANDPULSE_MODEL_LANGUAGES" not in lines[0]
    assert WorkerResult(10, unread=90, why=why).numbers()["problems"] == why
    assert causes(WorkerResult(60, unread=40), 100, before, after, source="file") == {}, "most posts were counted"
    assert next(iter(causes(result, 100, before, after, source=None)["unread"])).startswith("All posts from 'rss'")
