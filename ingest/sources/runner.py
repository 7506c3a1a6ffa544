"""Runs one source: reads, filters, sends, and saves its position once the broker has confirmed."""

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
import msgspec

from brandpulse.errors import BrandpulseError, TransientError
from brandpulse.runtime.backoff import Backoff, pause
from brandpulse.runtime.metrics import Telemetry
from brandpulse.schema.posts import MAX_ID_CHARS, MAX_TEXT_CHARS, fits
from brandpulse.state.applied_logs import AppliedLogs
from brandpulse.state.live_sources import SourceRecord
from ingest.sources.brand_filter import BrandFilter
from ingest.sources.deletions import deletions_among
from ingest.sources.delivery import PostDelivery, Sending
from ingest.sources.events import Batch, Cursor, Delete, Edit, Gap, NewPost, Reject
from ingest.sources.outages import Outages
from ingest.sources.position_store import Position, PositionStore, new_position, resumable
from ingest.sources.source import Source, SourceConfigError, SourceContext, SourceError

log = logging.getLogger(__name__)

SAVE_SECONDS = 1.0
OPEN_POSTS = 2_000
"""Most posts of one source that wait for the broker. It bounds memory, and how long one source holds up another."""
FLUSH_SECONDS = 10.0
"""How long a stopping source waits for open deliveries."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 60.0


@dataclass(frozen=True, slots=True)
class Destination:
    """Where posts go, and what the workers made of earlier ones."""

    delivery: PostDelivery
    store: PositionStore
    topic_id: Callable[[], str]
    """The topic's id as last seen."""
    applied: Callable[[], AppliedLogs]
    """How far the workers have applied each log. Raises TransientError."""


@dataclass(slots=True)
class _Sent:
    """One batch whose posts are with the producer."""

    sending: Sending
    posts: int
    cursor: Cursor
    gaps: list[Gap]
    """Periods before the batch that are lost: stored with its cursor, or found again."""
    newest: datetime | None


@dataclass(slots=True)
class SourceState:
    """What a source does now, for /readyz and the log."""

    status: str = "starting"
    reason: str = ""
    last_event: datetime | None = None
    lag_seconds: float | None = None
    reconnects: int = 0
    gaps: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)


