"""Hacker News: every story and comment. No account is needed.

Source: github.com/HackerNews/API. Items have consecutive numbers and stay for ever, so a source that was away misses
none. A new item may be null for some seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field

from brandpulse.text.html_text import html_text
from ingest.sources.events import Batch, Cursor, Delete, Event, NewPost, Skip
from ingest.sources.source import SourceConfigError, SourceContext, SourceError, SourceSettings
from ingest.sources.web_client import get

API = "https://hacker-news.firebaseio.com"
BATCH_ITEMS = 100
REQUESTS_AT_ONCE = 20
MOST_TRIES = 30
"""An item that is null, or whose request fails while others succeed, is asked for with each poll, this often."""
KINDS = ("story", "comment", "job", "poll")


class HackerNewsSettings(SourceSettings):
    kind: Literal["hacker-news"]
    api: str = API
    poll_seconds: Annotated[float, Field(ge=0.01, le=3_600)] = 15.0
    """Pause between two looks at the newest number."""


def decode_item(item: object, number: int) -> Event | None:
    """The event of an item as the API gives it; None if it is null, so that it is asked for again. Pure."""
    if item is None:
        return None
    if not isinstance(item, dict) or (item.get("type") not in KINDS and not item.get("deleted")):
        return Skip("other_kind")
    if item.get("deleted") or item.get("dead"):
        return Delete(id=str(number))
    return _post(item, number)


def _post(item: Mapping[str, Any], number: int) -> Event:
    author, seconds = item.get("by"), item.get("time")
    if not isinstance(author, str) or not isinstance(seconds, int) or isinstance(seconds, bool):
        return Skip("no_author")
    parts = [html_text(item[name]) for name in ("title", "text") if isinstance(item.get(name), str)]
    text = "\n".join(part for part in parts if part)
    if not text:
        return Skip("no_text")
    url = f"https://news.ycombinator.com/item?id={number}"
    return NewPost(str(number), text, datetime.fromtimestamp(seconds, UTC), author, None, url)


def _stored(last: int, missing: Mapping[int, int]) -> Cursor:
    return {"item": last, "missing": {str(number): tries for number, tries in missing.items()}}


class HackerNewsSource:
    """Walks the item numbers. The cursor: `item`, the last number read, and `missing`: number -> tries."""

    def __init__(self, settings: HackerNewsSettings) -> None:
        self.settings = settings
        self._api = settings.api.rstrip("/")

    async def check(self, context: SourceContext) -> str:
        return f"{self._api} answers; the newest item is {await self._newest(context)}"

    async def read(self, cursor: Cursor | None, context: SourceContext) -> AsyncIterator[Batch]:
        last = cursor.get("item") if cursor else None
        missing: dict[int, int] = {int(number): tries for number, tries in (cursor or {}).get("missing", {}).items()}
        if not isinstance(last, int):
            last = await self._newest(context)
            yield Batch((), {"item": last})
        first = True
        while True:
            newest = await self._newest(context)
            again = list(missing)
            while last < newest or again:
                numbers = [*again, *range(last + 1, min(newest, last + BATCH_ITEMS) + 1)]
                again = []
                events = await self._events(numbers, missing, context)
                last = max(last, min(newest, last + BATCH_ITEMS))
                yield Batch(events, _stored(last, missing))
            if first:
                first = False
                yield Batch((), _stored(last, missing), caught_up=True)
            await asyncio.sleep(self.settings.poll_seconds)

    async def _newest(self, context: SourceContext) -> int:
        found = await self._json(f"{self._api}/v0/maxitem.json", context)
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise SourceError(f"{self._api} answers {str(found)[:80]!r} where the newest item's number was expected")
        return found

    async def _events(self, numbers: list[int], missing: dict[int, int], context: SourceContext) -> list[Event]:
        """Events of *numbers*, in order; updates *missing* with those that are null."""
        limit = asyncio.Semaphore(REQUESTS_AT_ONCE)

        async def one(number: int) -> object:
            async with limit:
                return await self._json(f"{self._api}/v0/item/{number}.json", context)

        items = await asyncio.gather(*map(one, numbers), return_exceptions=True)
        faults = [item for item in items if isinstance(item, BaseException)]
        if len(faults) == len(items):
            raise faults[0]
        events: list[Event] = []
        for number, item in zip(numbers, items, strict=True):
            if isinstance(item, BaseException) and not isinstance(item, (SourceError, SourceConfigError)):
                raise item
            # One failed request must not hold up the others.
            event = None if isinstance(item, BaseException) else decode_item(item, number)
            if event is not None:
                missing.pop(number, None)
                events.append(event)
                continue
            missing[number] = missing.get(number, 0) + 1
            if missing[number] >= MOST_TRIES:
                del missing[number]
                events.append(Skip("never_appeared"))
        return events

    async def _json(self, url: str, context: SourceContext) -> Any:
        answer = await get(context, url)
        try:
            return msgspec.json.decode(answer.body)
        except msgspec.DecodeError as error:
            raise SourceError(f"{url} answered with something that is not JSON") from error
