"""The last lines of `ingest file`."""

from brandpulse.state.outcomes.post_outcomes import Cell, Period
from brandpulse.state.partition_state import PartitionStatus
from ingest.files.send_report import Fate, causes, fate, fate_lines, row_lines
from tests.support.builders import a_status


def test_a_fate_is_what_the_counters_moved_by() -> None:
    before = [a_status(5, late=1, dead=2, repeated=3, unmatched=4), a_status(0, partition=1, unread=7)]
    after = [a_status(15, late=4, dead=4, repeated=4, unmatched=5), a_status(9, partition=1, dead=1, unread=9)]
    told = fate(20, before, after, {"too_old": 3})
    assert (told.counted, told.late, told.dead, told.repeated, told.unmatched) == (13, 3, 3, 1, 1)
    assert (told.on_time, told.unread) == (10, 2)
    assert told.on_time + told.late + told.dead + told.repeated + told.unmatched + told.unread == 20
    assert not told.all_well(20)


def test_all_is_well_unless_posts_are_dead_or_all_unmatched() -> None:
    assert Fate(9, late=9, repeated=1).all_well(10)
    assert Fate(9, unmatched=1).all_well(10)
    assert not Fate(0, unmatched=10).all_well(10)
    assert not Fate(0, unmatched=4, unread=6).all_well(10)
    assert Fate(1, unread=9).all_well(10)
    assert not Fate(9, dead=1).all_well(10)
    assert Fate(0).all_well(0)


def test_each_number_that_is_not_zero_has_its_cause_and_remedy() -> None:
    assert fate_lines(Fate(10), 10, {}) == []
    told = Fate(1, late=2, dead=3, repeated=4, unmatched=5, reasons={"too_old": 3})
    text = "\n".join(fate_lines(told, 15, {"too_old": "A namespace of its own."}))
    for said in ("dead: 3 posts", "dlq list", "3 too_old. A namespace of its own.", "unmatched: 5 posts"):
        assert said in text
    assert "repeated: 4 posts" in text
    assert "late: 2 posts" in text
    assert "unread: 1 post. " in fate_lines(Fate(9, unread=1), 10, {})[0]
    assert "none of the posts names a brand" in fate_lines(Fate(0, unmatched=5), 5, {})[0]


def test_rows_that_were_not_sent_are_told_by_cause() -> None:
    nothing = {"in_file": 0, "sent_before": 0, "changed": 0, "elsewhere": 0, "rejected": 0}
    assert row_lines(**nothing, rejects="r") == []
    text = "\n".join(
        row_lines(
            in_file=1,
            sent_before=20,
            changed=3,
            elsewhere=4,
            rejected=5,
            rejects="a.rejects.jsonl",
        )
    )
    for said in (
        "repeated in the file: 1 row.",
        "sent before: 20 posts",
        "3 of them with another text",
        "4 of them under",
    ):
        assert said in text
    assert "rejected: 5 rows" in text
    assert "a.rejects.jsonl" in text


def with_fates(*cells: Cell) -> list[PartitionStatus]:
    return [a_status(fates=(Period(2_000_000, cells),))]


def test_a_fate_that_most_posts_met_has_its_cause_and_one_remedy() -> None:
    before = with_fates(Cell("file", "on_time", 20, 900), Cell("rss", "unread", 20, 5))
    after = with_fates(Cell("file", "on_time", 20, 910), Cell("file", "unread", 20, 90), Cell("rss", "unread", 20, 500))
    told = Fate(10, unread=90)
    why = causes(told, 100, before, after, source="file")
    assert list(why) == ["unread"]
    (sentence,) = why["unread"]
    assert sentence.startswith(
        "90 % of the posts from 'file' in this run are in a language that the model does not support"
    )
    lines = fate_lines(Fate(10, unread=90, why=why), 100, {})
    assert lines == [lines[0], f"  {sentence}"]
    assert "BRANDPULSE_WORKER_WEIGHTS" not in lines[0]
    assert Fate(10, unread=90, why=why).numbers()["problems"] == why
    assert causes(Fate(60, unread=40), 100, before, after, source="file") == {}, "most posts were counted"
    assert next(iter(causes(told, 100, before, after, source=None)["unread"])).startswith("All posts from 'rss'")
