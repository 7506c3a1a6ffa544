"""What every ledger of sent posts promises: the real one in Redis, and its twin in memory."""

from dataclasses import replace

import numpy as np
import pytest
import redis

from brandpulse.errors import StateError
from brandpulse.state.keys import LedgerKeys
from ingest.files.sent.ledger import UNKNOWN, Ledger, MemoryLedger, RedisLedger, Window


@pytest.fixture(params=["redis", "memory"])
def ledger(request: pytest.FixtureRequest, redis_client: redis.Redis, namespace: str) -> Ledger:
    if request.param == "redis":
        return RedisLedger(redis_client, namespace, "posts", posts=100)
    return MemoryLedger(posts=100)


def a_window(first: int, count: int, *, log: str = "log-1", run: str = "") -> Window:
    ids = np.arange(first, first + count, dtype=np.uint64)
    unknown = np.full(count, UNKNOWN)
    return Window(log, run, "test", {0: 7}, ids, ids + np.uint64(1_000), unknown.astype(np.int16), unknown)


def test_claimed_window_is_returned_unchanged(ledger: Ledger) -> None:
    assert ledger.read().version == 0
    assert ledger.claim(0, a_window(1, 3, run="r")) == 0
    assert ledger.claim(1, a_window(4, 2)) == 1
    contents = ledger.read()
    assert contents.version == 2
    first, second = map(Window.decode, contents.windows)
    assert (first.log, first.run, first.source, first.since) == ("log-1", "r", "test", {0: 7})
    assert first.ids.tolist() == [1, 2, 3]
    assert first.contents.tolist() == [1_001, 1_002, 1_003]
    assert first.unconfirmed.all()
    assert second.ids.tolist() == [4, 5]


def test_claim_fails_after_the_claim_of_another_run(ledger: Ledger) -> None:
    assert ledger.claim(0, a_window(1, 1)) == 0
    assert ledger.claim(0, a_window(2, 1)) is None
    news = ledger.read(0)
    assert (news.version, news.first, len(news.windows)) == (1, 0, 1)
    assert ledger.claim(news.version, a_window(2, 1)) == 1
    assert len(ledger.read(1).windows) == 1


def test_window_is_replaced_only_if_unchanged(ledger: Ledger) -> None:
    window = a_window(1, 2)
    ledger.claim(0, window)
    landed = replace(window, partitions=np.array([0, 1], np.int16), offsets=np.array([9, 8]))
    assert not ledger.settle(0, landed, before=b"another")
    assert ledger.settle(0, landed, before=window.encode())
    [stored] = ledger.read().windows
    assert Window.decode(stored).offsets.tolist() == [9, 8]
    assert not ledger.settle(5, landed)


def test_oldest_windows_are_dropped_and_counted(ledger: Ledger) -> None:
    for number in range(4):
        assert ledger.claim(number, a_window(100 * number, 40)) == number
    contents = ledger.read()
    assert (contents.version, contents.first, contents.posts_forgotten) == (4, 2, 80)
    assert not ledger.settle(0, a_window(0, 40)), "it is forgotten"
    assert ledger.settle(3, a_window(300, 0))
    assert ledger.claim(4, a_window(400, 40)) == 4
    assert ledger.read().first == 2, "a window that shrank makes room"


def test_run_lives_while_it_sends_heartbeats(ledger: Ledger) -> None:
    assert ledger.seconds_left("r") == 0
    ledger.heartbeat("r")
    assert ledger.seconds_left("r") > 0
    ledger.end_run("r")
    assert ledger.seconds_left("r") == 0


def test_ledger_that_lost_its_data_has_another_identity(redis_client: redis.Redis, namespace: str) -> None:
    ledger = RedisLedger(redis_client, namespace, "posts")
    before = ledger.identity()
    assert ledger.identity() == before
    redis_client.delete(LedgerKeys(namespace, "posts").about)
    assert ledger.identity() != before


@pytest.mark.parametrize("stored", [b"", b"0000000001{}\n", b'0000000001{"posts":1,"log":"x"}\nshort', b"rubbish"])
def test_damaged_window_error_names_it(stored: bytes) -> None:
    with pytest.raises(StateError, match="ledger of sent posts is damaged"):
        Window.decode(stored)
