"""Sources and terms of a backtest's episodes, from a second pass over the recording."""

import random

import pytest

from alerting.detection.share_detector import DetectPolicy
from alerting.evaluation.policies import Policies
from brandpulse.backtest.backtest import Backtest, PastEpisode
from brandpulse.backtest.recorded_evidence import with_evidence
from brandpulse.backtest.recorded_post import RecordedPost
from brandpulse.state.keys import MINUTE_MS
from tests.support.alerting.post_streams import MONDAY
from tests.support.alerting.reference_scenario import LIMITS, RETENTION

NEGATIVE, NEUTRAL, IRRELEVANT = (0.8, 0.15, 0.05, 0.0), (0.1, 0.8, 0.1, 0.0), (0.1, 0.1, 0.1, 0.7)
CRISIS = MONDAY + 2 * 1_440 + 720
WORDS = ["seat", "crew", "food", "price", "legroom", "app", "queue", "website", "coffee", "staff"]


def recording() -> list[RecordedPost]:
    """Two and a half usual days, then an hour about check-in; Bolt's posts mention strikes all the time."""
    rng = random.Random(3)
    posts = []
    for number, minute in enumerate(range(MONDAY, CRISIS + 120)):
        bad = CRISIS <= minute < CRISIS + 60
        for part in range(4 if bad else 1):
            words = " ".join(rng.sample(WORDS, 3))
            negative = rng.random() < (0.9 if bad else 0.2)
            complaint = f"@ann check-in fails, {words} https://x.org/{number}"
            posts.append(
                RecordedPost(
                    source="x" if bad and part else "bluesky",
                    id=f"{number}-{part}",
                    author=number * 10 + part,
                    brands=("Acme", "Bolt"),
                    event_ms=minute * MINUTE_MS + part,
                    arrived_ms=minute * MINUTE_MS + part,
                    probabilities=(NEGATIVE if negative else NEUTRAL, IRRELEVANT),
                    text=complaint if bad and negative else f"{words} strike",
                )
            )
    return posts


@pytest.fixture(scope="module")
def found() -> list[PastEpisode]:
    backtest = Backtest(Policies(detect=DetectPolicy(min_history_hours=6)), RETENTION, LIMITS)
    backtest.feed(recording())
    return backtest.finish()


def test_an_episode_gets_the_terms_and_sources_of_its_window(found: list[PastEpisode]) -> None:
    [plain] = found
    assert (plain.episode.first.terms, plain.episode.first.sources) == ([], [])
    [shown] = with_evidence(found, recording())
    first = shown.episode.first
    assert "check-in" in " ".join(one.term for one in first.terms)
    assert first.terms[0].posts > first.terms[0].of / 2
    assert not [one for one in first.terms if "ann" in one.term.split() or "strike" in one.term]
    assert {one.source for one in first.sources} >= {"x"}
    assert sum(one.posts for one in first.sources) == first.negative_posts
    assert first.examples == [], "the mask does not know the brands' handles"
    assert (shown.fired_at, shown.episode.key) == (plain.fired_at, plain.episode.key)


def test_a_recording_that_begins_with_a_crisis_reports_missing_terms(found: list[PastEpisode]) -> None:
    [shown] = with_evidence(found, [post for post in recording() if post.event_ms >= CRISIS * MINUTE_MS])
    assert shown.episode.first.terms == []
    assert shown.episode.first.terms_missing is not None
    assert "0 usual posts" in shown.episode.first.terms_missing


def test_without_episodes_there_is_no_second_pass() -> None:
    def read() -> "RecordedPost":
        raise AssertionError

    assert with_evidence([], (read() for _ in range(1))) == []
