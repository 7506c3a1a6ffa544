"""Rules of kind `volume`: many more people than usual page once, and resolve after calm."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from alerting.detection.share_detector import WindowCounts
from alerting.detection.volume_detector import SurgePolicy, detect_surge
from alerting.detection.volume_score import VolumeScorer
from alerting.episodes.lifecycle import EpisodePolicy, OpenEpisode, minute_start
from alerting.episodes.volume_lifecycle import decide_surge
from alerting.evaluation.policies import Policies
from alerting.rules.models import RuleSet
from brandpulse.backtest.backtest import Backtest, PastEpisode
from brandpulse.backtest.recorded_post import RecordedPost
from brandpulse.bench.alerting.volume_rhythms import pages, rate_of
from brandpulse.state.keys import MINUTE_MS
from tests.support.alerting.post_streams import MONDAY
from tests.support.alerting.reference_scenario import LIMITS, RETENTION

RULES = RuleSet.model_validate({"rules": [{"name": "surge", "kind": "volume"}]})
DAY = 1_440
SURGE, SURGE_END, END = 3 * DAY + 600, 3 * DAY + 720, 4 * DAY
CALM = (0.1, 0.8, 0.1, 0.0)


def posts(
    per_minute: Callable[[int], float],
    *,
    until: int = END,
    brand: str = "Acme Air",
    author: Callable[[int], int] = lambda n: n + 1_000,
) -> list[RecordedPost]:
    rng = random.Random(5)
    found: list[RecordedPost] = []
    for minute in range(until):
        rate = per_minute(minute)
        for _ in range(int(rate) + (rng.random() < rate % 1)):
            at = (MONDAY + minute) * MINUTE_MS + rng.randrange(60_000)
            number = len(found)
            found.append(RecordedPost("test", f"{brand} {number}", author(number), (brand,), at, at + 1_000, (CALM,)))
    return sorted(found, key=lambda post: post.arrived_ms)


def surging(minute: int) -> float:
    return 6.0 if SURGE <= minute < SURGE_END else 1.0


def episodes_of(posts: list[RecordedPost], rules: RuleSet = RULES) -> list[PastEpisode]:
    backtest = Backtest(Policies(), RETENTION, LIMITS, rules=rules)
    backtest.feed(posts)
    return backtest.finish()


def minute_of(at: datetime | None) -> float:
    assert at is not None
    return at.timestamp() / 60 - MONDAY


def test_a_surge_pages_once_with_its_numbers_and_resolves() -> None:
    [found] = episodes_of(posts(surging))
    assert SURGE < minute_of(found.fired_at) < SURGE + 30
    assert SURGE_END < minute_of(found.resolved_at) < SURGE_END + 120
    proof = found.episode.first
    assert proof.usual_authors is not None
    assert proof.authors > 2 * proof.usual_authors
    assert "times as many" in proof.reason
    assert found.episode.key.split(":")[1] == "surge"
    assert found.episode.severity in ("warning", "error")


@pytest.mark.parametrize(
    "per_minute",
    [lambda minute: 1.0, lambda minute: 1.0 + (minute % DAY < 120) * 4, lambda minute: 0.02],
    ids=["even", "busy each midnight", "hardly named"],
)
def test_a_usual_number_of_people_is_no_surge(per_minute: Callable[[int], float]) -> None:
    episodes = episodes_of(posts(per_minute, until=9 * DAY))
    assert [one for one in episodes if minute_of(one.fired_at) > 7 * DAY] == []


def test_one_author_with_a_thousand_posts_is_no_surge() -> None:
    usual = posts(lambda minute: 1.0)
    flood = posts(lambda minute: 20.0 if SURGE <= minute < SURGE_END else 0.0, author=lambda _: 7)
    flooded = [RecordedPost("flood", *(getattr(post, name) for name in RecordedPost.__slots__[1:])) for post in flood]
    assert episodes_of(sorted(usual + flooded, key=lambda post: post.arrived_ms)) == []


def test_a_rule_for_other_brands_decides_nothing() -> None:
    rules = RuleSet.model_validate({"rules": [{"name": "surge", "kind": "volume", "brands": ["Zeta"]}]})
    assert episodes_of(posts(surging), rules) == []


def test_below_the_limits_of_the_rule_there_is_no_surge() -> None:
    rules = RuleSet.model_validate({"rules": [{"name": "surge", "kind": "volume", "min_ratio": 9}]})
    assert episodes_of(posts(surging), rules) == []


def a_watch() -> VolumeScorer:
    watch, rng = VolumeScorer(3_600, SurgePolicy().volume), random.Random(1)
    for hour in range(14 * 24):
        watch.score(float((MONDAY // 60 + hour) * 3_600), float(rng.randint(50, 70)))
    return watch


def windows(people: int, at: int = MONDAY + 14 * DAY + 600) -> list[WindowCounts]:
    return [WindowCounts(at, width, posts=people, authors=people) for width in (5, 20, 180)]


def test_a_dead_stream_freezes_and_few_posts_resolve_an_episode() -> None:
    watch, policy = a_watch(), EpisodePolicy(calm_minutes=15)
    opened: OpenEpisode | None = None

    def step(people: int, minute: int, *, alive: bool = True) -> str | None:
        nonlocal opened
        found = detect_surge(windows(people, minute), watch, SurgePolicy(), stream_alive=alive)
        decision = decide_surge(
            "Acme Air",
            opened,
            found,
            minute=minute,
            minutes=1,
            surge=SurgePolicy(),
            policy=policy,
            rule="surge",
        )
        opened = decision.after
        return decision.transition

    start = MONDAY + 14 * DAY + 600
    assert step(400, start) == "triggered"
    assert {step(0, start + 1 + minute, alive=False) for minute in range(300)} == {None}
    assert opened is not None
    assert opened.episode.fired_at == minute_start(start + 1)
    transitions = [step(0, start + 301 + minute) for minute in range(15)]
    assert transitions == [None] * 14 + ["resolved"]


def test_without_history_the_state_is_warming_up() -> None:
    found = detect_surge(windows(400), VolumeScorer(3_600), SurgePolicy())
    assert found.state == "warming up"
    assert "learning" in found.reason


def pages_of(shape: str, start: datetime, *, weeks: int, clock: str = "UTC", rule: str = "UTC") -> list[int]:
    """Minutes at which a rule in time zone *rule* fires for a brand of 300 people an hour in time zone *clock*."""
    first = int(start.timestamp()) // 60
    rate = rate_of(shape, first, weeks * 7 * DAY, ZoneInfo(clock)) * 5
    return pages(np.random.default_rng(first).poisson(rate), first, zone=ZoneInfo(rule))


@pytest.mark.parametrize(("day", "hour"), [(2, 9), (3, 0), (4, 19), (5, 13), (6, 9), (7, 19), (8, 9)])
def test_the_first_morning_weekend_or_monday_does_not_page(day: int, hour: int) -> None:
    assert pages_of("week", datetime(2026, 3, day, hour, tzinfo=UTC), weeks=2) == []


@pytest.mark.parametrize(
    ("clock", "start"),
    [
        ("Europe/Berlin", datetime(2026, 3, 16, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 10, 19, tzinfo=UTC)),
        ("Australia/Sydney", datetime(2026, 3, 23, tzinfo=UTC)),
        ("Asia/Kolkata", datetime(2026, 3, 2, tzinfo=UTC)),
    ],
)
def test_a_sharp_morning_does_not_page_when_the_clock_changes(clock: str, start: datetime) -> None:
    assert pages_of("peak", start, weeks=3, clock=clock, rule=clock) == []


@pytest.mark.parametrize("size", [4, 10])
def test_a_surge_of_an_hour_is_found_while_it_lasts(size: float) -> None:
    first = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) // 60
    rate = rate_of("day", first, 21 * DAY) * 5
    begin = 16 * DAY + 840
    rate[begin : begin + 60] *= size
    [fired] = pages(np.random.default_rng(1).poisson(rate), first)
    assert begin < fired < begin + 30
