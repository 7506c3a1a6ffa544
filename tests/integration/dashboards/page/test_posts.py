"""Negative posts as the page lists them."""

from datetime import timedelta

import redis

from brandpulse.schema.identity import author_hex
from brandpulse.state.keys import HOUR_MS
from brandpulse.state.stored_posts import HourPost
from dashboards.page.posts import LISTED_TEXTS, ListedPost, since_ms
from dashboards.page.redis_reader import PageStore
from tests.support.dashboards.stored_state import ACME, END, StoredStream, _ms, a_negative_post

NOW_MS = _ms(END)


def a_stored_post(number: int, text: str, *, author: int, minutes_ago: int = 5) -> HourPost:
    return HourPost(
        id=str(number),
        source="x",
        text=text,
        created_ms=NOW_MS - minutes_ago * 60_000 + number,
        author=author_hex(author),
        negative=0.8,
    )


def page_of(client: redis.Redis, namespace: str, posts: list[HourPost], *, counted: int) -> list[ListedPost]:
    """The page's list for *posts*, spread over two partitions that counted *counted* negative ones."""
    stream = StoredStream(client, namespace, partitions=2)
    stream.add(ACME, END - timedelta(days=1), negative=1, neutral=4)
    stream.add(ACME, END - timedelta(minutes=5), negative=counted)
    stream.store(END)
    stream.write_hour_posts(ACME, posts)
    stream.write_negatives(
        ACME,
        [
            a_negative_post("of yesterday", id="old", created_ms=NOW_MS - 86_400_000),
            a_negative_post("newest", id="new", created_ms=NOW_MS, url="https://example.org/new"),
        ],
    )
    return PageStore(client, namespace).negatives(ACME)


def test_campaign_over_partitions_is_one_text_with_its_counts(redis_client: redis.Redis, namespace: str) -> None:
    campaign = [a_stored_post(n, f"RT @u{n}: Boycott Acme! {n}", author=10_000 + n) for n in range(21)]
    again = [a_stored_post(50 + n, "my bag", author=7) for n in range(2)]
    listed = page_of(redis_client, namespace, [*campaign, *again], counted=23)
    assert [(one.copies, one.accounts, one.new_accounts, one.at_least) for one in listed[:1]] == [(21, 21, 21, False)]
    assert [(one.text, one.copies, one.accounts) for one in listed[1:]] == [
        ("newest", 1, 1),
        ("my bag", 2, 1),
        ("of yesterday", 1, 1),
    ]
    assert listed[1].url == "https://example.org/new"


def test_missing_posts_make_the_counts_lower_bounds(redis_client: redis.Redis, namespace: str) -> None:
    listed = page_of(
        redis_client, namespace, [a_stored_post(n, "Boycott Acme!", author=10_000 + n) for n in range(5)], counted=900
    )
    assert (listed[0].copies, listed[0].at_least) == (5, True)
    assert not any(one.at_least for one in listed[1:])


def test_text_posted_before_the_window_has_lower_bounds(redis_client: redis.Redis, namespace: str) -> None:
    posts = [a_stored_post(n, "Boycott Acme!", author=10_000 + n) for n in range(4)]
    stream = StoredStream(redis_client, namespace, partitions=2)
    stream.write_negatives(ACME, [a_negative_post("boycott acme", id="o", created_ms=NOW_MS - 86_400_000)])
    listed = page_of(redis_client, namespace, posts, counted=4)
    assert (listed[0].copies, listed[0].at_least, listed[0].new_accounts) == (5, True, None)


def test_number_of_listed_texts_is_limited(redis_client: redis.Redis, namespace: str) -> None:
    texts = ["".join("abcdefghij"[int(d)] for d in str(n)) for n in range(60)]
    posts = [a_stored_post(n, text, author=n) for n, text in enumerate(texts)]
    assert len(page_of(redis_client, namespace, posts, counted=60)) == LISTED_TEXTS


def test_window_starts_three_hours_ago_in_steps() -> None:
    assert since_ms(NOW_MS) == since_ms(NOW_MS // 600_000 * 600_000)
    assert 3 * HOUR_MS <= NOW_MS - since_ms(NOW_MS) < 3 * HOUR_MS + 600_000
