"""Rules replayed over stored hours: the pages they would have sent."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_baseline import BaselinePolicy
from alerting.evaluation.facet_rules import facet_history
from alerting.evaluation.policies import Policies
from alerting.rules.models import DEFAULT_RULES, RuleSet
from brandpulse.backtest.rule_preview import preview_rules, watched_facet_series
from brandpulse.cli.alerting.backtest import app
from brandpulse.schema.episodes import Episode
from brandpulse.state.author_sketches import AuthorCounts
from brandpulse.state.keys import facet_of
from brandpulse.state.pane_reader import Minutes
from brandpulse.state.panes import Pane
from brandpulse.state.stored_posts import NegativePost
from tests.support.alerting.post_streams import MONDAY, PostStream

HOUR = MONDAY // 60
DAYS = 14
CRISIS = range(HOUR + 10 * 24 + 9, HOUR + 10 * 24 + 14)
SURGE = RuleSet.model_validate({"rules": [{"name": "surge", "kind": "volume"}]})


class Stored:
    """Two weeks of hours: *people* per hour, a fifth of them negative outside the crisis."""

    def __init__(self, people: Callable[[int], int], share: Callable[[int], float]) -> None:
        rng = random.Random(3)
        self.authors: dict[int, AuthorCounts] = {}
        for hour in range(HOUR, HOUR + DAYS * 24):
            count = people(hour)
            self.authors[hour] = AuthorCounts(count, sum(rng.random() < share(hour) for _ in range(count)))

    def hour_authors(self, brands: Sequence[str], first: int, last: int) -> dict[str, dict[int, AuthorCounts]]:
        return {brand: {h: seen for h, seen in self.authors.items() if first <= h <= last} for brand in brands}

    def hours(self, brands: Sequence[str], first: int, last: int) -> dict[str, dict[int, Pane]]:
        panes = {
            hour: Pane(seen.negative, seen.everyone - seen.negative, 0, -900_000 * seen.negative)
            for hour, seen in self.authors.items()
            if first <= hour <= last
        }
        return dict.fromkeys(brands, panes)


def previewed(stored: Stored, rules: RuleSet = DEFAULT_RULES) -> list[Episode]:
    history = HourHistory(stored, BaselinePolicy())
    history.read(["Acme Air"], before_hour=HOUR + DAYS * 24, since_hour=HOUR)
    return preview_rules(
        history,
        HourHistory(stored, BaselinePolicy()),
        "Acme Air",
        first_hour=HOUR,
        last_hour=HOUR + DAYS * 24 - 1,
        rules=rules,
        policies=Policies(),
    )


def test_a_crisis_is_one_page_at_the_end_of_its_hour() -> None:
    [found] = previewed(Stored(lambda _: 60, lambda hour: 0.6 if hour in CRISIS else 0.2))
    assert int(found.fired_at.timestamp()) // 3_600 - 1 in CRISIS
    assert found.fired_at.minute == 0
    assert found.resolved_at is not None
    assert found.rule == "negative_share"


def test_a_steady_brand_has_no_page() -> None:
    assert previewed(Stored(lambda _: 60, lambda _: 0.2)) == []


def test_a_volume_rule_is_replayed_over_the_volume() -> None:
    stored = Stored(lambda hour: 400 if hour in CRISIS else 60, lambda _: 0.2)
    assert previewed(stored) == []
    [found] = previewed(stored, SURGE)
    assert (found.rule, int(found.fired_at.timestamp()) // 3_600 - 1) == ("surge", CRISIS.start)


class Facets(Stored):
    """The same hours; the negative authors are those in the facet."""

    def minutes(self, *_: object, **__: object) -> dict[str, Minutes]:
        raise AssertionError("a preview reads hours")

    def hour_authors(self, series: Sequence[str], first: int, last: int) -> dict[str, dict[int, AuthorCounts]]:
        assert all(facet_of(one) == "refund" for one in series)
        found = super().hour_authors(series, first, last)
        return {name: {h: AuthorCounts(n.negative, 0) for h, n in hours.items()} for name, hours in found.items()}

    def negatives(self, brand: str, limit: int) -> list[NegativePost]:
        raise AssertionError("a preview shows no posts")


def test_a_facet_rule_is_replayed_over_the_hours_of_its_facet() -> None:
    rules = RuleSet.model_validate({"rules": [{"name": "refunds", "kind": "facet_share", "facet": "refund"}]})
    people, share = (lambda _: 200), (lambda hour: 0.2 if hour in CRISIS else 0.05)
    history = HourHistory(Stored(people, lambda _: 0.2), BaselinePolicy())
    facets = facet_history(Facets(people, share), history, BaselinePolicy())
    history.read(["Acme Air"], before_hour=HOUR + DAYS * 24, since_hour=HOUR)
    facets.read(watched_facet_series(rules, ["Acme Air"]), before_hour=HOUR + DAYS * 24, since_hour=HOUR)
    [found] = preview_rules(
        history, facets, "Acme Air", first_hour=HOUR, last_hour=HOUR + DAYS * 24 - 1, rules=rules, policies=Policies()
    )
    assert (found.rule, found.first.facet) == ("refunds", "refund")
    assert int(found.fired_at.timestamp()) // 3_600 - 1 in CRISIS
    assert found.resolved_at is not None


def test_a_crisis_that_lasts_is_still_firing() -> None:
    [found] = previewed(Stored(lambda _: 60, lambda hour: 0.7 if hour >= HOUR + DAYS * 24 - 3 else 0.2))
    assert found.state == "firing"


def test_the_command_reads_redis_and_draws_charts(
    redis_client: redis.Redis, redis_url: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, rng = PostStream(), random.Random(2)
    stream.steady("Acme Air", range(MONDAY, MONDAY + 54 * 60), per_minute=0.5, share=0.2, rng=rng)
    stream.steady("Acme Air", range(MONDAY + 54 * 60, MONDAY + 60 * 60), per_minute=2.0, share=0.8, rng=rng)
    stream.write(redis_client, namespace)
    monkeypatch.setenv("BRANDPULSE_REDIS_URL", redis_url)
    monkeypatch.setenv("BRANDPULSE_NAMESPACE", namespace)
    monkeypatch.setenv("BRANDPULSE_AUTHOR_KEY", "k" * 32)
    done = CliRunner().invoke(app, ["preview", "--days", "2", "--picture", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "negative_share" in done.output
    assert "1 brands, 2 days" in done.output
    assert "<title>" in (tmp_path / "Acme-Air.svg").read_text()
