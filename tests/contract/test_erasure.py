"""An erased text leaves everything that Redis stores, and no earlier read restores it."""

from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest
import redis

from alerting.episodes.lifecycle import Memory, OpenEpisode
from alerting.notifications.delivery import Delivery
from alerting.store.alert_store import Commit
from alerting.store.redis_store import RedisAlertStore
from brandpulse.schema.episodes import Episode, ExamplePost
from brandpulse.schema.identity import author_hex
from brandpulse.state.erasure.alert_examples import ERASED_TEXT
from brandpulse.state.erasure.erased_posts import PostId
from brandpulse.state.erasure.stored_text import Erased, erase
from brandpulse.state.keys import AlertingKeys, ErasureKeys, NamespaceKeys, PartitionKeys
from brandpulse.state.namespaces import Replay
from brandpulse.state.pane_reader import PaneReader
from stream_workers.aggregation.types import Outcome
from stream_workers.state_store.partition_store import Applied
from stream_workers.state_store.redis_store import RedisPartitionStore
from tests.contract.test_partition_store import RETENTION, begun, change_of
from tests.support.alerting.episode_builders import AT, a_notification, an_episode, an_evidence
from tests.support.builders import NOON_MS, a_scored

POST = PostId("test", "7")
SECRET = "acme is fine"  # the text of every post of `a_scored`


def everything(client: redis.Redis, namespace: str) -> bytes:
    """Everything stored under *namespace* but the list of erased posts, as one string."""
    found: list[bytes] = []
    for key in client.scan_iter(match=f"*{namespace}*"):
        if key.startswith(ErasureKeys(namespace).tag.encode()):
            continue
        kind, reader = client.type(key), cast("Any", client)
        if kind == b"zset":
            found += reader.zrange(key, 0, -1)
        elif kind == b"hash":
            found += [part for pair in reader.hgetall(key).items() for part in pair]
        elif kind == b"list":
            found += reader.lrange(key, 0, -1)
    return b"\n".join(found)


@pytest.fixture
def store(redis_client: redis.Redis, namespace: str) -> RedisPartitionStore:
    return RedisPartitionStore(redis_client, namespace, RETENTION)


def an_alert(*ids: str, key: str = "open") -> Episode:
    posts = [ExamplePost(id=one, source="test", text=f"secret of {one}", created_at=AT, copies=3) for one in ids]
    return an_episode(key, latest=an_evidence(examples=posts))


def a_delivery(episode: Episode, receiver: str = "pager") -> Delivery:
    note = a_notification(receiver=receiver).model_copy(update={"episode": episode})
    return Delivery(id=f"{note.id}-{receiver}", notification=note, decided_ms=1)


