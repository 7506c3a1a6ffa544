import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from brandpulse.errors import StateError, TransientError
from brandpulse.state.author_sketches import AuthorCounts, Authors, count_authors
from brandpulse.state.keys import NamespaceKeys, PartitionKeys
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import Generation, PartitionStatus, encode_generations

COUNTS = st.integers(0, 2**40)
PANES = st.builds(Pane, COUNTS, COUNTS, COUNTS, st.integers(-(2**60), 2**60), COUNTS)


@given(PANES, PANES)
def test_panes_add_up_and_survive_storage(one: Pane, other: Pane) -> None:
    assert Pane.decode((one + other).encode()) == other + one
    assert (one + other).posts == one.posts + other.posts
    assert one.posts == one.negative + one.neutral + one.positive + one.irrelevant


@pytest.mark.parametrize("stored", [b"", b"1,2,3", b"1,2,3,x", b"1,2,3,4,5,6", b"1,2,3,4,"])
def test_invalid_pane_raises_state_error(stored: bytes) -> None:
    with pytest.raises(StateError):
        Pane.decode(stored)


def test_pane_without_irrelevant_count_is_decoded() -> None:
    assert Pane.decode(b"1,2,3,-4") == Pane(negative=1, neutral=2, positive=3, score_micros=-4, irrelevant=0)


def test_irrelevant_posts_count_as_posts_but_in_no_share() -> None:
    pane = Pane(negative=1, neutral=2, positive=1, score_micros=1_000_000, irrelevant=6)
    assert (pane.posts, pane.relevant, pane.negative_share, pane.mean_score) == (10, 4, 0.25, 0.25)


@pytest.mark.parametrize("pane", [Pane(), Pane(irrelevant=5)])
def test_shares_of_nothing_are_zero(pane: Pane) -> None:
    assert (pane.negative_share, pane.mean_score) == (0.0, 0.0)


def some_authors(numbers: range, negative: range = range(0)) -> Authors:
    authors = Authors()
    for number in numbers:
        authors.add(number * 7_919, negative=number in negative)
    return authors


def test_few_authors_are_counted_exactly_across_minutes() -> None:
    sketches = [Authors.decode(some_authors(range(n, n + 20), range(n, n + 5)).encode()) for n in range(0, 60, 10)]
    assert count_authors(sketches) == AuthorCounts(everyone=70, negative=30)


def test_many_authors_are_counted_within_five_percent() -> None:
    counts = count_authors([some_authors(range(20_000))])
    assert abs(counts.everyone - 20_000) < 1_000


def test_a_sketch_stays_small() -> None:
    assert len(some_authors(range(20_000), range(20_000)).encode()) < 2_200


def test_damaged_sketches_raise_state_error() -> None:
    with pytest.raises(StateError):
        Authors.decode(b"\x00\x05junk!")


def test_partition_state_survives_storage() -> None:
    stored = {
        b"next": b"7",
        b"topic_id": b"abc",
        b"clock_ms": b"100",
        b"generations": encode_generations((Generation(1, 50, 3), Generation(2, 60, 1))).encode(),
    }
    status = PartitionStatus.decode("posts", 2, stored)
    assert status.generations == (Generation(1, 50, 3), Generation(2, 60, 1))
    with pytest.raises(StateError, match="next"):
        PartitionStatus.decode("posts", 2, {b"next": b"seven"})


def fill(client: redis.Redis, namespace: str) -> None:
    hour = 500_000
    for partition in (0, 1):
        keys = PartitionKeys(namespace, "posts", partition)
        client.hset(keys.state, mapping={"next": partition + 1, "topic_id": "x"})
        client.hset(keys.minute_panes("A: b", hour), "59", Pane(1, 2, 3, 4).encode())
        client.hset(keys.minute_panes("A: b", hour + 1), "0", Pane(1, 0, 0, -4).encode())
        client.hset(keys.minute_authors("A: b", hour), "59", some_authors(range(partition, partition + 3)).encode())
        day_key = keys.hour_panes("A: b", hour // 24)
        client.hset(day_key, str(hour % 24), Pane(2, 2, 3, 0).encode())
        client.zadd(keys.index, {day_key: 1, keys.minute_panes("A: b", hour): 1})
        client.sadd(NamespaceKeys(namespace).partitions, f"posts:{partition}")
    client.sadd(NamespaceKeys(namespace).brands, "A: b")


def test_readers_merge_the_partitions(redis_client: redis.Redis, namespace: str) -> None:
    fill(redis_client, namespace)
    reader = PaneReader(redis_client, namespace)
    minute = 500_000 * 60 + 59
    assert reader.brands() == ["A: b"]
    assert [status.next for status in reader.partitions()] == [1, 2]
    minutes = reader.minutes(["A: b"], minute, minute + 1, authors=True)["A: b"]
    assert minutes.panes == {minute: Pane(2, 4, 6, 8), minute + 1: Pane(2, 0, 0, -8)}
    assert minutes.total(minute, minute + 1) == Pane(4, 4, 6, 0)
    assert minutes.count_authors(minute, minute).everyone == 4
    assert reader.minutes(["A: b"], minute, minute)["A: b"].panes.keys() == {minute}
    assert reader.totals() == {"A: b": Pane(4, 4, 6, 0)}
    assert reader.hours(["A: b"], 500_000, 500_000) == {"A: b": {500_000: Pane(4, 4, 6, 0)}}


def test_unreachable_store_raises_transient_error() -> None:
    client = redis.Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=0.2, retry=None)
    with pytest.raises(TransientError):
        PaneReader(client, "x").brands()
