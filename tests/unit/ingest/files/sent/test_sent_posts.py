"""Posts of earlier runs, compared with the current logs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from brandpulse.errors import TransientError
from brandpulse.state.applied_logs import AppliedLogs, LeftLog, applied_logs
from ingest.files.reading.row import Row
from ingest.files.reading.row_mapping import OutgoingPost, PostMaker
from ingest.files.sent.ledger import UNKNOWN, MemoryLedger, Window
from ingest.files.sent.sent_posts import PostDigester, SentPosts, SentStatus, recover
from ingest.topic_reader import LogEnds, TopicPost
from ingest.worker_states import remembered_since_ms
from tests.support.builders import a_status

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
ENDS = LogEnds({0: 0, 1: 0}, {0: 10, 1: 10})


def a_post(post_id: str = "1", text: str = "acme is fine", source: str = "s", hours: float = 0) -> OutgoingPost:
    at = (BEGIN + timedelta(hours=hours)).isoformat()
    made = PostMaker(("id", "text", "created_at", "author_id"), source=source).make(Row(1, [post_id, text, at, "ann"]))
    assert isinstance(made, OutgoingPost)
    return made


def digests(*posts: OutgoingPost) -> tuple[np.ndarray, np.ndarray]:
    return PostDigester(shifted=False).digests(posts)


def a_window(
    posts: Sequence[OutgoingPost], places: Sequence[tuple[int, int]] | None = None, *, log: str = "now", run: str = ""
) -> Window:
    ids, contents = digests(*posts)
    at = places or [(UNKNOWN, UNKNOWN)] * len(posts)
    partitions, offsets = np.array([p for p, _ in at], np.int16), np.array([o for _, o in at], np.int64)
    return Window(log, run, "s", {0: 5, 1: 5}, ids, contents, partitions, offsets)


class FakeLog:
    """A topic with some posts."""

    def __init__(self, *landed: TopicPost) -> None:
        self._landed = landed

    def posts_between(self, begin: Mapping[int, int], end: Mapping[int, int]) -> Iterator[TopicPost]:
        return iter([one for one in self._landed if begin[one.partition] <= one.offset < end[one.partition]])


class Bench:
    def __init__(self, *windows: Window) -> None:
        self.ledger = MemoryLedger()
        for number, window in enumerate(windows):
            assert self.ledger.claim(number, window) == number
        self.applied: list[AppliedLogs] = [AppliedLogs()]
        self.waited = 0.0

    def recover(self, log: FakeLog | None = None, ends: LogEnds = ENDS) -> SentPosts:
        def applied(partitions: Iterable[int]) -> AppliedLogs:
            assert set(partitions) == {0, 1}
            return self.applied[0] if len(self.applied) == 1 else self.applied.pop(0)

        def sleep(seconds: float) -> None:
            self.waited += seconds

        return recover(self.ledger, log="now", ends=ends, applied=applied, reader=log or FakeLog(), sleep=sleep)

    def seen(self, *posts: OutgoingPost, log: FakeLog | None = None, ends: LogEnds = ENDS) -> list[SentStatus]:
        sent = self.recover(log, ends)
        found = [SentStatus(code) for code in sent.lookup(*digests(*posts))]
        again = [SentStatus(code) for code in self.recover().lookup(*digests(*posts))]
        assert again == found, "the ledger was put right, so the next run finds the same"
        return found


def left(log: str, *offsets: int, now: str = "now") -> AppliedLogs:
    """Partitions that have applied *log* up to some offset and now read another log."""
    return applied_logs(
        (a_status(0, partition=partition, topic_id=now), [LeftLog(log, offset)] if offset else [])
        for partition, offset in enumerate(offsets)
    )


ONE, TWO, THREE = a_post("1"), a_post("2"), a_post("3")


def test_post_is_identified_by_source_and_id_or_by_content() -> None:
    bench = Bench(a_window([ONE], [(0, 0)]))
    others = [ONE, a_post("1", text="edited"), a_post("1", source="copy"), a_post("1", text="b", source="copy"), TWO]
    assert bench.seen(*others) == [
        SentStatus.SENT,
        SentStatus.CHANGED,
        SentStatus.OTHER_SOURCE,
        SentStatus.NEW,
        SentStatus.NEW,
    ]


def test_posts_with_own_sources_differ_by_source() -> None:
    one, two = a_post(source="one"), a_post(source="two")
    sent = SentPosts()
    sent.add_sent(replace(a_window([one]), source=""))
    assert [SentStatus(code) for code in sent.lookup(*digests(one, two), own_sources=True)] == [
        SentStatus.SENT,
        SentStatus.NEW,
    ]
    assert SentStatus(sent.lookup(*digests(two))[0]) == SentStatus.OTHER_SOURCE, "its source is that of a whole file"
    sent.add_sent(a_window([one]))
    assert SentStatus(sent.lookup(*digests(two), own_sources=True)[0]) == SentStatus.OTHER_SOURCE


def test_digests_of_many_sources_equal_single_digests() -> None:
    posts = [a_post("1"), a_post("1", source='q"ü'), a_post("2", source="x")]
    together, apart = digests(*posts), [digests(post) for post in posts]
    assert together[0].tolist() == [int(ids[0]) for ids, _ in apart]
    assert together[1].tolist() == [int(contents[0]) for _, contents in apart]
    assert [int(together[0][n]) for n in (0, 1)] == [
        PostDigester.stored_digests("s", "1")[0],
        PostDigester.stored_digests('q"ü', "1")[0],
    ]
    shifted, _ = PostDigester(shifted=True).digests(posts)
    assert int(shifted[0]) == PostDigester.stored_digests("s", "1")[1]


def test_only_applied_posts_of_a_deleted_log_are_sent() -> None:
    bench = Bench(a_window([ONE, TWO, THREE], [(0, 4), (0, 5), (1, 0)], log="old"))
    bench.applied = [left("old", 5, 0)]
    assert bench.seen(ONE, TWO, THREE) == [SentStatus.SENT, SentStatus.NEW, SentStatus.NEW]
    [stored] = bench.ledger.read().windows
    assert (len(Window.decode(stored)), Window.decode(stored).log) == (1, ""), "it is settled for good"


def test_without_state_no_post_of_a_deleted_log_is_sent() -> None:
    assert Bench(a_window([ONE], [(0, 4)], log="old")).seen(ONE) == [SentStatus.NEW]


def test_uncounted_posts_wait_until_workers_leave_the_log() -> None:
    bench = Bench(a_window([ONE, TWO], [(0, 4), (0, 5)], log="old"))
    reading = applied_logs([(a_status(5, topic_id="old"), [])])
    bench.applied = [reading, reading, left("old", 6, 0)]
    assert bench.seen(ONE, TWO) == [SentStatus.SENT, SentStatus.SENT]
    assert bench.waited == 1.0


def test_workers_that_never_leave_the_log_raise_an_error() -> None:
    bench = Bench(a_window([ONE], [(0, 5)], log="old"))
    bench.applied = [applied_logs([(a_status(5, topic_id="old"), [])])]
    with pytest.raises(TransientError, match="Start a worker"):
        bench.recover()


def test_fully_counted_log_needs_no_waiting() -> None:
    bench = Bench(a_window([ONE], [(0, 4)], log="old"))
    bench.applied = [applied_logs([(a_status(5, topic_id="old"), [])])]
    assert bench.seen(ONE) == [SentStatus.SENT]
    assert bench.waited == 0


def test_posts_after_the_end_of_the_log_are_new_unless_counted() -> None:
    bench = Bench(a_window([ONE, TWO, THREE], [(0, 3), (0, 10), (1, 12)]))
    bench.applied = [applied_logs([(a_status(0, topic_id="now"), []), (a_status(13, partition=1, topic_id="now"), [])])]
    assert bench.seen(ONE, TWO, THREE) == [SentStatus.SENT, SentStatus.NEW, SentStatus.SENT]


def test_posts_of_a_killed_run_are_searched_in_the_topic() -> None:
    bench = Bench(a_window([ONE, TWO, THREE], run="killed"))
    log = FakeLog(TopicPost(0, 6, "2", "s"), TopicPost(1, 7, "3", "other"), TopicPost(0, 7, "x", "s"))
    assert bench.seen(ONE, TWO, THREE, log=log) == [SentStatus.NEW, SentStatus.SENT, SentStatus.NEW]


def test_posts_of_a_live_run_are_left_to_it() -> None:
    bench = Bench(a_window([ONE], run="alive"))
    bench.ledger.heartbeat("alive")
    assert bench.seen(ONE, TWO) == [SentStatus.SENT, SentStatus.NEW]


def test_posts_of_a_killed_run_in_a_deleted_log_are_uncertain() -> None:
    bench = Bench(a_window([ONE, TWO], [(0, 5), (UNKNOWN, UNKNOWN)], log="old", run="killed"))
    bench.applied = [left("old", 6, 6)]
    assert bench.seen(ONE, TWO) == [SentStatus.SENT, SentStatus.UNCERTAIN]


def test_posts_of_a_killed_run_are_new_if_none_was_applied() -> None:
    bench = Bench(a_window([ONE], log="old", run="killed"))
    bench.applied = [left("old", 5, 4)]
    assert bench.seen(ONE) == [SentStatus.NEW]


def test_posts_sent_to_a_recreated_log_are_found_there() -> None:
    bench = Bench(
        a_window([ONE, TWO, THREE], [(0, 4), (UNKNOWN, UNKNOWN), (UNKNOWN, UNKNOWN)], log="old", run="killed")
    )
    bench.applied = [left("old", 6, 5)]
    log = FakeLog(TopicPost(1, 0, "2", "s"))
    assert bench.seen(ONE, TWO, THREE, log=log) == [SentStatus.SENT, SentStatus.SENT, SentStatus.UNCERTAIN]


def test_remembered_since_is_the_start_of_the_oldest_generation() -> None:
    from brandpulse.state.partition_state import NO_CLOCK, Generation

    first, later = (Generation(0, 100, 5),), (Generation(3, 700, 5), Generation(4, 900, 5))
    assert remembered_since_ms([a_status(generations=first), a_status()]) == NO_CLOCK
    assert remembered_since_ms([a_status(generations=first), a_status(generations=later)]) == 700


def test_window_settled_by_another_run_is_not_replaced() -> None:
    window = a_window([ONE], run="mine")
    bench = Bench(window)
    bench.recover()
    assert not bench.ledger.settle(0, replace(window, run=""), before=window.encode())