def test_erased_post_leaves_stored_posts_and_samples(
    store: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    posts: list[Outcome] = [
        a_scored(str(n), "negative", NOON_MS + n, offset=n, brands=("Acme", "Bolt")) for n in range(9)
    ]
    change = change_of(store, begun(store), posts)
    assert store.apply([change]) == [Applied()]
    assert erase(redis_client, namespace, [POST]) == Erased(posts=4, samples=2)
    reader = PaneReader(redis_client, namespace)
    assert {post.id for post in reader.window_posts("Acme", NOON_MS, NOON_MS + 9).all} == set("01234568")
    assert len(reader.negatives("Bolt")) == 8
    assert reader.totals()["Acme"].negative == 9, "counts stay"
    assert erase(redis_client, namespace, [POST]) == Erased()


def test_batch_folded_before_an_erasure_does_not_restore_the_text(
    store: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    status = begun(store)
    posts: list[Outcome] = [a_scored(str(n), "negative", NOON_MS + n, offset=n) for n in range(9)]
    change = change_of(store, status, posts)
    assert erase(redis_client, namespace, [POST]) == Erased()
    assert store.apply([change]) == [Applied()]
    reader = PaneReader(redis_client, namespace)
    assert {post.id for post in reader.window_posts("Acme", NOON_MS, NOON_MS + 9).all} == set("01234568")
    assert b'"7"' not in everything(redis_client, namespace)
    assert POST.digest.encode() not in everything(redis_client, namespace)
    assert reader.totals()["Acme"].negative == 9, "it still counts"


def test_a_batch_of_erased_posts_only_is_applied(
    store: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    change = change_of(store, begun(store), [a_scored("7", "negative")])
    erase(redis_client, namespace, [POST])
    assert store.apply([change]) == [Applied()]
    assert PaneReader(redis_client, namespace).totals()["Acme"].negative == 1


def test_erased_text_leaves_episodes_and_notifications(redis_client: redis.Redis, namespace: str) -> None:
    alerts = RedisAlertStore(redis_client, namespace)
    token = alerts.acquire("me", lease_ms=60_000)
    assert token is not None
    alerts.load()
    episode = an_alert("6", "7")
    opened = OpenEpisode(episode, Memory(told_at=AT))
    waiting, sent, refused = (a_delivery(episode, name) for name in ("pager", "mail", "chat"))
    commit = Commit(
        None,
        60_000,
        open={episode.key: opened},
        closed=[an_alert("7", key="closed")],
        deliveries=[waiting, sent, refused],
    )
    assert alerts.commit(commit, token=token) == "applied"
    alerts.pending()
    assert alerts.mark_delivered(sent, token=token)
    assert alerts.quarantine(refused, token=token)
    found = erase(redis_client, namespace, [POST])
    assert (found.episodes, found.notifications) == (2, 3)
    assert b"secret of 7" not in everything(redis_client, namespace)
    assert b"secret of 6" in everything(redis_client, namespace)
    [open_now] = RedisAlertStore(redis_client, namespace).load().open.values()
    assert [(post.id, post.text, post.copies) for post in open_now.episode.latest.examples] == [
        ("6", "secret of 6", 3),
        ("7", ERASED_TEXT, 3),
    ]


def test_alerter_that_read_before_an_erasure_is_refused(redis_client: redis.Redis, namespace: str) -> None:
    alerts = RedisAlertStore(redis_client, namespace)
    token = alerts.acquire("me", lease_ms=60_000)
    assert token is not None
    alerts.load()
    erase(redis_client, namespace, [POST])
    episode = an_alert("7")
    commit = Commit(None, 60_000, open={episode.key: OpenEpisode(episode, Memory(told_at=AT))})
    assert alerts.commit(commit, token=token) == "moved"
    assert alerts.load().open == {}
    assert alerts.commit(replace(commit, open={}), token=token) == "applied"


def test_posts_of_erased_author_leave_stored_posts_samples_and_episodes(
    store: RedisPartitionStore, redis_client: redis.Redis, namespace: str
) -> None:
    posts: list[Outcome] = [
        a_scored(str(n), "negative", NOON_MS + n, offset=n, author=5 if n in (2, 4) else n) for n in range(9)
    ]
    status = begun(store)
    assert store.apply([change_of(store, status, posts)]) == [Applied()]
    episode = an_alert("2", "3")
    redis_client.hset(AlertingKeys(namespace).episodes, episode.key, episode.model_dump_json())
    author = author_hex(5)
    # Post 5 has the same author: `a_scored` numbers authors like posts.
    assert erase(redis_client, namespace, [], authors=[author]) == Erased(posts=6, samples=3, episodes=1)
    reader = PaneReader(redis_client, namespace)
    assert {post.id for post in reader.window_posts("Acme", NOON_MS, NOON_MS + 9).all} == set("013678")
    assert author.encode() not in everything(redis_client, namespace)
    assert b"secret of 2" not in everything(redis_client, namespace)
    assert b"secret of 3" in everything(redis_client, namespace)
    assert reader.totals()["Acme"].negative == 9, "counts stay"
    moved = store.load("posts", 0)
    assert moved is not None
    later: list[Outcome] = [a_scored("20", "negative", NOON_MS + 20, offset=20, author=5)]
    assert store.apply([change_of(store, moved, later)]) == [Applied()]
    assert author.encode() not in everything(redis_client, namespace), "a later post counts without its text"


def test_shadow_begun_after_an_erasure_stores_no_erased_text(redis_client: redis.Redis, namespace: str) -> None:
    erase(redis_client, namespace, [POST], authors=[author_hex(3)])
    shadow = f"{namespace}-b"
    redis_client.set(NamespaceKeys(shadow).replay, msgspec.json.encode(Replay(parent=namespace)))
    store = RedisPartitionStore(redis_client, shadow, RETENTION)
    posts: list[Outcome] = [a_scored(str(n), "negative", NOON_MS + n, offset=n, author=n) for n in range(9)]
    change = change_of(store, begun(store), posts)
    assert erase(redis_client, namespace, [PostId("test", "1")]) == Erased(), "the list reaches the shadow"
    assert store.apply([change]) == [Applied()]
    reader = PaneReader(redis_client, shadow, follow=False)
    assert {post.id for post in reader.window_posts("Acme", NOON_MS, NOON_MS + 9).all} == set("024568")
    assert reader.totals()["Acme"].negative == 9


@pytest.mark.parametrize("what", ["delivered", "retried", "quarantined"])
def test_sender_that_read_before_an_erasure_does_not_restore_the_text(
    redis_client: redis.Redis, namespace: str, what: str
) -> None:
    alerts = RedisAlertStore(redis_client, namespace)
    token = alerts.acquire("me", lease_ms=60_000)
    assert token is not None
    alerts.load()
    delivery = a_delivery(an_alert("7"))
    assert alerts.commit(Commit(None, 60_000, deliveries=[delivery]), token=token) == "applied"
    [read] = alerts.pending()
    assert not alerts.tally().erased
    erase(redis_client, namespace, [POST])
    assert alerts.tally().erased, "the sender reads the outbox again"
    settle = {"delivered": alerts.mark_delivered, "retried": alerts.mark_retry, "quarantined": alerts.quarantine}[what]
    assert settle(read, token=token)
    assert b"secret of 7" not in everything(redis_client, namespace)
    assert ERASED_TEXT.encode() in everything(redis_client, namespace)
    alerts.pending()
    assert not alerts.tally().erased


def test_ids_with_unusual_characters_are_erased(redis_client: redis.Redis, namespace: str) -> None:
    odd = 'a"b\\c\u00e9\U0001f525</x>\x01'
    episode = an_episode(
        latest=an_evidence(examples=[ExamplePost(id=odd, source=odd, text="secret of 7", created_at=AT)])
    )
    keys = AlertingKeys(namespace)
    redis_client.hset(keys.episodes, episode.key, episode.model_dump_json())
    assert erase(redis_client, namespace, [PostId(odd, odd)]).episodes == 1
    assert b"secret of 7" not in everything(redis_client, namespace)
    assert redis_client.type(PartitionKeys(namespace, "posts", 0).erased) == b"none"
