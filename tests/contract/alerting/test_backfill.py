"""A month backfilled in a minute: the alerter sends what it would have sent day by day, once each."""

import random
from collections.abc import Iterator, Sequence
from functools import cache

import redis

from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS
from stream_workers.aggregation.types import Outcome, Scored
from tests.support.alerting.reference_scenario import ReferenceScenario
from tests.support.builders import NOON_MS, a_scored

BEGIN_MS = NOON_MS - 30 * DAY_MS
DAYS = 30
CRISES = tuple(BEGIN_MS + day * DAY_MS + hour * HOUR_MS for day, hour in ((6, 9), (17, 20), (28, 3)))
TICKS = 60
"""One a second: a minute."""
WALL_MS = NOON_MS + DAY_MS
STABLE_FIELDS = {"key", "severity", "started_at", "fired_at", "resolved_at"}


@cache
def month() -> Sequence[Outcome]:
    """A post every two minutes, a fifth negative; three hours at one every 30 s, three quarters negative."""
    rng = random.Random(8)
    posts: list[Outcome] = []
    at = BEGIN_MS
    while at < BEGIN_MS + DAYS * DAY_MS:
        bad = any(begin <= at < begin + 2 * HOUR_MS for begin in CRISES)
        mood = "negative" if rng.random() < (0.75 if bad else 0.2) else "neutral"
        posts.append(a_scored(str(len(posts)), mood, at, offset=len(posts), author=len(posts)))
        at += MINUTE_MS // 2 if bad else 2 * MINUTE_MS
    return posts


def in_steps(width_ms: int) -> Iterator[Sequence[Outcome]]:
    """The month in pieces of *width_ms* of event time."""
    every, at = month(), 0
    for end in range(BEGIN_MS + width_ms, BEGIN_MS + DAYS * DAY_MS + width_ms, width_ms):
        begin = at
        while at < len(every) and _at(every[at]) < end:
            at += 1
        yield every[begin:at]


def test_a_month_backfilled_in_a_minute_pages_as_it_did_live(redis_client: redis.Redis, namespace: str) -> None:
    fast, slow = (
        ReferenceScenario(redis_client, f"{namespace}-fast"),
        ReferenceScenario(redis_client, f"{namespace}-slow"),
    )
    most = 0
    for second, posts in enumerate(in_steps(DAYS * DAY_MS // TICKS)):
        fast.count(posts)
        before = len(fast.sent())
        fast.evaluate(WALL_MS + 1_000 * second, lag=len(month()) - fast.status.next)
        most = max(most, len(fast.sent()) - before)
    for posts in in_steps(HOUR_MS):
        slow.count(posts)
        slow.evaluate(slow.status.clock_ms)

    fast_found, slow_found = fast.alerts.load(), slow.alerts.load()
    assert fast_found.evaluated_until_ms == slow_found.evaluated_until_ms
    assert [one.model_dump(include=STABLE_FIELDS) for one in fast_found.closed] == [
        one.model_dump(include=STABLE_FIELDS) for one in slow_found.closed
    ]
    assert fast.sent() == slow.sent()
    fired = [one.fired_at.timestamp() * 1_000 for one in reversed(fast_found.closed)]
    assert len(fired) == len(CRISES)
    assert all(0 < at - crisis <= 3 * HOUR_MS for at, crisis in zip(fired, CRISES, strict=True))
    for word in (":triggered@", ":resolved@"):
        assert sum(word in one for one in fast.sent()) == len(CRISES)
    assert most <= 4, "an old episode is reported with its end and its rises of severity, without updates"
    assert (fast_found.open, fast.status.late) == ({}, 0)


def test_older_posts_backfilled_under_a_live_stream_do_not_page(redis_client: redis.Redis, namespace: str) -> None:
    worked = ReferenceScenario(redis_client, namespace)
    live = [a_scored(f"live {n}", "neutral", NOON_MS + n * MINUTE_MS, author=10**6 + n) for n in range(900)]
    worked.count(live[:600])
    worked.evaluate(WALL_MS)
    old = [post for post in month() if CRISES[1] - DAY_MS <= _at(post) < CRISES[1] + DAY_MS]
    worked.count(old)
    worked.count(live[600:])
    worked.evaluate(WALL_MS + 1_000)
    assert worked.status.late == len(old) > 1_000
    assert worked.alerts.load().evaluated_until_ms == (NOON_MS + 897 * MINUTE_MS)
    assert worked.sent() == []


def _at(post: Outcome) -> int:
    assert isinstance(post, Scored)
    return post.decoded.event_ms
