"""X: posts that name a brand, from the filtered stream or the recent search of the API v2. Each post costs money.

Source: docs.x.com (filtered stream: build a rule, handling disconnections; recent search; pricing). A stream of
pay-per-use access cannot be resumed: after a connection the recent search reads what was missed, and the position stays
before it until then.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from brandpulse.runtime.backoff import pause
from ingest.sources.connectors.daily_budget import BudgetSpentError, DailyBudget
from ingest.sources.connectors.x.api import TooManyConnectionsError, XApi, check_number
from ingest.sources.connectors.x.booked_posts import BookedPosts
from ingest.sources.connectors.x.decoder import decode_line
from ingest.sources.connectors.x.place import OVERLAP, SPENT, Place
from ingest.sources.connectors.x.rules import TAG, search_queries, stream_rules, unsearchable
from ingest.sources.connectors.x.search import SearchEnd, search_pages
from ingest.sources.connectors.x.settings import XSettings
from ingest.sources.events import Batch, Cursor, Event, Gap, Skip
from ingest.sources.secrets import secret
from ingest.sources.source import SourceConfigError, SourceContext, SourceError

log = logging.getLogger(__name__)

SEARCHABLE_AFTER = timedelta(seconds=11)
"""The recent search refuses an end that is less than 10 seconds ago."""
RULES_SECONDS = 5.0
"""How often the brands are compared with the rules."""
SAVE_SECONDS = 5.0
"""Time for the broker to confirm and for the position to be saved, before the source waits for another day."""
LONGEST_LINE = 4 << 20
QUEUED = 256
"""Chunks of the stream that wait to be taken."""


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines of the stream that arrived together; none for a sign of life."""

    at: datetime
    lines: Sequence[bytes]


Item = _Lines | SearchEnd | Sequence[Event] | Exception