class SourceRunner:
    """One source, until `stop`. A fault of the network never ends it; wrong settings do."""

    def __init__(
        self,
        source: Source,
        destination: Destination,
        context: SourceContext,
        brands: BrandFilter,
        telemetry: Telemetry,
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        save_seconds: float = SAVE_SECONDS,
        before: SourceRecord | None = None,
    ) -> None:
        """*before*: the record of an earlier run."""
        self.state = SourceState(last_event=before.last_event if before is not None else None)
        self._outages = Outages(before, datetime.now(UTC))
        self._resumed = False
        self._first_pause_seconds = first_pause_seconds
        self._save_seconds = save_seconds
        self._source = source
        self._settings = source.settings
        self._destination = destination
        self._context = context
        self._brands = brands
        self._telemetry = telemetry
        self._label = source.settings.source or source.settings.kind
        self._open: deque[_Sent] = deque()
        self._open_posts = 0
        self._due = 0.0
        self._received = False
        self._confirmed: _Sent | None = None
        self._saving: asyncio.Task[None] | None = None
        self._unsaved_gap: Gap | None = None
        self._next: dict[int, int] = {}
        self._log_id = ""

    async def run(self) -> None:
        """Until the context's `stop`, or until the platform refuses the settings."""
        backoff = Backoff(
            self._context.stop, first_seconds=self._first_pause_seconds, most_seconds=LONGEST_PAUSE_SECONDS
        )
        while not self._context.stop.is_set():
            self._received = False
            try:
                await self._read_and_save()
            except SourceConfigError as error:
                self._set("refused", str(error))
                self._outages.interrupted(datetime.now(UTC), str(error))
                remedy = "correct the sources file: it is read again when it changes"
                log.warning("source refused", extra=self._facts(reason=str(error), remedy=remedy))
                return
            except (SourceError, TransientError, TimeoutError, OSError, aiohttp.ClientError) as error:
                fault: Exception = error
            except Exception as error:
                log.exception("source crashed", extra=self._facts())
                fault = error
            else:
                continue
            if self._received:
                backoff.reset()
            self._telemetry.counter("brandpulse_source_reconnects_total").labels(self._settings.name).inc()
            self.state.reconnects += 1
            wait = getattr(fault, "retry_after_seconds", None)
            longest = backoff.grow()
            reason = str(fault) or type(fault).__name__
            if isinstance(fault, aiohttp.ClientConnectorError):
                reason = f"{reason}; check the network, a proxy, and the address"
            self._set("waiting", reason)
            self._outages.interrupted(datetime.now(UTC), reason)
            log.warning("source interrupted", extra=self._facts(reason=reason, retry_seconds=wait or longest))
            if wait is not None:
                await pause(self._context.stop, min(wait, 3_600.0))
            else:
                await backoff.pause()
        self._set("stopped", "")

    async def _read_and_save(self) -> None:
        """One connection. Raises what ends it; returns when asked to stop."""
        self._open.clear()
        self._open_posts, self._confirmed, self._next = 0, None, {}
        self._log_id = self._destination.topic_id()
        positions = await asyncio.to_thread(self._destination.store.load, self._settings.name)
        applied = await asyncio.to_thread(self._destination.applied) if positions else AppliedLogs()
        start, gap = resumable(positions, topic_id=self._log_id, applied=applied)
        if start is not None and start is not positions[0]:
            log.warning("source goes back: the broker lost records", extra=self._facts(cursor=start.cursor))
        self._unsaved_gap = gap
        if gap is not None:
            self._report(gap)
        if start is not None and start.topic_id == self._log_id:
            self._next = {int(partition): offset for partition, offset in start.next.items()}
        self._set("connecting", self.state.reason)
        self._resumed = start is not None
        reading = asyncio.create_task(self._read(start.cursor if start is not None else None))
        saving = asyncio.create_task(self._save_until_failure())
        stopping = asyncio.create_task(self._context.stop.wait())
        try:
            await asyncio.wait({reading, saving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, saving, stopping):
                task.cancel()
            await asyncio.wait({reading, saving, stopping})
            await self._flush()
        for task in (saving, reading):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        if not self._context.stop.is_set():
            raise SourceError("the source ended its stream")

    async def _read(self, cursor: Cursor | None) -> None:
        async with contextlib.aclosing(self._source.read(cursor, self._context)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                self._received = True
                self._set("reading", "")
                await self._send(batch)

    async def _send(self, batch: Batch) -> None:
        rows: list[tuple[str, bytes]] = []
        posts = [event for event in batch.events if isinstance(event, NewPost)]
        newest = max((post.created_at for post in posts), default=None)
        now = datetime.now(UTC)
        refilled = self._outages.received(
            now, resumed=self._resumed, lost=batch.gap, newest=newest, caught_up=batch.caught_up
        )
        for found in (batch.gap, refilled):
            if found is not None:
                self._report(found)
        gaps = [gap for gap in (self._unsaved_gap, batch.gap, refilled) if gap is not None]
        self._unsaved_gap = None
        if replaced := sum(post.time_replaced for post in posts):
            counter = self._telemetry.counter("brandpulse_source_times_replaced_total")
            counter.labels(self._settings.name).inc(replaced)
        for outcome, number in Counter(self._outcome(event, rows) for event in batch.events).items():
            self.state.outcomes[outcome] = self.state.outcomes.get(outcome, 0) + number
            counter = self._telemetry.counter("brandpulse_source_events_total")
            counter.labels(self._settings.name, outcome).inc(number)
        if newest is not None:
            self.state.last_event = newest
            self.state.lag_seconds = max(0.0, (now - newest).total_seconds())
            for what, seconds in (("last_event", newest.timestamp()), ("lag", self.state.lag_seconds)):
                gauge = self._telemetry.gauge(f"brandpulse_source_{what}_seconds")
                gauge.labels(self._settings.name).set(seconds)
        while self._open and self._open_posts + len(rows) > OPEN_POSTS:
            await self._open[0].sending.done.wait()
            self._collect()
        if deletions := list(deletions_among(batch.events, self._label)):
            # Before the batch is open: no position after it is stored without its deletions.
            await asyncio.to_thread(self._destination.store.queue_deletions, deletions)
        await self._keep_rate(len(rows))
        rejects = [event for event in batch.events if isinstance(event, Reject)]
        sending = await self._destination.delivery.send(rows, rejects)
        self._open.append(_Sent(sending, len(rows), batch.cursor, gaps, newest))
        self._open_posts += len(rows)

    def _outcome(self, event: object, rows: list[tuple[str, bytes]]) -> str:
        if isinstance(event, Delete):
            return "deleted"
        if isinstance(event, Edit):
            return "edited"
        if not isinstance(event, NewPost):
            return str(getattr(event, "reason", "unknown"))
        if (fault := _fault_of(event)) is not None:
            return fault
        if self._settings.only_brands and not self._brands.names_a_brand(event.text):
            return "no_brand"
        rows.append((event.id, self._payload(event)))
        return "sent"

    def _payload(self, post: NewPost) -> bytes:
        return msgspec.json.encode(
            {
                "schema_version": 1,
                "id": post.id,
                "text": post.text.encode("utf-8", "replace").decode(),
                "created_at": post.created_at,
                "author_id": post.author_id,
                "source": self._label,
                **({"lang": post.lang} if post.lang and fits("lang", post.lang) else {}),
                **({"url": post.url} if post.url and fits("url", post.url) else {}),
            }
        )

    async def _keep_rate(self, posts: int) -> None:
        """Waits so that the source sends at most its posts per second, with a second's worth at once."""
        now = time.monotonic()
        self._due = max(self._due, now - 1.0) + posts / self._settings.posts_per_second
        if self._due > now:
            await pause(self._context.stop, self._due - now)

    def _collect(self) -> None:
        """Takes the confirmed batches from the front. Raises TransientError if one failed.

        A failed batch stays at the front: no position after it may ever be stored.
        """
        while self._open and self._open[0].sending.done.is_set():
            sent = self._open[0]
            if sent.sending.failure is not None:
                raise TransientError(f"Kafka did not take the posts: {sent.sending.failure}")
            self._open.popleft()
            self._open_posts -= sent.posts
            for partition, offset in sent.sending.next.items():
                # The largest: after a lost log offsets begin again, and the larger one keeps the source careful.
                self._next[partition] = max(offset, self._next.get(partition, 0))
            before = self._confirmed
            newest = max((at for at in (sent.newest, before.newest if before else None) if at), default=None)
            gaps = [*(before.gaps if before else ()), *sent.gaps]
            self._confirmed = _Sent(sent.sending, 0, sent.cursor, gaps, newest)

    async def _save_until_failure(self) -> None:
        while True:
            await asyncio.sleep(self._save_seconds)
            await self._save()
            if self._destination.topic_id() != self._log_id:
                raise SourceError("the topic was created again")

    async def _save(self) -> None:
        if self._saving is not None:
            await asyncio.wait({self._saving})
        self._collect()
        confirmed = self._confirmed
        if confirmed is None:
            return
        # A cancelled caller must not leave a thread that still writes: the next save would store the gaps twice.
        self._saving = asyncio.create_task(self._store(confirmed))
        await asyncio.shield(self._saving)

    async def _store(self, confirmed: _Sent) -> None:
        position: Position = new_position(
            confirmed.cursor, topic_id=self._log_id, sent=self._next, last_event=confirmed.newest
        )
        try:
            await asyncio.to_thread(self._destination.store.save, self._settings.name, position, confirmed.gaps)
        except TransientError as error:
            # Reading goes on: after a crash the posts since the last position are read twice and counted once.
            log.warning("position not saved", extra=self._facts(reason=str(error)))
            return
        # The reading task may have collected more in the meantime; its gaps include those that are saved now.
        if self._confirmed is confirmed:
            self._confirmed = None
        elif self._confirmed is not None:
            del self._confirmed.gaps[: len(confirmed.gaps)]

    async def _flush(self) -> None:
        """After the reading: the position of what the broker still confirms."""
        deadline = time.monotonic() + (FLUSH_SECONDS if self._context.stop.is_set() else 0.0)
        for sent in list(self._open):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sent.sending.done.wait(), max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(BrandpulseError):
            await self._save()

    def record(self, now: datetime) -> SourceRecord:
        """The state as it is stored for other programs."""
        state, outages = self.state, self._outages
        return SourceRecord(
            self._settings.kind,
            state.status,
            now,
            state.reason,
            outages.away_since,
            outages.rereading,
            state.last_event,
            state.lag_seconds,
            state.reconnects,
            state.gaps,
            dict(state.outcomes),
        )

    def _report(self, gap: Gap) -> None:
        seconds = max(0.0, (gap.end - gap.begin).total_seconds())
        if gap.refilled:
            self._telemetry.counter("brandpulse_source_refilled_seconds_total").labels(self._settings.name).inc(seconds)
            facts = self._facts(begin=gap.begin.isoformat(), end=gap.end.isoformat(), reason=gap.reason)
            log.info("source gap refilled: all posts of this period were read", extra=facts)
            return
        self.state.gaps += 1
        self._telemetry.counter("brandpulse_source_gap_seconds_total").labels(self._settings.name).inc(seconds)
        log.warning(
            "source gap: posts of this period may be missing",
            extra=self._facts(begin=gap.begin.isoformat(), end=gap.end.isoformat(), reason=gap.reason),
        )

    def _set(self, status: str, reason: str) -> None:
        self.state.status, self.state.reason = status, reason
        self._telemetry.gauge("brandpulse_source_up").labels(self._settings.name).set(status == "reading")

    def forget(self) -> None:
        """Removes the gauges of a source that is gone: at 0 they would look like a fault for ever."""
        amounts = [f"brandpulse_source_{what}_{unit}" for what in ("spent", "budget") for unit in ("dollars", "units")]
        for name in (
            "brandpulse_source_up",
            "brandpulse_source_last_event_seconds",
            "brandpulse_source_lag_seconds",
            *amounts,
        ):
            self._telemetry.gauge(name).remove(self._settings.name)

    def _facts(self, **more: object) -> dict[str, object]:
        return {"source": self._settings.name, **more}


def _fault_of(post: NewPost) -> str | None:
    """Why workers would refuse *post*, or None."""
    if not 0 < len(post.id) <= MAX_ID_CHARS or not 0 < len(post.author_id) <= MAX_ID_CHARS:
        return "bad_id"
    if not post.text.strip():
        return "no_text"
    return "too_long" if len(post.text) > MAX_TEXT_CHARS else None
