"""Output of `brandpulse stats` besides the counts."""

import math

import pytest
import redis

from alerting.store.redis_store import RedisAlertStore
from brandpulse.ops.stats import delay_text, expected_delays, render

STORED = {"Acme Air": 36 * 60.0, "Bank": 5 * 3_600.0, "Quiet: [b]": math.inf}


@pytest.fixture
def delays(redis_client: redis.Redis, namespace: str) -> dict[str, float | None]:
    RedisAlertStore(redis_client, namespace).save_delays(STORED)
    return expected_delays(redis_client, namespace)


def test_stored_detection_delays_are_read_as_minutes(delays: dict[str, float | None]) -> None:
    assert delays == {"Acme Air": 36.0, "Bank": 300.0, "Quiet: [b]": None}


def test_without_an_alerter_no_detection_delay_is_known(redis_client: redis.Redis, namespace: str) -> None:
    assert expected_delays(redis_client, namespace) == {}


@pytest.mark.parametrize(
    ("brand", "expected"),
    [("Acme Air", "36 min"), ("Bank", "5 h"), ("Quiet: [b]", "over a day"), ("New", "not known yet")],
)
def test_a_detection_delay_is_shown_in_words(delays: dict[str, float | None], brand: str, expected: str) -> None:
    assert delay_text(delays, brand) == expected


def test_the_table_shows_the_detection_delay_of_each_brand(
    capsys: pytest.CaptureFixture[str], delays: dict[str, float | None]
) -> None:
    row = {"posts": 10, "negative": 2, "neutral": 5, "positive": 1, "irrelevant": 2}
    others = dict.fromkeys(("late", "repeated", "dead", "unmatched", "lag"), 0)
    brands = {"Acme Air": row, "New": row}
    render({"brands": brands, "facets": {}, "expected_delay_minutes": delays, **others})
    output = " ".join(capsys.readouterr().out.split())
    assert "36 min" in output
    assert "25%" in output
    assert "rises by 25 points" in output
    assert "of all posts" not in output
    facet = {"posts": 3, "negative": 1, "neutral": 2, "positive": 0, "irrelevant": 0}
    render({"brands": brands, "facets": {"New": {"refund": facet}}, "expected_delay_minutes": delays, **others})
    assert "New refund 3 1 30.0%" in " ".join(capsys.readouterr().out.split())


def test_languages_are_shown_unless_all_posts_are_english(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"posts": 10, "negative": 2, "neutral": 5, "positive": 1, "irrelevant": 2}
    totals = {"brands": {"Acme": row}, "facets": {}, "expected_delay_minutes": {}, "late": 0, "dead": 0, "unmatched": 0}
    render({**totals, "languages": {"Acme": {"en": 7}}})
    assert "posts by language" not in capsys.readouterr().out
    render({**totals, "languages": {"Acme": {"en": 6, "de": 3, "other": 1}}})
    assert "Acme en 6 (60%), de 3 (30%), other 1 (10%)" in " ".join(capsys.readouterr().out.split())


def test_posts_that_count_for_no_brand_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"sentence": "All posts from '[b]rss' name no brand.", "remedy": "add [these] spellings"}
    totals = {"brands": {}, "facets": {}, "expected_delay_minutes": {}, "late": 0, "repeated": 0, "dead": 3}
    render({**totals, "unmatched": 40, "unread": 7, "lag": 0, "problems": [problem]})
    output = " ".join(capsys.readouterr().out.split())
    assert "None of 50 posts is counted for a brand." in output
    assert "No posts counted yet" not in output
    assert "All posts from '[b]rss' name no brand. -> add [these] spellings" in output
