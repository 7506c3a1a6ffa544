"""From posts in the log to the words in a page: the worker's fold and store and the alerter's evaluation, on a real
Valkey."""

import random

import redis

from brandpulse.masking.mask import Mask
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS
from stream_workers.aggregation.types import Outcome, build_scored
from stream_workers.decoding.post_decoder import DecodedPost
from stream_workers.scoring.post_scores import build_post_scores
from tests.support.alerting.reference_scenario import ReferenceScenario
from tests.support.builders import NOON_MS, PROBABILITIES, a_post, a_record, decode

BEGIN_MS = NOON_MS - 2 * DAY_MS
CRISIS_MS = NOON_MS
WORDS = ["seat", "crew", "food", "price", "legroom", "app", "queue", "website", "coffee", "staff"]


def stream(rng: random.Random) -> list[tuple[str, int, str, str]]:
    """(text, event ms, sentiment, source): two days of grumbling a minute apart, then an hour about check-in."""
    posts = []
    for at in range(BEGIN_MS, CRISIS_MS, MINUTE_MS):
        mood = "negative" if rng.random() < 0.2 else "neutral"
        posts.append((f"@ann {' '.join(rng.sample(WORDS, 3))} {rng.choice(WORDS)}", at, mood, "bluesky"))
    for at in range(CRISIS_MS, CRISIS_MS + HOUR_MS, 20_000):
        text = f"@bob@example.org the check-in is down, {rng.choice(WORDS)} {rng.choice(WORDS)} https://x.org/{at}"
        posts.append((text, at, "negative" if rng.random() < 0.9 else "neutral", rng.choice(["x", "x", "rss"])))
    return posts


def as_outcome(offset: int, text: str, at_ms: int, sentiment: str, source: str) -> Outcome:
    [decoded] = decode([a_record(a_post(str(offset), text, at_ms, source=source), offset)])
    assert isinstance(decoded, DecodedPost)
    verdict = build_post_scores((PROBABILITIES[sentiment],), {"sentiment": (0.1, 0.8, 0.1)}, (None,))
    return build_scored(decoded, ("Acme",), verdict, author=offset, mask=Mask())


def test_a_page_has_the_words_and_sources_of_its_hour(redis_client: redis.Redis, namespace: str) -> None:
    outcomes = [as_outcome(n, *post) for n, post in enumerate(stream(random.Random(4)))]
    worked = ReferenceScenario(redis_client, namespace)
    for start in range(0, len(outcomes), 30):
        worked.count(outcomes[start : start + 30])
        if worked.status.clock_ms >= CRISIS_MS - HOUR_MS:
            worked.evaluate(worked.status.clock_ms)
    [opened] = worked.alerts.load().open.values()
    first = opened.episode.first
    assert "check-in" in [one.term for one in first.terms]
    [said] = [one for one in first.terms if one.term == "check-in"]
    assert said.posts > said.of / 2
    assert said.usual_share == 0
    assert {one.source for one in first.sources} >= {"x", "rss"}
    assert sum(one.posts for one in first.sources) >= first.terms[0].of
    assert all(name not in one.term for one in first.terms for name in ("ann", "bob", "example", "x.org"))
    [trigger, *_] = worked.alerts.pending()
    assert trigger.notification.episode.first.terms == first.terms
