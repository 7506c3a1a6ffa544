"""What a source may use up in a day."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp

from ingest.sources.connectors.daily_budget import DailyBudget, dollars
from ingest.sources.source import SourceContext
from ingest.sources.spending.ledger import Ledger, Limit, MemoryLedger, Spending

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
DOLLAR = Limit("dollars", dollars(1.0), "UTC")


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def a_budget(ledger: Ledger, clock: Clock, noted: list[Spending] | None = None, limit: Limit = DOLLAR) -> DailyBudget:
    session: aiohttp.ClientSession = None  # type: ignore[assignment]  # a budget asks no server
    note = noted.append if noted is not None else lambda _: None
    context = SourceContext(session, (), asyncio.Event(), ledger=ledger, note_spending=note)
    return DailyBudget("x", limit, context, price=5_000, now=clock)


def test_no_more_is_reserved_than_the_budget_allows() -> None:
    async def run() -> None:
        noted: list[Spending] = []
        budget = a_budget(MemoryLedger(), Clock(NOON), noted)
        assert [await budget.reserve(150), await budget.reserve(150), await budget.reserve(1)] == [150, 50, 0]
        await budget.give_back(30)
        assert [await budget.left(), await budget.reserve(100)] == [30, 30]
        assert noted[-1] == Spending("x", DOLLAR, DOLLAR.amount)

    asyncio.run(run())


def test_spare_units_stay_unused() -> None:
    async def run() -> None:
        assert await a_budget(MemoryLedger(), Clock(NOON)).reserve(500, spare=20) == 180

    asyncio.run(run())


def test_another_day_has_its_own_budget() -> None:
    async def run() -> None:
        clock, ledger = Clock(NOON), MemoryLedger()
        budget = a_budget(ledger, clock)
        assert await budget.reserve(500) == 200
        assert budget.spent_error().retry_after_seconds == 12 * 3_600 + 1
        clock.now += timedelta(hours=12)
        await budget.give_back(200)  # those of the day before
        assert await budget.left() == 200

    asyncio.run(run())


def test_a_day_begins_at_midnight_of_its_zone() -> None:
    limit = Limit("units", 10, "America/Los_Angeles")
    morning = datetime(2026, 12, 1, 7, 30, tzinfo=UTC)
    assert limit.day(morning) == "2026-11-30"
    error = a_budget(MemoryLedger(), Clock(morning), limit=limit).spent_error()
    assert error.retry_after_seconds == 1_801
    assert "2026-12-01 08:00 UTC" in str(error)


def test_amounts_are_shown_as_a_person_writes_them() -> None:
    assert Spending("x", DOLLAR, 250_000).sentence == "$0.25 of $1.00 used today"
    assert Spending("yt", Limit("units", 9_000, "UTC"), 1_200).sentence == "1,200 units of 9,000 units used today"
