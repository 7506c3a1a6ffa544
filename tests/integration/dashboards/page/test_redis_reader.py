from datetime import timedelta

import msgspec
import pytest
import redis

from brandpulse.errors import StateError, TransientError
from brandpulse.state.keys import MINUTE_MS, facet_series
from brandpulse.state.outcomes.language_counts import encode_language_counts, with_added_languages
from brandpulse.state.watched_facets import Watch
from dashboards.page.redis_reader import PageStore, page_client
from tests.support.dashboards.stored_state import ACME, BANK, END, StoredStream, a_resolved_episode, an_episode

MINUTE = int(END.timestamp()) * 1000 // MINUTE_MS


def test_last_24_hours_are_exact_to_the_minute(redis_client: redis.Redis, namespace: str) -> None:
    stream = StoredStream(redis_client, namespace, partitions=3)
    stream.add(ACME, END - timedelta(minutes=1_439), negative=1)
    stream.add(ACME, END - timedelta(minutes=1_440), negative=10)
    stream.add(ACME, END - timedelta(hours=23), neutral=100)
    stream.add(ACME, END, positive=1_000)
    stream.store(END)

    [brand] = PageStore(redis_client, namespace).overview().brands

    assert (brand.day.negative, brand.day.neutral, brand.day.positive) == (1, 100, 1_000)
    assert (brand.hour.posts, brand.hour.positive) == (1_000, 1_000)


def test_irrelevant_posts_are_counted_and_excluded_from_shares(redis_client: redis.Redis, namespace: str) -> None:
    stream = StoredStream(redis_client, namespace)
    stream.add(ACME, END - timedelta(days=3), negative=1, positive=1, irrelevant=8)
    stream.add(ACME, END, negative=1, neutral=3, irrelevant=96)
    stream.add(BANK, END - timedelta(days=3), irrelevant=5)
    stream.add(BANK, END, irrelevant=2)
    stream.store(END)

    acme, bank = PageStore(redis_client, namespace).overview().brands

    assert (acme.hour.posts, acme.hour.irrelevant, acme.hour.negative_share) == (100, 96, 0.25)
    assert (acme.hour.authors, acme.baseline_share) == (4, 0.5)
    assert (bank.day.posts, bank.day.negative_share, bank.baseline_share) == (2, 0.0, None)


def test_authors_are_counted_once_over_all_partitions(redis_client: redis.Redis, namespace: str) -> None:
    stream = StoredStream(redis_client, namespace, partitions=2)
    for partition in (0, 1):
        stream.minute_authors[partition, ACME, MINUTE].add(42, negative=True)
        stream.hour_authors[partition, ACME, MINUTE // 60].add(42, negative=True)
    stream.add(ACME, END, negative=2)
    stream.store(END)

    [brand] = PageStore(redis_client, namespace).overview().brands

    assert (brand.hour.authors, brand.hour.negative_authors) == (3, 3)
    assert (brand.day.authors, brand.day.negative_authors) == (3, 3)


def test_languages_are_added_up_over_all_partitions(redis_client: redis.Redis, namespace: str) -> None:
    stream = StoredStream(redis_client, namespace, partitions=2)
    stream.add(ACME, END, negative=1)
    stream.add(BANK, END, negative=1)
    stored = with_added_languages((), {(ACME, "de"): 2, (ACME, "en"): 40, (ACME, "other"): 3})
    stream.store(END, languages=encode_language_counts(stored).decode())

    acme, bank = PageStore(redis_client, namespace).overview().brands

    assert list(acme.languages.items()) == [("en", 80), ("other", 6), ("de", 4)]
    assert bank.languages == {}


def test_baseline_excludes_the_last_day(redis_client: redis.Redis, namespace: str) -> None:
    stream = StoredStream(redis_client, namespace)
    stream.add(ACME, END - timedelta(days=3), negative=1, neutral=3)
    stream.add(ACME, END, negative=50)
    stream.add(BANK, END, negative=1)
    stream.store(END)

    acme, bank = PageStore(redis_client, namespace).overview().brands

    assert acme.baseline_share == 0.25
    assert bank.baseline_share is None


def test_facet_has_its_share_baseline_and_rules(redis_client: redis.Redis, namespace: str) -> None:
    stream = StoredStream(redis_client, namespace, partitions=3)
    for days in (2, 4):
        stream.add(ACME, END - timedelta(days=days), neutral=100)
    # Counted since three days ago: earlier hours are unknown.
    stream.add(facet_series(ACME, "refund"), END - timedelta(days=2), neutral=5)
    stream.add(ACME, END - timedelta(minutes=59), neutral=30, irrelevant=50)
    stream.add(facet_series(ACME, "refund"), END, neutral=6)
    stream.add(facet_series(ACME, "refund"), END - timedelta(minutes=60), neutral=9)
    stream.add(facet_series(BANK, "refund"), END, neutral=9)
    stream.store(END)
    stream.write_facets({"refund": [Watch("refunds"), Watch("other", (BANK,))], "strike": []})

    found = PageStore(redis_client, namespace).facets(ACME)

    refund, strike = found.facets
    assert (found.people, refund.name, refund.people, refund.share) == (30, "refund", 6, 0.2)
    assert refund.usual == pytest.approx(0.05, abs=0.002)
    assert refund.rules == ["refunds"]
    assert (strike.people, strike.share, strike.usual, strike.rules) == (0, 0.0, None, [])


def test_without_stored_facets_there_are_none(redis_client: redis.Redis, namespace: str) -> None:
    assert PageStore(redis_client, namespace).facets(ACME).facets == []
    stream = StoredStream(redis_client, namespace)
    stream.add(ACME, END, negative=1)
    stream.store(END)
    assert PageStore(redis_client, namespace).facets(ACME).facets == []


def test_empty_namespace_has_no_clock_and_no_brands(redis_client: redis.Redis, namespace: str) -> None:
    store = PageStore(redis_client, namespace)

    assert store.overview().clock_ms is None
    assert store.overview().brands == []
    assert store.health(now_ms=0).verdict == "waiting"
    assert store.series(ACME, 24).bars == []


def test_open_episodes_come_newest_first(redis_client: redis.Redis, namespace: str) -> None:
    stream = StoredStream(redis_client, namespace)
    old, new = an_episode(fired=END - timedelta(hours=9)), an_episode(BANK, fired=END)
    stream.write_open(old, new)
    stream.write_closed(a_resolved_episode(ACME, fired=END, lasted=timedelta(hours=1), peak=0.5))

    episodes = msgspec.json.decode(msgspec.json.encode(PageStore(redis_client, namespace).episodes()))

    assert [episode["key"] for episode in episodes["open"]] == [new.key, old.key]
    assert episodes["closed"][0]["state"] == "resolved"


def test_invalid_stored_episode_raises_an_error_with_its_key(redis_client: redis.Redis, namespace: str) -> None:
    stream = StoredStream(redis_client, namespace)
    redis_client.hset(stream.alerting.episodes, "k", "not json")

    with pytest.raises(StateError, match="alerting}:episodes"):
        PageStore(redis_client, namespace).episodes()


def test_unreachable_redis_raises_a_transient_error() -> None:
    store = PageStore(page_client("redis://127.0.0.1:1"), "any")

    with pytest.raises(TransientError, match="Redis is unreachable"):
        store.ready()
