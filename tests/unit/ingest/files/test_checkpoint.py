"""Where a run begins after an earlier one."""

from dataclasses import replace
from pathlib import Path

import pytest

from brandpulse.errors import StateError
from ingest.files import checkpoint as checkpoints
from ingest.files.checkpoint import Checkpoint, FileIdentity, ResumePoint, resume_point
from ingest.files.reading.row import InputError

FILE = FileIdentity(size_bytes=10, modified_ns=1, head="abc")
LOW, HIGH = {0: 0, 1: 0}, {0: 50, 1: 60}
KILLED = Checkpoint(FILE, "file", start={0: 5, 1: 6}, next={0: 40, 1: 41}, confirmed=70)


def begin(known: Checkpoint | None, *, order: checkpoints.Order = "file", file: FileIdentity = FILE) -> ResumePoint:
    return resume_point(known, file=file, order=order, low=LOW, high=HIGH)


def test_the_first_run_begins_at_the_end_of_the_log() -> None:
    assert begin(None) == ResumePoint(confirmed=0, begin=HIGH, read_back=False)


def test_after_a_kill_the_log_behind_the_checkpoint_is_read_back() -> None:
    assert begin(KILLED) == ResumePoint(confirmed=70, begin={0: 40, 1: 41}, read_back=True)


def test_after_a_clean_stop_nothing_needs_reading() -> None:
    assert begin(replace(KILLED, clean=True)) == ResumePoint(confirmed=70, begin={0: 40, 1: 41}, read_back=False)


def test_in_another_order_the_count_is_worthless_and_all_of_the_run_is_read_back() -> None:
    expected = ResumePoint(confirmed=0, begin={0: 5, 1: 6}, read_back=True)
    assert begin(replace(KILLED, clean=True), order="time") == expected


def test_of_a_changed_file_all_that_was_sent_is_read_back() -> None:
    for known in (KILLED, replace(KILLED, clean=True, finished=True)):
        start = begin(known, file=replace(FILE, modified_ns=2))
        assert (start.confirmed, start.begin, start.read_back) == (0, {0: 5, 1: 6}, True)
        assert not start.nothing_left
        assert "changed" in (start.note or "")


def test_with_the_ledger_of_the_checkpoint_nothing_needs_reading_back() -> None:
    known = replace(KILLED, ledger="one")
    for file in (FILE, replace(FILE, modified_ns=2)):
        start = resume_point(known, file=file, order="time", low=LOW, high=HIGH, ledger="one")
        assert (start.confirmed, start.begin, start.read_back) == (0, HIGH, False)


def test_a_finished_file_is_read_back_once_redis_has_lost_its_state() -> None:
    known = replace(KILLED, ledger="one", clean=True, finished=True)
    assert resume_point(known, file=FILE, order="file", low=LOW, high=HIGH, ledger="one").nothing_left
    start = resume_point(known, file=FILE, order="file", low=LOW, high=HIGH, ledger="two")
    assert (start.confirmed, start.begin, start.read_back, start.nothing_left) == (0, {0: 5, 1: 6}, True, False)


def test_rows_rejected_for_their_times_are_left_to_a_run_that_sends_them() -> None:
    known = replace(KILLED, clean=True, finished=True, far="3:9")
    assert not begin(known).nothing_left
    assert resume_point(known, file=FILE, order="file", low=LOW, high=HIGH, far="3:9").nothing_left


def test_a_log_that_ends_before_what_was_sent_is_another_one() -> None:
    start = begin(replace(KILLED, next={0: 51, 1: 41}))
    assert (start.confirmed, start.begin) == (0, HIGH)
    assert "lost" in (start.note or "")


def test_what_retention_took_is_not_read() -> None:
    start = resume_point(KILLED, file=FILE, order="file", low={0: 45, 1: 0}, high=HIGH)
    assert start.begin == {0: 45, 1: 41}


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "ingest" / "x.json"
    assert checkpoints.load(path) is None
    checkpoints.save(path, KILLED)
    assert checkpoints.load(path) == KILLED


def test_a_damaged_checkpoint_stops_the_run_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"confirmed": "many"}')
    with pytest.raises(StateError, match=r"x\.json"):
        checkpoints.load(path)


def test_every_part_of_the_way_has_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    def path(
        file: str = "a.csv", topic_id: str = "T1", source: str = "s", text: str = "text", shifted: bool = False
    ) -> Path:
        return checkpoints.checkpoint_path(
            tmp_path,
            file=Path(file),
            topic="posts",
            topic_id=topic_id,
            namespace="main",
            source=source,
            mapping={"text": text},
            shifted=shifted,
        )

    others = [path(file="b.csv"), path(topic_id="T2"), path(source="z"), path(text="body"), path(shifted=True)]
    assert len({path(), *others}) == 6
    assert path() == path(file="./a.csv")


def test_one_file_is_sent_by_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with (
        checkpoints.locked(path),
        pytest.raises(InputError, match="another"),
        checkpoints.locked(path),
    ):
        pass
    with checkpoints.locked(path):
        pass


def test_a_file_is_another_one_when_its_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id\n1\n")
    before = FileIdentity.of(path)
    assert FileIdentity.of(path) == before
    path.write_text("id\n2\n")
    assert FileIdentity.of(path) != before
