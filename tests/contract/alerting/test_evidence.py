"""From posts in the log to the words in a page: the worker's fold and store and the alerter's evaluation, on a real
Valkey."""

import random

import redis

from brandpulse.masking.mask import Mask
from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS
from brandpulse.state.pane_reader import PaneReader
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


CAMPAIGN = "@user{0} Acme broke its promise to every passenger of this winter, share it and never book there again {0}"


def campaign(rng: random.Random) -> list[tuple[str, int, str, str]]:
    """Two days of grumbling, then 90 accounts in an hour that post one text, and 30 that write as usual."""
    calm = [post for post in stream(random.Random(4)) if post[1] < CRISIS_MS]
    crowd = [
        (CAMPAIGN.format(number), CRISIS_MS + number * 40_000, "negative", rng.choice(["x", "rss"]))
        for number in range(90)
    ]
    usual = [
        (f"{' '.join(rng.sample(WORDS, 3))} again", CRISIS_MS + number * 2 * MINUTE_MS, "neutral", "x")
        for number in range(30)
    ]
    return calm + sorted([*crowd, *usual], key=lambda post: post[1])


def counted(client: redis.Redis, namespace: str, *, batch: int, restart: bool) -> tuple[ReferenceScenario, list[str]]:
    """The stream after the campaign, and what each evaluation found."""
    found: list[str] = []
    outcomes = [as_outcome(n, *post) for n, post in enumerate(campaign(random.Random(9)))]
    worked = ReferenceScenario(client, namespace)
    for start in range(0, len(outcomes), 30):
        worked.count(outcomes[start : start + 30], batch=batch)
        if worked.status.clock_ms >= CRISIS_MS - HOUR_MS:
            report = worked.evaluate(worked.status.clock_ms)
            found += [f"{view.finding.state} {view.finding.window}" for view in report.views.values()]
            if restart:
                worked.restart_alerter()
    return worked, found


def test_a_campaign_of_one_text_counts_as_posts_and_does_not_page(redis_client: redis.Redis, namespace: str) -> None:
    worked, found = counted(redis_client, namespace, batch=512, restart=False)
    assert worked.sent() == []
    hours = PaneReader(redis_client, namespace).hours(["Acme"], CRISIS_MS // HOUR_MS, CRISIS_MS // HOUR_MS)
    assert hours["Acme"][CRISIS_MS // HOUR_MS].negative == 90
    assert any("copied=" in one and "copied=None" not in one and "copied=0" not in one for one in found)


def test_a_restarted_alerter_finds_the_same_votes(redis_client: redis.Redis, namespace: str) -> None:
    once, found = counted(redis_client, f"{namespace}-once", batch=512, restart=False)
    again, found_again = counted(redis_client, f"{namespace}-again", batch=7, restart=True)
    assert found_again == found
    assert again.sent() == once.sent()
    assert again.alerts.uncounted_votes() == once.alerts.uncounted_votes()
