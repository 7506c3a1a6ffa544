"""Where a run resumes after an earlier one."""

from dataclasses import replace
from pathlib import Path

import pytest

from brandpulse.errors import StateError
from ingest.files.checkpoint import (
    Checkpoint,
    FileIdentity,
    Order,
    ResumePoint,
    checkpoint_path,
    load_checkpoint,
    locked,
    resume_point,
    save_checkpoint,
)
from ingest.files.reading.row import InputError

FILE = FileIdentity(size_bytes=10, modified_ns=1, head="abc")
LOW, HIGH = {0: 0, 1: 0}, {0: 50, 1: 60}
KILLED = Checkpoint(FILE, "file", start={0: 5, 1: 6}, next={0: 40, 1: 41}, confirmed=70)


def begin(known: Checkpoint | None, *, order: Order = "file", file: FileIdentity = FILE) -> ResumePoint:
    return resume_point(known, file=file, order=order, low=LOW, high=HIGH)


def test_first_run_starts_at_the_end_of_the_log() -> None:
    assert begin(None) == ResumePoint(confirmed=0, begin=HIGH, read_back=False)


def test_after_a_kill_the_log_after_the_checkpoint_is_read_back() -> None:
    assert begin(KILLED) == ResumePoint(confirmed=70, begin={0: 40, 1: 41}, read_back=True)


def test_after_a_clean_stop_nothing_is_read_back() -> None:
    assert begin(replace(KILLED, clean=True)) == ResumePoint(confirmed=70, begin={0: 40, 1: 41}, read_back=False)


def test_other_order_reads_back_the_whole_run() -> None:
    expected = ResumePoint(confirmed=0, begin={0: 5, 1: 6}, read_back=True)
    assert begin(replace(KILLED, clean=True), order="time") == expected


def test_changed_file_reads_back_the_whole_run() -> None:
    for known in (KILLED, replace(KILLED, clean=True, finished=True)):
        start = begin(known, file=replace(FILE, modified_ns=2))
        assert (start.confirmed, start.begin, start.read_back) == (0, {0: 5, 1: 6}, True)
        assert not start.nothing_left
        assert "changed" in (start.note or "")


def test_same_ledger_reads_nothing_back() -> None:
    known = replace(KILLED, ledger="one")
    for file in (FILE, replace(FILE, modified_ns=2)):
        start = resume_point(known, file=file, order="time", low=LOW, high=HIGH, ledger="one")
        assert (start.confirmed, start.begin, start.read_back) == (0, HIGH, False)


def test_finished_file_is_read_back_after_redis_lost_its_state() -> None:
    known = replace(KILLED, ledger="one", clean=True, finished=True)
    assert resume_point(known, file=FILE, order="file", low=LOW, high=HIGH, ledger="one").nothing_left
    start = resume_point(known, file=FILE, order="file", low=LOW, high=HIGH, ledger="two")
    assert (start.confirmed, start.begin, start.read_back, start.nothing_left) == (0, {0: 5, 1: 6}, True, False)


def test_run_with_other_outlier_options_is_not_finished() -> None:
    known = replace(KILLED, clean=True, finished=True, far="3:9")
    assert not begin(known).nothing_left
    assert resume_point(known, file=FILE, order="file", low=LOW, high=HIGH, far="3:9").nothing_left


def test_log_that_ends_before_sent_posts_has_lost_them() -> None:
    start = begin(replace(KILLED, next={0: 51, 1: 41}))
    assert (start.confirmed, start.begin) == (0, HIGH)
    assert "lost" in (start.note or "")


def test_offsets_deleted_by_retention_are_not_read() -> None:
    start = resume_point(KILLED, file=FILE, order="file", low={0: 45, 1: 0}, high=HIGH)
    assert start.begin == {0: 45, 1: 41}


def test_saved_checkpoint_is_loaded_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "ingest" / "x.json"
    assert load_checkpoint(path) is None
    save_checkpoint(path, KILLED)
    assert load_checkpoint(path) == KILLED


def test_damaged_checkpoint_raises_an_error_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"confirmed": "many"}')
    with pytest.raises(StateError, match=r"x\.json"):
        load_checkpoint(path)


def test_each_file_topic_source_and_map_has_its_own_checkpoint(tmp_path: Path) -> None:
    def path(
        file: str = "a.csv", topic_id: str = "T1", source: str = "s", text: str = "text", shifted: bool = False
    ) -> Path:
        return checkpoint_path(
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


def test_file_is_sent_by_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with (
        locked(path),
        pytest.raises(InputError, match="another"),
        locked(path),
    ):
        pass
    with locked(path):
        pass


def test_file_identity_changes_with_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id\n1\n")
    before = FileIdentity.of(path)
    assert FileIdentity.of(path) == before
    path.write_text("id\n2\n")
    assert FileIdentity.of(path) != before
