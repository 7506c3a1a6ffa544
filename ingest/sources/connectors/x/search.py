"""Pages of the recent search, paid before they are asked for."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from brandpulse.errors import BrandpulseError
from ingest.sources.connectors.daily_budget import DailyBudget
from ingest.sources.connectors.x.api import XApi
from ingest.sources.connectors.x.decoder import decode_post
from ingest.sources.events import Event, Gap

PAGE, LEAST_PAGE = 100, 10
"""Posts per page: what the API allows."""


@dataclass(frozen=True, slots=True)
class SearchEnd:
    """A search has ended, with the period that it did not read."""

    gap: Gap | None


async def search_pages(
    api: XApi, budget: DailyBudget, queries: Sequence[str], window: Mapping[str, str], whole: Gap
) -> AsyncIterator[Sequence[Event] | SearchEnd]:
    """The posts of a search, page by page, and at last how it ended: with *whole* as the gap if the money ends."""
    for query in queries:
        page = ""
        while True:
            posts = await budget.reserve(PAGE)
            if posts < LEAST_PAGE:
                await budget.give_back(posts)
                yield SearchEnd(whole)
                return
            try:
                answer = await api.search(query, window, posts=posts, page=page)
            except BrandpulseError:
                await budget.give_back(posts)  # a refused request is not billed
                raise
            found = [post for post in answer.get("data") or () if isinstance(post, dict)]
            await budget.give_back(posts - len(found))
            yield [decode_post(post) for post in reversed(found)]
            page = str((answer.get("meta") or {}).get("next_token") or "")
            if not page:
                break
    yield SearchEnd(None)
