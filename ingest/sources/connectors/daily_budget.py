"""A source's budget of a day: what it may still use is booked before it is used."""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ingest.sources.source import SourceContext, SourceError
from ingest.sources.spending.ledger import MICRO, Limit, Spending


class BudgetSpentError(SourceError):
    """The day's budget is used up; the source waits for the platform's next day."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class DailyBudget:
    """Books units before they are used, so that a crash can only overstate what was used."""

    def __init__(
        self,
        source: str,
        limit: Limit,
        context: SourceContext,
        *,
        price: int = 1,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """*price* of one unit, in the limit's amounts."""
        self._source = source
        self._limit = limit
        self._context = context
        self._price = price
        self._now = now
        self._day = ""

    @property
    def day(self) -> str:
        """The platform's day now."""
        return self._limit.day(self._now())

    async def reserve(self, units: int, *, spare: int = 0) -> int:
        """Book up to *units* and return how many the budget allows, which may be 0; *spare* units stay unused."""
        self._day = self.day
        total = await self._add(units * self._price)
        over = max(0, total - (self._limit.amount - spare * self._price))
        denied = min(units, math.ceil(over / self._price))
        if denied:
            await self._add(-denied * self._price)
        return units - denied

    async def book(self, units: int) -> None:
        """Book *units* that are used already, even above the limit."""
        if units > 0:
            await self._add(units * self._price)

    async def give_back(self, units: int) -> None:
        """*units* of the last reservation were not used. Those of a day before are not worth returning."""
        if units > 0 and self._day == self.day:
            await self._add(-units * self._price)

    async def left(self) -> int:
        """Units that the budget still allows today."""
        return max(0, self._limit.amount - await self._add(0)) // self._price

    async def spending(self) -> Spending:
        return Spending(self._source, self._limit, await self._add(0))

    def spent_error(self) -> BudgetSpentError:
        """The error for a spent budget, with the pause until the next day."""
        zone = ZoneInfo(self._limit.zone)
        now = self._now().astimezone(zone)
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), zone)
        wait = midnight.timestamp() - now.timestamp()
        return BudgetSpentError(
            f"the budget of {self._limit.shown(self._limit.amount)} a day is used up until "
            f"{midnight.astimezone(UTC):%Y-%m-%d %H:%M} UTC; raise it in the sources file to read on today",
            retry_after_seconds=wait + 1,
        )

    async def _add(self, amount: int) -> int:
        total = await asyncio.to_thread(self._context.ledger.add, self._source, self._limit, amount, self._now())
        self._context.note_spending(Spending(self._source, self._limit, total))
        return total


def dollars(amount: float) -> int:
    """*amount* of dollars in the ledger's millionths."""
    return round(amount * MICRO)
