"""One promise, two stores: Redis (a real Valkey) and memory."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from alerting.detection.votes.copied_votes import Uncounted
from alerting.episodes.lifecycle import Memory, OpenEpisode
from alerting.evaluation.past_episodes import incidents
from alerting.store.alert_store import AlertStore, Commit
from alerting.store.memory_store import MemoryAlertStore
from alerting.store.redis_store import RedisAlertStore
from brandpulse.devstack.embedded_servers import EmbeddedStore
from brandpulse.errors import StateError, TransientError
from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import AlertingKeys
from brandpulse.state.watched_facets import Watch, WatchedFacets, decode_facets, rules_about
from tests.support.alerting.episode_builders import AT, a_delivery, an_episode


class Bench:
    """A store under test, and time's effect on its lease."""

    def __init__(self, store: AlertStore, expire_lease: Callable[[], object]) -> None:
        self.store = store
        self.expire_lease = expire_lease

    def lead(self, holder: str = "me") -> int:
        token = self.store.acquire(holder, lease_ms=60_000)
        assert token is not None
        return token


@pytest.fixture(params=["redis", "memory"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        memory = MemoryAlertStore()
        return Bench(memory, memory.expire_lease)
    client: redis.Redis = request.getfixturevalue("redis_client")
    namespace: str = request.getfixturevalue("namespace")
    return Bench(RedisAlertStore(client, namespace), lambda: client.delete(AlertingKeys(namespace).lease))


def opened(key: str = "k", *, calm: int = 0) -> OpenEpisode:
    return OpenEpisode(an_episode(key), Memory(told_at=AT, calm_minutes=calm, told=("pager",)))


def closed(key: str = "k") -> Commit:
    return Commit(1, 2, closed=[an_episode(key, state="resolved", resolved_at=AT)], deliveries=[a_delivery("resolved")])


def test_one_holder_leads_and_the_next_gets_a_higher_token(bench: Bench) -> None:
    first = bench.lead("a")
    assert bench.store.acquire("b", lease_ms=60_000) is None
    assert bench.lead("a") == first, "asking again is no takeover"
    bench.expire_lease()
    assert not bench.store.renew("a", lease_ms=60_000)
    assert bench.lead("b") > first
    assert not bench.store.renew("a", lease_ms=60_000)
    assert bench.store.renew("b", lease_ms=60_000)


def test_a_lease_can_be_released_only_by_its_holder(bench: Bench) -> None:
    bench.lead("a")
    bench.store.release("b")
    assert bench.store.acquire("b", lease_ms=60_000) is None
    bench.store.release("a")
    assert bench.store.acquire("b", lease_ms=60_000) is not None


def test_an_empty_store_has_an_empty_state(bench: Bench) -> None:
    state = bench.store.load()
    assert (state.evaluated_until_ms, dict(state.open), list(state.closed)) == (None, {}, [])


def test_a_commit_is_stored_completely(bench: Bench) -> None:
    token = bench.lead()
    commit = Commit(None, 1, open={"k": opened(calm=3)}, deliveries=[a_delivery()])
    assert bench.store.commit(commit, token=token) == "applied"
    state = bench.store.load()
    assert state.evaluated_until_ms == 1
    assert state.open["k"] == opened(calm=3)
    assert bench.store.pending() == [a_delivery()]
    assert bench.store.commit(closed(), token=token) == "applied"
    state = bench.store.load()
    assert (state.evaluated_until_ms, dict(state.open), [one.key for one in state.closed]) == (2, {}, ["k"])
    assert [delivery.id for delivery in bench.store.pending()] == ["k:triggered@pager", "k:resolved@pager"]


def test_a_commit_with_another_evaluated_until_changes_nothing(bench: Bench) -> None:
    token = bench.lead()
    bench.store.commit(Commit(None, 1), token=token)
    again = Commit(None, 1, open={"k": opened()}, deliveries=[a_delivery()])
    assert bench.store.commit(again, token=token) == "moved"
    assert bench.store.load().open == {}
    assert bench.store.pending() == []


def test_a_fenced_leader_writes_nothing(bench: Bench) -> None:
    old = bench.lead("a")
    bench.store.commit(Commit(None, 1, deliveries=[a_delivery()]), token=old)
    bench.expire_lease()
    new = bench.lead("b")
    assert bench.store.commit(Commit(1, 2, open={"k": opened()}), token=old) == "fenced"
    assert not bench.store.enqueue([a_delivery(key="x")], token=old)
    assert not bench.store.mark_delivered(a_delivery(), token=old)
    assert not bench.store.mark_retry(a_delivery(attempts=1), token=old)
    assert not bench.store.quarantine(a_delivery(), token=old)
    assert bench.store.load().evaluated_until_ms == 1
    assert bench.store.pending() == [a_delivery()]
    assert bench.store.commit(Commit(1, 2), token=new) == "applied"


def test_a_retry_retains_its_position_in_the_outbox(bench: Bench) -> None:
    token = bench.lead()
    many = [a_delivery(key=f"{number:03}") for number in range(30)]
    bench.store.commit(Commit(None, 1, deliveries=many[:20]), token=token)
    bench.store.enqueue(many[20:], token=token)
    tried = many[0].model_copy(update={"attempts": 1, "next_attempt_ms": 77, "answer": "503"})
    assert bench.store.mark_retry(tried, token=token)
    assert bench.store.pending() == [tried, *many[1:]]


def test_an_id_that_is_already_in_the_outbox_is_ignored(bench: Bench) -> None:
    token = bench.lead()
    tried = a_delivery(attempts=4)
    bench.store.enqueue([tried], token=token)
    bench.store.enqueue([a_delivery()], token=token)
    assert bench.store.pending() == [tried]


def test_a_delivered_notification_leaves_the_outbox_once(bench: Bench) -> None:
    token = bench.lead()
    bench.store.enqueue([a_delivery(), a_delivery("resolved")], token=token)
    assert bench.store.mark_delivered(a_delivery(delivered_ms=5), token=token)
    assert not bench.store.mark_delivered(a_delivery(delivered_ms=6), token=token)
    assert bench.store.pending() == [a_delivery("resolved")]
    assert bench.store.delivered() == [a_delivery(delivered_ms=5)]


def test_a_quarantined_delivery_is_requeued_before_its_resolve(bench: Bench) -> None:
    token = bench.lead()
    bench.store.enqueue([a_delivery(), a_delivery("resolved")], token=token)
    assert bench.store.quarantine(a_delivery(attempts=1, answer="400"), token=token)
    assert bench.store.pending() == [a_delivery("resolved")]
    assert bench.store.quarantined() == [a_delivery(attempts=1, answer="400")]
    assert bench.store.requeue("k:triggered@pager")
    assert not bench.store.requeue("k:triggered@pager")
    assert bench.store.quarantined() == []
    assert bench.store.pending() == [a_delivery(answer="400"), a_delivery("resolved")]


def test_a_delivery_requeued_into_an_empty_outbox_comes_first(bench: Bench) -> None:
    token = bench.lead()
    bench.store.enqueue([a_delivery()], token=token)
    bench.store.quarantine(a_delivery(), token=token)
    assert bench.store.requeue("k:triggered@pager")
    bench.store.enqueue([a_delivery("resolved")], token=token)
    assert bench.store.pending() == [a_delivery(), a_delivery("resolved")]


def test_spans_outlive_the_shown_episodes_for_a_baseline(bench: Bench) -> None:
    """510 in a day: the first ten are shown no more, but their hours must not become a baseline."""
    token = bench.lead()

    def ended(brand: str, days: float) -> Episode:
        at = AT + timedelta(days=days)
        return an_episode(f"{brand}:{days}", brand=brand, started_at=at, state="resolved", resolved_at=at)

    bench.store.commit(Commit(None, 1, closed=[ended("Long: Gone", -1)]), token=token)
    bench.store.commit(Commit(1, 2, closed=[ended(f"{number:04}", 0) for number in range(510)]), token=token)
    state = bench.store.load()
    assert (len(state.closed), len(state.spans)) == (500, 511)
    assert incidents(state, {"negative_share"}).keys() >= {"Long: Gone", "0000", "0509"}
    bench.store.commit(Commit(2, 3, closed=[ended("new", 99.5)]), token=token)
    state = bench.store.load()
    assert len(state.spans) == 511, "after 100 days of event time a span goes"
    assert incidents(state, {"negative_share"}).keys() >= {"0000", "new"}
    assert "Long: Gone" not in incidents(state, {"negative_share"})
    assert state.spans[0].start_ms == AT.timestamp() * 1_000


def test_without_stored_spans_closed_episodes_are_the_past(bench: Bench) -> None:
    token = bench.lead()
    assert bench.store.commit(closed(), token=token) == "moved"
    bench.store.commit(Commit(None, 1, closed=closed().closed), token=token)
    before = replace(bench.store.load(), spans=())
    assert incidents(before, {"negative_share"}) == incidents(bench.store.load(), {"negative_share"}) != {}


def test_500_closed_and_delivered_are_retained_newest_first(bench: Bench) -> None:
    token = bench.lead()
    episodes = [an_episode(f"{number:04}", state="resolved", resolved_at=AT) for number in range(510)]
    deliveries = [a_delivery(key=f"{number:04}") for number in range(510)]
    bench.store.commit(Commit(None, 1, closed=episodes, deliveries=deliveries), token=token)
    for delivery in deliveries:
        bench.store.mark_delivered(delivery, token=token)
    keys = [f"{number:04}" for number in range(509, 9, -1)]
    assert [episode.key for episode in bench.store.load().closed] == keys
    assert [delivery.key[1] for delivery in bench.store.delivered()] == keys


def test_every_notification_is_counted_by_its_state(bench: Bench) -> None:
    token = bench.lead()
    three = [a_delivery(key=key) for key in "abc"]
    silenced = {("pager", "silenced"): 2}
    bench.store.commit(Commit(None, 1, deliveries=three, suppressed=silenced), token=token)
    bench.store.commit(Commit(1, 2, deliveries=three, suppressed=silenced), token=token)  # they wait there already
    bench.store.enqueue([a_delivery(key="d", receiver="a|b")], token=token)
    bench.store.mark_delivered(three[0], token=token)
    bench.store.mark_delivered(three[0], token=token)
    bench.store.quarantine(three[1], token=token)
    tally = bench.store.tally()
    assert dict(tally.counts) == {
        ("pager", "accepted"): 3,
        ("pager", "delivered"): 1,
        ("pager", "quarantined"): 1,
        ("pager", "silenced"): 4,
        ("a|b", "accepted"): 1,
    }
    assert (tally.waiting, tally.quarantined) == (2, 1)
    bench.store.requeue(three[1].id)
    tally = bench.store.tally()
    assert (tally.total("accepted"), tally.total("delivered"), tally.total("quarantined")) == (4, 1, 0)
    assert (tally.waiting, tally.quarantined) == (3, 0)


def test_all_writes_are_durable(bench: Bench) -> None:
    token = bench.lead()
    bench.store.commit(Commit(None, 1, deliveries=[a_delivery()]), token=token)
    assert bench.store.make_durable(timeout_ms=5_000) == "durable"


def test_a_key_of_another_type_is_named_and_nothing_is_written(redis_client: redis.Redis, namespace: str) -> None:
    keys = AlertingKeys(namespace)
    store = RedisAlertStore(redis_client, namespace)
    token = store.acquire("me", lease_ms=60_000)
    assert token is not None
    redis_client.set(keys.outbox, "not ours")
    with pytest.raises(StateError, match="outbox"):
        store.commit(Commit(None, 1, open={"k": opened()}, deliveries=[a_delivery()]), token=token)
    assert not redis_client.exists(keys.evaluated_until, keys.episodes, keys.outbox_order)


def test_an_unavailable_store_is_a_transient_error() -> None:
    store = RedisAlertStore(redis.Redis(port=1, retry=Retry(NoBackoff(), 0)), "nowhere")
    with pytest.raises(TransientError, match="unreachable"):
        store.load()
    with pytest.raises(TransientError, match="unreachable"):
        store.acquire("me", lease_ms=1_000)


def test_a_full_store_is_a_transient_error_until_there_is_room(tmp_path: Path) -> None:
    full = EmbeddedStore(tmp_path / "full")
    try:
        with redis.Redis.from_url(full.url) as client:
            store = RedisAlertStore(client, "t")
            token = store.acquire("me", lease_ms=60_000)
            assert token is not None
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1mb")
            with pytest.raises(TransientError, match="Redis is full"):
                store.commit(Commit(None, 1, open={"k": opened()}, deliveries=[a_delivery()]), token=token)
            assert (store.load().evaluated_until_ms, store.pending()) == (None, [])
            client.config_set("maxmemory", "0")
            assert store.commit(Commit(None, 1, deliveries=[a_delivery()]), token=token) == "applied"
    finally:
        full.stop()


def test_late_deliveries_are_stored_until_they_are_handled(bench: Bench) -> None:
    bench.store.report_late(a_delivery())
    bench.store.report_late(a_delivery())
    assert bench.store.late_deliveries() == [a_delivery()]
    bench.store.forget_late(bench.store.late_deliveries())
    assert bench.store.late_deliveries() == []


def test_watched_facets_are_stored_for_the_page(redis_client: redis.Redis, namespace: str) -> None:
    def stored() -> WatchedFacets:
        found: bytes | None = redis_client.get(AlertingKeys(namespace).facets)  # type: ignore[assignment]
        return decode_facets(found)

    assert stored() == {}
    facets = {"refund": [Watch("refunds"), Watch("acme_refunds", ("Acme Air",))], "unwatched": []}
    store = RedisAlertStore(redis_client, namespace)
    store.save_watched_facets(facets)
    found = stored()
    assert set(found) == {"refund", "unwatched"}
    assert rules_about(found["refund"], "Acme Air") == ["acme_refunds", "refunds"]
    assert rules_about(found["refund"], "Bolt") == ["refunds"]
    assert rules_about(found["unwatched"], "Bolt") == []
    store.save_watched_facets({})
    assert stored() == {}
    with pytest.raises(StateError, match="facets"):
        decode_facets(b'{"refund": 3}')


def test_uncounted_votes_are_saved_by_hour_until_they_expire(bench: Bench) -> None:
    assert bench.store.uncounted_votes() == {}
    first, facet = ("Acme | Air", 500_000), ("Acme | Air\x1fdelay", 500_001)
    bench.store.save_uncounted_votes({first: Uncounted(3, 2, 1, 1), facet: Uncounted(4, 4)}, expired=())
    bench.store.save_uncounted_votes({facet: Uncounted(5, 5)}, expired=[first])
    assert bench.store.uncounted_votes() == {facet: Uncounted(5, 5)}
