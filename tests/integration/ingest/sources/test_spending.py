"""What a source has used up today, in a real store, and where a person sees it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from brandpulse.config.settings import Settings
from brandpulse.ops import stats
from brandpulse.ops.source_check import check_sources
from ingest.sources.spending.ledger import Ledger, Limit, MemoryLedger, RedisLedger, Spending
from tests.support.sources.source_runs import a_brands_file

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
DOLLARS, UNITS = Limit("dollars", 5_000_000, "UTC"), Limit("units", 9_000, "America/Los_Angeles")


@pytest.fixture(params=["redis", "memory"])
def ledger(request: pytest.FixtureRequest, redis_client: redis.Redis, namespace: str) -> Ledger:
    return RedisLedger(redis_client, namespace) if request.param == "redis" else MemoryLedger()


def test_each_source_has_a_total_of_its_day(ledger: Ledger) -> None:
    assert [ledger.add("x", DOLLARS, amount, NOON) for amount in (10_000, 5_000, -2_000)] == [10_000, 15_000, 13_000]
    ledger.add("youtube", UNITS, 7, NOON)
    assert ledger.spendings(NOON) == [Spending("x", DOLLARS, 13_000), Spending("youtube", UNITS, 7)]
    tomorrow = NOON + timedelta(hours=13)  # in California it is still the same day
    assert ledger.spendings(tomorrow) == [Spending("x", DOLLARS, 0), Spending("youtube", UNITS, 7)]


def test_stats_shows_what_was_spent(
    redis_client: redis.Redis, redis_url: str, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    RedisLedger(redis_client, namespace).add("x", DOLLARS, 1_250_000, datetime.now(UTC))
    totals = stats.collect(Settings(redis_url=redis_url, namespace=namespace))
    assert totals["spending"] == {"x": {"unit": "dollars", "spent": 1.25, "limit": 5.0}}
    stats.render(totals)
    assert "x: $1.25 of $5.00 used today" in capsys.readouterr().out


def test_a_check_without_redis_names_it_and_asks_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources.yaml").write_text(
        "sources:\n  - {name: x, kind: x, token_env: NOT_SET_IN_THIS_TEST, budget_dollars_per_day: 5}\n"
    )
    monkeypatch.setenv("BRANDPULSE_SOURCES_FILE", str(tmp_path / "sources.yaml"))
    monkeypatch.setenv("BRANDPULSE_BRANDS_FILE", str(a_brands_file(tmp_path)))
    monkeypatch.setenv("BRANDPULSE_REDIS_URL", "redis://127.0.0.1:1")
    budgets, x = check_sources()
    assert budgets[:2] == ("budgets", False)
    assert "start it with `brandpulse up`" in budgets[2]
    assert "NOT_SET_IN_THIS_TEST, which is not set" in x[2]
