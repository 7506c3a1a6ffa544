"""Posts of the stream, booked in blocks before they arrive."""

import contextlib

from brandpulse.errors import TransientError
from ingest.sources.connectors.daily_budget import DailyBudget

BLOCK_POSTS = 50
"""Most posts that are booked at once."""
MOST_SPARE_POSTS = 250
"""The stream's highest rate a second: what X may have sent when the stream is closed."""


class BookedPosts:
    """Ends the stream when 95 % of the budget are booked, at most 250 posts before its end.

    X may have sent further posts by then. More than that reserve exceed the budget, and are booked as well.
    """

    def __init__(self, budget: DailyBudget, posts_a_day: int) -> None:
        self._budget = budget
        self._block = max(1, min(BLOCK_POSTS, posts_a_day // 20))
        self._spare = min(MOST_SPARE_POSTS, posts_a_day // 20)
        self._left = 0
        self._day = budget.day

    async def begin(self) -> None:
        """Books the first block. Raises BudgetSpentError if there is none."""
        self._left = await self._budget.reserve(self._block, spare=self._spare)
        if not self._left:
            raise self._budget.spent_error()

    async def take(self, posts: int) -> None:
        """Uses *posts* booked ones. Raises BudgetSpentError if no other may come."""
        if self._day != self._budget.day:
            self._day, self._left = self._budget.day, 0
        self._left -= posts
        if self._left <= 0:
            # These came already, so that X bills them.
            await self._budget.book(-self._left)
            await self.begin()

    async def close(self) -> None:
        """Returns what was booked and did not come."""
        left, self._left = self._left, 0
        if self._day == self._budget.day:
            with contextlib.suppress(TransientError):
                await self._budget.give_back(left)
