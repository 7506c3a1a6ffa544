"""The contract of partition stores, on Valkey and in memory."""

import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import redis
from redis.crc import key_slot

from brandpulse.config.facets import Facet
from brandpulse.devstack.embedded_servers import EmbeddedStore
from brandpulse.errors import StateError, TransientError
from brandpulse.state.applied_logs import LeftLog
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS, AlertingKeys, NamespaceKeys, PartitionKeys, facet_series
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.panes import Pane
from brandpulse.state.partition_state import PartitionStatus
from brandpulse.state.stored_posts import MOST_NEGATIVE, SAMPLE_DAYS, SampledPost
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.post_sample import SAMPLE_SIZE
from stream_workers.aggregation.row_fold import fold_rows, plan_rows
from stream_workers.aggregation.seen_id_filter import IdLookup
from stream_workers.aggregation.types import Cell, Change, Outcome, Scored, Stored, Unmatched
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.state_store.memory_store import MemoryPartitionStore
from stream_workers.state_store.partition_store import Applied, Failed, PartitionStore, ReadRequest, Refused
from stream_workers.state_store.redis_store import RedisPartitionStore
from tests.support.builders import NOON_MS, a_scored, a_status

RETENTION = Retention(lateness_ms=2 * MINUTE_MS, minutes_ms=48 * HOUR_MS, hours_ms=90 * DAY_MS)
LIMITS = DedupLimits(memory_ms=6 * HOUR_MS, max_ids=1_000_000)
NOON = Cell("hour", "Acme", NOON_MS // HOUR_MS)


@pytest.fixture(params=["redis", "memory"])
def store(request: pytest.FixtureRequest, redis_client: redis.Redis, namespace: str) -> PartitionStore:
    return (
        RedisPartitionStore(redis_client, namespace, RETENTION) if request.param == "redis" else MemoryPartitionStore()
    )


def begun(store: PartitionStore, **changes: object) -> PartitionStatus:
    status = a_status(**changes)  # type: ignore[arg-type]
    assert store.rebase(None, status)
    return status


def change_of(store: PartitionStore, status: PartitionStatus, outcomes: list[Outcome], to: int | None = None) -> Change:
    digests, cells = plan_rows(outcomes)
    [stored] = store.read([ReadRequest(status, digests, cells)])
    return fold_rows(status, outcomes, to or status.next + len(outcomes), stored, retention=RETENTION, limits=LIMITS)


def pane_at(store: PartitionStore, status: PartitionStatus, cell: Cell) -> Pane | None:
    [stored] = store.read([ReadRequest(status, [], [cell])])
    return stored.panes.get(cell)


def test_a_partition_without_state_loads_as_none(store: PartitionStore) -> None:
    assert store.load("posts", 0) is None


def test_applied_status_is_loaded(store: PartitionStore) -> None:
    status = begun(store)
    change = change_of(store, status, [a_scored("1", "negative"), a_scored("2", offset=1)])
    assert store.apply([change]) == [Applied()]
    loaded = store.load("posts", 0)
    assert loaded is not None
    assert (loaded.next, loaded.clock_ms, loaded.generations) == (2, NOON_MS, change.status.generations)
    assert pane_at(store, loaded, NOON) == Pane(negative=1, neutral=1, score_micros=-750_000)


def test_outcomes_by_source_are_loaded(store: PartitionStore) -> None:
    status = begun(store)
    unread = Unmatched(a_scored("3", source="rss", offset=2).decoded, unread=True)
    posts: list[Outcome] = [
        a_scored("1", author_id="[deleted]"),
        a_scored("2", source="rss", offset=1, key=None),
        unread,
    ]
    digests, cells = plan_rows(posts)
    [stored] = store.read([ReadRequest(status, digests, cells)])
    near = {"#AcmeAir for acme air": 2}
    change = fold_rows(status, posts, 3, stored, retention=RETENTION, limits=LIMITS, near_misses=near)
    assert store.apply([change]) == [Applied()]
    loaded = store.load("posts", 0)
    assert loaded is not None
    [period] = loaded.post_outcomes
    assert {(cell.source, cell.outcome, cell.posts) for cell in period.cells} == {
        ("test", "on_time", 1),
        ("test", "+unknown_author", 1),
        ("rss", "on_time", 1),
        ("rss", "+no_key", 1),
        ("rss", "unread", 1),
    }
    assert loaded.post_outcomes == change.status.post_outcomes
    assert (loaded.unread, loaded.keyless, loaded.near_misses) == (1, 1, (("#AcmeAir for acme air", 2),))


def test_posts_by_language_are_loaded(store: PartitionStore) -> None:
    status = begun(store)
    german = msgspec.structs.replace(a_scored("1"), language="de")
    unread = Unmatched(a_scored("2", offset=1).decoded, unread=True, brands=("Acme", "Bolt"))
    digests, cells = plan_rows([german, unread])
    [stored] = store.read([ReadRequest(status, digests, cells)])
    change = fold_rows(status, [german, unread], 2, stored, retention=RETENTION, limits=LIMITS)
    assert store.apply([change]) == [Applied()]
    loaded = store.load("posts", 0)
    assert loaded is not None
    [brand] = [score.brand for score in german.brands]
    assert dict(loaded.languages)["Bolt"] == (("other", 1),)
    assert dict(dict(loaded.languages)[brand])["de"] == 1
    assert loaded.languages == change.status.languages


def test_repeated_batch_is_refused_and_changes_nothing(store: PartitionStore) -> None:
    status = begun(store)
    change = change_of(store, status, [a_scored("1"), a_scored("2", offset=1)])
    assert store.apply([change]) == [Applied()]
    assert store.apply([change]) == [Refused(2)]
    assert pane_at(store, change.status, NOON) == Pane(neutral=2)


def test_longer_batch_of_a_former_owner_is_refused(store: PartitionStore) -> None:
    status = begun(store)
    zombies = change_of(store, status, [a_scored(str(i), offset=i) for i in range(5)])
    owners = change_of(store, status, [a_scored(str(i), offset=i) for i in range(3)])
    assert store.apply([owners]) == [Applied()]
    assert store.apply([zombies]) == [Refused(3)]
    assert pane_at(store, owners.status, NOON) == Pane(neutral=3)


def test_batch_beyond_next_is_refused(store: PartitionStore) -> None:
    """The store lost its last writes, and the worker kept its assignment. A prototype lost 512 posts that way."""
    status = begun(store)
    ahead = change_of(store, replace(status, next=100), [a_scored("9", offset=100)])
    assert store.apply([ahead]) == [Refused(0)]
    assert pane_at(store, status, NOON) is None


def test_batch_of_another_log_is_refused(store: PartitionStore) -> None:
    status = begun(store)
    other = change_of(store, replace(status, topic_id="log-2"), [a_scored("1")])
    assert store.apply([other]) == [Refused(0)]


def test_batch_without_state_is_refused(store: PartitionStore) -> None:
    assert store.apply([change_of(store, a_status(), [a_scored("1")])]) == [Refused(-1)]


def test_duplicates_are_found_in_later_batches(store: PartitionStore) -> None:
    status = begun(store)
    first = change_of(store, status, [a_scored("1"), a_scored("2", offset=1)])
    store.apply([first])
    second = change_of(store, first.status, [a_scored("2", offset=2), a_scored("3", offset=3)])
    assert store.apply([second]) == [Applied()]
    assert second.status.repeated == 1
    assert pane_at(store, second.status, NOON) == Pane(neutral=3)


def test_partitions_are_applied_independently(store: PartitionStore) -> None:
    statuses = [begun(store, partition=partition) for partition in range(3)]
    changes = [change_of(store, status, [a_scored(f"{n}")]) for n, status in enumerate(statuses)]
    store.apply([changes[1]])
    assert store.apply(changes) == [Applied(), Refused(1), Applied()]


def test_rebase_requires_the_state_that_was_read(store: PartitionStore) -> None:
    status = begun(store)
    moved = replace(status, next=50, topic_id="log-2")
    assert not store.rebase(None, moved)
    assert not store.rebase(replace(status, next=1), moved)
    assert store.rebase(status, moved)
    loaded = store.load("posts", 0)
    assert loaded is not None
    assert (loaded.next, loaded.topic_id) == (50, "log-2")


def test_rebase_revokes_what_an_operator_allowed(store: PartitionStore) -> None:
    status = begun(store, allowed_until=500, paused="why")
    assert store.rebase(status, replace(status, topic_id="log-2", allowed_until=0, paused=""))
    loaded = store.load("posts", 0)
    assert loaded is not None
    assert (loaded.allowed_until, loaded.paused) == (0, "")


def test_partition_that_leaves_a_log_records_its_offset(store: PartitionStore) -> None:
    status = begun(store, next_offset=5)
    assert store.left_logs("posts", 0) == []
    moved = replace(status, next=0, topic_id="log-2")
    assert not store.rebase(replace(status, next=4), moved)
    assert store.left_logs("posts", 0) == []
    assert store.rebase(status, moved)
    assert store.rebase(moved, replace(moved, topic_id="log-3"))
    assert store.left_logs("posts", 0) == [LeftLog("log-1", 5)], "nothing of log-2 was applied"


def test_partition_that_moves_back_records_its_offset(store: PartitionStore) -> None:
    status = begun(store, next_offset=50)
    forward = replace(status, next=60)
    assert store.rebase(status, forward)
    assert store.rebase(forward, replace(forward, next=20))
    assert store.left_logs("posts", 0) == [LeftLog("log-1", 60)]


def test_heartbeat_requires_the_stored_offset(store: PartitionStore) -> None:
    status = begun(store, next_offset=5)
    assert store.touch(replace(status, owner="me", seen_wall_ms=123, caught_up=True, lag=4))
    assert not store.touch(replace(status, next=4, owner="zombie"))
    loaded = store.load("posts", 0)
    assert loaded is not None
    assert (loaded.owner, loaded.seen_wall_ms, loaded.caught_up, loaded.lag) == ("me", 123, True, 4)


def test_batch_without_records_advances_next(store: PartitionStore) -> None:
    status = begun(store)
    assert store.apply([change_of(store, status, [], to=17)]) == [Applied()]
    loaded = store.load("posts", 0)
    assert loaded is not None
    assert loaded.next == 17


def test_namespace_origins_are_stored_once_for_all_partitions(store: PartitionStore) -> None:
    assert store.origins("log-1") is None
    assert store.set_origins("log-1", [5, 0, 7]) == (5, 0, 7)
    assert store.set_origins("log-1", [9, 9, 9]) == (5, 0, 7)
    assert (store.origins("log-1"), store.origins("log-2")) == ((5, 0, 7), None)


# -- only on the real store --------------------------------------------------------------------------------------------


@pytest.fixture
def real(redis_client: redis.Redis, namespace: str) -> RedisPartitionStore:
    return RedisPartitionStore(redis_client, namespace, RETENTION)


def test_key_of_another_type_fails_before_the_first_write(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(real)
    keys = PartitionKeys(namespace, "posts", 0)
    change = change_of(real, status, [a_scored("1", "negative")])
    redis_client.set(keys.negatives("Acme"), "another type")
    before = {key: redis_client.dump(key) for key in redis_client.scan_iter(f"{keys.tag}*")}
    [outcome] = real.apply([change])
    assert isinstance(outcome, Failed)
    assert keys.negatives("Acme") in str(outcome.error)
    assert {key: redis_client.dump(key) for key in redis_client.scan_iter(f"{keys.tag}*")} == before


def test_damaged_state_error_names_the_key(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    redis_client.set(PartitionKeys(namespace, "posts", 0).state, "no hash")
    with pytest.raises(StateError, match="state"):
        real.load("posts", 0)


def test_scripts_unknown_to_the_server_are_loaded_again(real: RedisPartitionStore, redis_client: redis.Redis) -> None:
    status = begun(real)
    redis_client.script_flush()
    assert real.apply([change_of(real, status, [a_scored("1")])]) == [Applied()]


def test_full_store_is_a_transient_error(tmp_path: Path, namespace: str) -> None:
    server = EmbeddedStore(tmp_path)
    try:
        client = redis.Redis.from_url(server.url)
        full = RedisPartitionStore(client, namespace, RETENTION)
        status = begun(full)
        change = change_of(full, status, [a_scored("1")])
        client.config_set("maxmemory", "1mb")
        for call in (lambda: full.apply([change]), lambda: full.touch(status), lambda: full.rebase(status, status)):
            with pytest.raises(TransientError, match="Redis is full"):
                call()
        client.config_set("maxmemory", "0")
        assert full.apply([change]) == [Applied()]
    finally:
        server.stop()


def test_brands_lost_by_the_store_are_stored_again(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(real)
    change = change_of(real, status, [a_scored("1")])
    assert real.apply([change]) == [Applied()]
    redis_client.delete(NamespaceKeys(namespace).brands, PartitionKeys(namespace, "posts", 0).state)
    assert real.apply([change]) == [Refused(-1)]
    begun(real)
    assert real.apply([change]) == [Applied()]
    assert PaneReader(redis_client, namespace).brands() == ["Acme"]


REFUND = FacetMatcher([Facet(name="refund", words=["refund"])], heads=())


def test_facet_panes_are_written_with_those_of_the_brand(store: PartitionStore) -> None:
    status = begun(store)
    posts: list[Outcome] = [a_scored("1", "negative", facets=REFUND, worded={0}), a_scored("2", offset=1)]
    inside = Cell("hour", facet_series("Acme", "refund"), NOON.bucket)
    change = change_of(store, status, posts)
    assert store.apply([change]) == [Applied()]
    assert store.apply([change]) == [Refused(2)]
    assert pane_at(store, change.status, inside) == Pane(negative=1, score_micros=-750_000)
    assert pane_at(store, change.status, NOON) == Pane(negative=1, neutral=1, score_micros=-750_000)
    again = change_of(
        store,
        change.status,
        [a_scored("1", facets=REFUND, worded={0}, offset=2), a_scored("3", facets=REFUND, worded={0}, offset=3)],
    )
    assert store.apply([again]) == [Applied()]
    assert pane_at(store, again.status, inside) == Pane(negative=1, neutral=1, score_micros=-750_000)


def test_reader_does_not_list_a_facet_series_as_a_brand(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(real)
    assert real.apply([change_of(real, status, [a_scored("1", facets=REFUND, worded={0})])]) == [Applied()]
    reader = PaneReader(redis_client, namespace)
    assert reader.brands() == ["Acme"]
    assert reader.totals() == {"Acme": Pane(neutral=1)}
    assert [post.id for post in reader.negatives(facet_series("Acme", "refund"))] == ["1"]


def test_every_key_of_a_partition_is_in_one_slot(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(real)
    real.apply([change_of(real, status, [a_scored("1", "negative", brands=("Acme", "A}{b"))])])
    keys = [key for key in redis_client.scan_iter(f"*{namespace}:*") if not re.search(b"alerting|erasure", key)]
    assert len(keys) > 8
    assert len({key_slot(key) for key in keys}) == 1


def test_expired_minutes_are_dropped_after_their_evaluation(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(real)
    keys = PartitionKeys(namespace, "posts", 0)
    first = change_of(real, status, [a_scored("1")])
    real.apply([first])
    minute_key = keys.minute_panes("Acme", NOON_MS // HOUR_MS)
    later = NOON_MS + 60 * HOUR_MS
    second = change_of(real, first.status, [a_scored("2", at_ms=later, offset=1)])
    real.apply([second])
    third = change_of(real, second.status, [a_scored("3", at_ms=later, offset=2)])
    real.apply([third])
    assert redis_client.exists(minute_key), "the alerter has evaluated nothing yet"
    redis_client.set(AlertingKeys(namespace).evaluated_until, later)
    fourth = change_of(real, third.status, [a_scored("4", at_ms=later, offset=3)])
    real.apply([fourth])
    assert not redis_client.exists(minute_key)
    assert redis_client.exists(keys.hour_panes("Acme", NOON_MS // DAY_MS)), "hours are kept for 90 days"


def test_unevaluated_minutes_are_dropped_after_a_limit(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(real)
    first = change_of(real, status, [a_scored("1")])
    real.apply([first])
    second = change_of(real, first.status, [a_scored("2", at_ms=NOON_MS + 8 * DAY_MS, offset=1)])
    real.apply([second])
    assert not redis_client.exists(PartitionKeys(namespace, "posts", 0).minute_panes("Acme", NOON_MS // HOUR_MS))


def test_readers_find_the_newest_negative_posts_by_event_time(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(real)
    posts: list[Outcome] = [a_scored(str(i), "negative", NOON_MS - i * 1_000, offset=i) for i in range(50)]
    for start in range(0, 50, 10):
        change = change_of(real, status, posts[start : start + 10])
        assert real.apply([change]) == [Applied()]
        status = change.status
    kept = PaneReader(redis_client, namespace).negatives("Acme", limit=100)
    assert [post.id for post in kept] == [str(i) for i in range(20)]


def test_readers_find_the_stored_posts_of_a_window(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(real)
    posts: list[Outcome] = [
        a_scored(str(i), ("negative", "positive")[i % 2], NOON_MS - 40_000 * i, offset=i) for i in range(120)
    ]
    for start in range(0, 120, 50):
        change = change_of(real, status, posts[start : start + 50])
        assert real.apply([change]) == [Applied()]
        status = change.status
    reader = PaneReader(redis_client, namespace)
    kept = reader.window_posts("Acme", NOON_MS - 40_000 * 100, NOON_MS + 1)
    assert {post.id for post in kept.negative} == {str(i) for i in range(0, 101, 2)}
    assert {post.id for post in kept.others} == {str(i) for i in range(1, 101, 2)}
    assert reader.window_posts("Bolt", 0, NOON_MS + 1).all == []


def test_stored_posts_beyond_the_limit_are_a_sample_and_the_newest(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(real)
    posts: list[Outcome] = [a_scored(str(i), "negative", NOON_MS + i, offset=i) for i in range(300)]
    for start in range(0, 300, 60):
        change = change_of(real, status, posts[start : start + 60])
        assert real.apply([change]) == [Applied()]
        status = change.status
    kept = PaneReader(redis_client, namespace).window_posts("Acme", NOON_MS, NOON_MS + 300)
    wanted = sorted((post for post in posts if isinstance(post, Scored)), key=lambda post: post.digest)
    # Equal in the 48 bits that Redis sorts by: chance 10^-12.
    newest = {str(i) for i in range(280, 300)}
    assert {post.id for post in kept.negative} == newest | {post.decoded.post.id for post in wanted[:MOST_NEGATIVE]}


def test_posts_of_an_older_worker_are_read(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    """An older release stores only the newest negative posts."""
    change = change_of(real, begun(real), [a_scored("1", "negative"), a_scored("2", offset=1)])
    assert real.apply([replace(change, hour_posts={})]) == [Applied()]
    kept = PaneReader(redis_client, namespace).window_posts("Acme", NOON_MS, NOON_MS + 1)
    assert ([post.id for post in kept.negative], kept.others) == (["1"], [])


def test_backfill_over_years_drops_expired_keys(redis_client: redis.Redis, namespace: str) -> None:
    seldom = RedisPartitionStore(redis_client, namespace, RETENTION, drop_every=16)
    status = begun(seldom)
    names = tuple(f"brand {number}" for number in range(300))
    for year in range(16):
        posts: list[Outcome] = [a_scored(str(year), at_ms=NOON_MS + year * 365 * DAY_MS, offset=year, brands=names)]
        change = change_of(seldom, status, posts)
        assert seldom.apply([change]) == [Applied()]
        status = change.status
    for step in range(60):
        change = change_of(seldom, status, [a_scored(f"later {step}", at_ms=status.clock_ms, offset=16 + step)])
        assert seldom.apply([change]) == [Applied()]
        status = change.status
    left = redis_client.zcard(PartitionKeys(namespace, "posts", 0).index)
    assert left <= 6 * 300 + 6, "one day and hour of each brand"


def test_thousands_of_ids_and_panes_fit_in_one_call(real: RedisPartitionStore) -> None:
    status = begun(real)
    many: list[Outcome] = [a_scored(str(i), at_ms=NOON_MS + i * 1_000, offset=i) for i in range(5_000)]
    change = change_of(real, status, many)
    assert real.apply([change]) == [Applied()]
    [stored] = real.read([ReadRequest(change.status, [a_scored(str(i)).digest for i in range(0, 5_000, 7)], [])])
    assert len(stored.duplicates) == len(range(0, 5_000, 7))


def test_worker_with_state_from_before_a_total_loss_is_refused(
    store: PartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    """Same log, same offset: only the life shows that the counters of the first worker are outdated."""
    old = begun(store, life="one", dead=7)
    late = change_of(store, old, [a_scored("1", "negative")])
    if isinstance(store, MemoryPartitionStore):
        vars(store).update(vars(MemoryPartitionStore()))
    else:
        redis_client.delete(*redis_client.scan_iter(f"{{{namespace}*"))
    begun(store, life="two")
    assert store.apply([late]) == [Refused(0)]
    again = store.load("posts", 0)
    assert again is not None
    assert (again.life, again.dead) == ("two", 0)
    assert store.apply([change_of(store, again, [a_scored("1", "negative")])]) == [Applied()]


def test_read_reports_a_moved_state(store: PartitionStore) -> None:
    """Values read from a later state must not be folded: after a loss the store may be back at the earlier one."""
    status = begun(store, life="one")
    change = change_of(store, status, [a_scored("1", "negative")])

    def moved_to(asked: PartitionStatus) -> int | None:
        [stored] = store.read([ReadRequest(asked, [a_scored("1").digest], [NOON])])
        return stored.moved_to

    assert moved_to(status) is None
    assert store.apply([change]) == [Applied()]
    assert moved_to(status) == change.status.next
    assert moved_to(change.status) is None
    assert moved_to(replace(change.status, life="two")) == change.status.next
    assert moved_to(replace(status, partition=1)) == -1


def test_worker_with_id_filters_is_refused_after_a_write_of_another(store: PartitionStore) -> None:
    """The store lost the last write, and another worker wrote to the same offset after the log was rewritten:
    next and life are as the first worker left them, but the ids differ from those in its filters."""
    status = begun(store, life="one")

    def written(by: str, post_id: str) -> Change:
        [stored] = store.read([ReadRequest(status, [a_scored(post_id).digest], [])])
        return fold_rows(status, [a_scored(post_id)], 1, stored, retention=RETENTION, limits=LIMITS, writer=by)

    mine, theirs = written("me", "1"), written("them", "2")
    assert store.apply([theirs]) == [Applied()]
    follows = fold_rows(
        mine.status, [a_scored("2", offset=1)], 2, Stored(), retention=RETENTION, limits=LIMITS, writer="me"
    )
    [stored] = store.read([ReadRequest(mine.status, [a_scored("2").digest], [], lookups=[])])
    assert stored.moved_to == mine.status.next
    assert store.apply([follows]) == [Refused(mine.status.next)]
    [stored] = store.read([ReadRequest(theirs.status, [a_scored("2").digest], [])])
    assert (stored.moved_to, set(stored.duplicates)) == (None, {a_scored("2").digest})


def test_only_requested_ids_are_looked_up(store: PartitionStore) -> None:
    status = begun(store)
    change = change_of(store, status, [a_scored("1"), a_scored("2", offset=1)])
    assert store.apply([change]) == [Applied()]
    one, two = a_scored("1").digest, a_scored("2").digest
    asked = [IdLookup(change.status.generations, [two, a_scored("3").digest])]
    [stored] = store.read([ReadRequest(change.status, [one, two], [], lookups=asked)])
    assert set(stored.duplicates) == {two}


def sampled(store: PartitionStore, client: redis.Redis, namespace: str) -> dict[int, set[SampledPost]]:
    if isinstance(store, MemoryPartitionStore):
        return {place.day: set(posts) for place, posts in store.samples("posts", 0).items() if place.brand == "Acme"}
    found = PaneReader(client, namespace).samples("Acme", NOON_MS // DAY_MS - 20, NOON_MS // DAY_MS + 20)
    return {day: set(posts) for day, posts in found.items()}


def test_sample_of_a_day_is_the_same_in_any_batches(
    store: PartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(store)
    posts: list[Outcome] = [a_scored(str(i), "negative", offset=i) for i in range(100)]
    for start in range(0, 100, 25):
        change = change_of(store, status, posts[start : start + 25])
        assert store.apply([change]) == [Applied()]
        assert store.apply([change]) == [Refused(change.status.next)]
        status = change.status
    at_once = fold_rows(a_status(), posts, 100, Stored(), retention=RETENTION, limits=LIMITS)
    [expected] = at_once.samples.values()
    found = sampled(store, redis_client, namespace)
    assert found == {NOON_MS // DAY_MS: {one.post for one in expected}}
    assert len(expected) == SAMPLE_SIZE
    assert {post.terms for post in found[NOON_MS // DAY_MS]} == {("acme", "fine")}


def test_samples_are_dropped_after_their_week(
    real: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(real)
    for later, days in enumerate((0, SAMPLE_DAYS, SAMPLE_DAYS + 2)):
        change = change_of(real, status, [a_scored(str(later), at_ms=NOON_MS + days * DAY_MS, offset=later)])
        assert real.apply([change]) == [Applied()]
        status = change.status
    assert sorted(sampled(real, redis_client, namespace)) == [
        NOON_MS // DAY_MS + SAMPLE_DAYS,
        NOON_MS // DAY_MS + SAMPLE_DAYS + 2,
    ]