class XSource:
    """Reads one app's stream. The cursor: `until`, `since_id`, `reason`, as `Place` has them."""

    def __init__(self, settings: XSettings) -> None:
        self.settings = settings
        self._token = secret(settings.token_env, source=settings.name)
        self._failures = 0
        self._crowded = 0
        """Refusals in a row because of too many connections."""

    async def check(self, context: SourceContext) -> str:
        api, brands = XApi(self.settings, self._token, context), context.current_brands()
        wanted = stream_rules(brands, self.settings)
        check_number(wanted)
        stored = await api.rules()
        values = {rule.value for rule in stored}
        new = [rule for rule in wanted if rule.value not in values]
        refused = await api.add_rules(new, only_check=True) if new else {}
        if refused:
            value, reason = next(iter(refused.items()))
            brand = next((rule.brand for rule in wanted if rule.value == value), "?")
            raise SourceConfigError(
                f"X refuses {len(refused)} of {len(wanted)} rules; that of brand {brand!r}: {reason}; correct its words"
            )
        without = unsearchable(brands)
        others = sum(not rule.tag.startswith(TAG) for rule in stored)
        parts = [
            f"X accepts the token and the {len(wanted)} rules of {len(brands) - len(without)} brands",
            f"{len(without)} brands have no word that X can search" if without else "",
            f"{others} rules of other programs also bring posts that cost money" if others else "",
            (await self._budget(context).spending()).sentence,
        ]
        return "; ".join(part for part in parts if part)

    async def read(self, cursor: Cursor | None, context: SourceContext) -> AsyncIterator[Batch]:
        budget, api = self._budget(context), XApi(self.settings, self._token, context)
        api.failures = self._failures
        if not await budget.left():
            raise budget.spent_error()
        place = Place.of(cursor)
        reading = self._stream if self.settings.mode == "stream" else self._search
        try:
            async with contextlib.aclosing(reading(place, api, budget, context)) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    yield batch
        except BudgetSpentError:
            place.reason = SPENT
            yield Batch((), place.cursor())
            await pause(context.stop, SAVE_SECONDS)
            raise
        finally:
            self._failures = api.failures

    async def _search(
        self, place: Place, api: XApi, budget: DailyBudget, context: SourceContext
    ) -> AsyncIterator[Batch]:
        while True:
            end = datetime.now(UTC) - SEARCHABLE_AFTER
            if place.until is None:
                place.until = end
            begin, gap = self._begin(place, end)
            queries, before = search_queries(context.current_brands(), self.settings), place.cursor()
            window = place.window(begin=begin, end=end, now=end)
            async for item in search_pages(api, budget, queries, window, Gap(begin, end, self._spent)):
                if isinstance(item, SearchEnd):
                    place.read_until(end)
                    lost = _joined(gap, item.gap)
                    yield Batch((), place.cursor(), lost, caught_up=True)
                    if item.gap is not None:
                        raise budget.spent_error()
                else:
                    place.searched(item)
                    yield Batch(item, before, caught_up=False)
            await asyncio.sleep(self.settings.poll_minutes * 60)

    async def _stream(
        self, place: Place, api: XApi, budget: DailyBudget, context: SourceContext
    ) -> AsyncIterator[Batch]:
        booked = BookedPosts(budget, self.settings.limit.amount // self.settings.price)
        queue: asyncio.Queue[Item] = asyncio.Queue(QUEUED)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(booked.close)
            await booked.begin()
            if skipped := await self._sync_rules(api, context):
                yield Batch(skipped, place.cursor())
            content = await self._connect(stack, api)
            connected = datetime.now(UTC)
            if place.until is None:
                place.read_until(connected)
            begin, gap = self._begin(place, connected)
            yield Batch((), place.cursor())  # the connection works: pauses begin small again
            refill = self._refill(queue, place, api, budget=budget, context=context, begin=begin, connected=connected)
            tasks = [
                asyncio.create_task(_into(queue, self._pump(content, queue, booked, api))),
                asyncio.create_task(_into(queue, self._keep_rules(queue, api, context))),
                asyncio.create_task(_into(queue, refill)),
            ]
            try:
                async for batch in _taken(queue, place, gap):
                    yield batch
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def _connect(self, stack: contextlib.AsyncExitStack, api: XApi) -> aiohttp.StreamReader:
        try:
            content = await stack.enter_async_context(api.stream())
        except TooManyConnectionsError:
            self._crowded += 1
            if self._crowded % 3 == 2:
                # A socket that broke without a word counts for up to a day. Every third time, so that two programs
                # with one token do not cut each other's stream again and again.
                log.warning("x closes old connections", extra={"source": self.settings.name})
                await api.close_connections()
            raise
        self._crowded = 0
        return content

    def _begin(self, place: Place, connected: datetime) -> tuple[datetime, Gap | None]:
        """Where the search begins, and the gap before it."""
        until = place.until or connected
        if place.reason == SPENT:
            # The past would use up the new day's budget.
            return connected, Gap(until, connected, self._spent)
        earliest = connected - timedelta(hours=self.settings.refill_hours)
        if until >= earliest:
            return until, None
        return earliest, Gap(until, earliest, f"refill_hours is {self.settings.refill_hours:g}")

    async def _pump(
        self, content: aiohttp.StreamReader, queue: asyncio.Queue[Item], booked: BookedPosts, api: XApi
    ) -> None:
        """Puts the lines of the stream into *queue*, and books each post."""
        rest = b""
        try:
            while True:
                chunk = await content.readany()
                if not chunk:
                    raise SourceError("X closed the stream")
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LONGEST_LINE:
                    raise SourceError(f"X sent a line of more than {LONGEST_LINE >> 20} MB")
                posts = [line.strip() for line in lines if line.strip()]
                api.failures = 0
                await queue.put(_Lines(datetime.now(UTC), posts))
                await booked.take(sum(b'"data"' in line for line in posts))
        except TimeoutError:
            raise SourceError("X sent nothing, not even an empty line, for too long") from None

    async def _keep_rules(self, queue: asyncio.Queue[Item], api: XApi, context: SourceContext) -> None:
        """Changes the rules when the brands file has changed. The stream goes on."""
        known = context.current_brands()
        while True:
            await asyncio.sleep(RULES_SECONDS)
            if context.current_brands() is known:
                continue
            known = context.current_brands()
            await queue.put(await self._sync_rules(api, context))

    async def _sync_rules(self, api: XApi, context: SourceContext) -> list[Event]:
        """Makes the rules of the app those of the brands. An event for each refused rule."""
        wanted = stream_rules(context.current_brands(), self.settings)
        check_number(wanted)
        if not wanted:
            raise SourceConfigError("no brand of the brands file has a word that X can search")
        stored = await api.rules()
        values, wanted_values = {rule.value for rule in stored}, {rule.value for rule in wanted}
        old = [rule.id for rule in stored if rule.tag.startswith(TAG) and rule.value not in wanted_values]
        new = [rule for rule in wanted if rule.value not in values]
        refused = await api.add_rules(new) if new else {}
        if old:
            await api.delete_rules(old)
        for rule in new:
            if rule.value in refused:
                facts = {"source": self.settings.name, "brand": rule.brand, "reason": refused[rule.value]}
                log.warning("x rule refused: posts of this brand may be missing", extra=facts)
        if new or old:
            counts = {"added": len(new) - len(refused), "deleted": len(old), "refused": len(refused)}
            log.info("x rules changed", extra={"source": self.settings.name, **counts})
        if len(refused) == len(wanted):
            raise SourceConfigError(f"X refuses every rule; the first: {next(iter(refused.values()))}")
        return [Skip("rule_refused")] * len(refused)

    async def _refill(
        self,
        queue: asyncio.Queue[Item],
        place: Place,
        api: XApi,
        *,
        budget: DailyBudget,
        context: SourceContext,
        begin: datetime,
        connected: datetime,
    ) -> None:
        """Puts the posts into *queue* that were missed before the connection."""
        end = connected.replace(microsecond=0) + timedelta(seconds=1)
        if begin < connected and not self._sent_again(begin, connected):
            # The index has new posts after some seconds.
            await asyncio.sleep(max(0.0, (end + SEARCHABLE_AFTER - datetime.now(UTC)).total_seconds()))
            window = place.window(begin=begin, end=end, now=connected)
            queries = search_queries(context.current_brands(), self.settings)
            async for item in search_pages(api, budget, queries, window, Gap(begin, connected, self._spent)):
                await queue.put(item)
        else:
            await queue.put(SearchEnd(None))

    @property
    def _spent(self) -> str:
        limit = self.settings.limit
        return f"the budget of {limit.shown(limit.amount)} a day was used up"

    def _sent_again(self, begin: datetime, connected: datetime) -> bool:
        return connected - begin + OVERLAP < timedelta(minutes=self.settings.backfill_minutes)

    def _budget(self, context: SourceContext) -> DailyBudget:
        return DailyBudget(self.settings.name, self.settings.limit, context, price=self.settings.price)


async def _taken(queue: asyncio.Queue[Item], place: Place, gap: Gap | None) -> AsyncIterator[Batch]:
    """Batches of what is put into *queue*. The position moves once the missed posts are there, with *gap*."""
    refilled = False
    while True:
        item = await queue.get()
        if isinstance(item, Exception):
            raise item
        if isinstance(item, SearchEnd):
            refilled = True
            place.read_until(datetime.now(UTC))
            yield Batch((), place.cursor(), _joined(gap, item.gap), caught_up=True)
        elif isinstance(item, _Lines):
            events, fault = _decoded(item.lines)
            place.arrived(events)
            if refilled and fault is None:
                place.read_until(item.at)
            if events or (refilled and fault is None):
                yield Batch(events, place.cursor(), caught_up=refilled)
            if fault is not None:
                raise fault
        else:
            place.arrived(item)
            yield Batch(item, place.cursor(), caught_up=False)


def _decoded(lines: Sequence[bytes]) -> tuple[list[Event], SourceError | None]:
    """The events before a message that ends the stream, and its error."""
    events: list[Event] = []
    for line in lines:
        try:
            events.append(decode_line(line))
        except SourceError as error:
            return events, error
    return events, None


def _joined(first: Gap | None, second: Gap | None) -> Gap | None:
    """One gap from two that follow each other."""
    if first is None or second is None:
        return first or second
    return Gap(first.begin, second.end, second.reason)


async def _into(queue: asyncio.Queue[Item], work: Coroutine[Any, Any, None]) -> None:
    """Does *work*; its error goes into *queue*, behind what it put there."""
    try:
        await work
    except Exception as error:
        await queue.put(error)
