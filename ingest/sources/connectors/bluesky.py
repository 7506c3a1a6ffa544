"""Bluesky: every new post of the network, from a Jetstream server. No account is needed.

Source: docs and lexicons of bluesky-social/jetstream (v2, since August 2026; v1 is still served).
"""

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec
from pydantic import Field, field_validator

from ingest.sources.event_time import event_time, zoned_time
from ingest.sources.events import Batch, Cursor, Delete, Edit, Event, Gap, NewPost, Skip
from ingest.sources.source import SourceConfigError, SourceContext, SourceError, SourceSettings

HOSTS = ("wss://jetstream.us-east.bsky.network", "wss://jetstream.us-west.bsky.network")
POSTS = "app.bsky.feed.post"
BATCH_EVENTS = 256
BATCH_SECONDS = 0.2
"""Longest wait for more events of a batch."""
SILENCE_SECONDS = 60.0
"""The whole network is never silent for so long: the connection is dead although the socket lives."""
OVERLAP_US = 60_000_000
"""After a change of server, one minute is read again: each server numbers events itself, and clocks differ."""
FIRST_TIME_CURSOR = 10**15
"""Cursors from here on are a time in microseconds; smaller ones are sequence numbers."""
LOST_AFTER_US = 60_000_000
"""Servers differ less than this in the time at which they saw an event."""
NOTICES = ("OutdatedCursor", "FutureCursor")
"""A server's first frame, if it does not begin where it was asked to."""
CHECK_SECONDS = 20.0
FRAMES = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)


class BlueskySettings(SourceSettings):
    kind: Literal["bluesky"]
    servers: Annotated[tuple[str, ...], Field(min_length=1, max_length=8)] = HOSTS
    """Jetstream servers, wss://…; the next one is used when one fails."""
    version: Literal[1, 2] = 2
    """Of the protocol: servers before August 2026 speak version 1."""

    @field_validator("servers")
    @classmethod
    def _websockets(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for server in servers:
            parts = urlsplit(server)
            if parts.scheme not in ("ws", "wss") or not parts.hostname:
                raise ValueError(f"{server!r} is not an address such as {HOSTS[0]}")
        return tuple(server.rstrip("/") for server in servers)


class BlueskyDecoder:
    """Decodes frames of both versions. Pure: the same frame always gives the same events."""

    def decode(self, frame: bytes | str) -> tuple[Event, int, int]:
        """(event, sequence number or 0, time in microseconds) of a frame. Raises SourceError for an error frame."""
        try:
            message = msgspec.json.decode(frame)
        except msgspec.DecodeError:
            return Skip("not_json"), 0, 0
        if not isinstance(message, dict):
            return Skip("not_an_object"), 0, 0
        kind = message.get("$type")
        if kind == "error":
            raise SourceError(f"Bluesky ended the stream: {message.get('error')}: {message.get('message', '')}")
        payload = message.get("payload", message) if kind == "message" else message
        if not isinstance(payload, dict):
            return Skip("not_an_object"), 0, 0
        sequence = _whole(payload.get("seq", payload.get("cursor")))
        time_us = _whole(payload.get("time_us")) or _microseconds(payload.get("witnessedAt", payload.get("time")))
        return self._event(payload, time_us), sequence, time_us

    def _event(self, payload: Mapping[str, Any], time_us: int) -> Event:
        kind = str(payload.get("$type", "")).rpartition("#")[2] or payload.get("kind")
        did = payload.get("did")
        if kind == "info":
            name = payload.get("name")
            return Skip(name if name in NOTICES else "info")
        if not isinstance(did, str):
            return Skip("no_author")
        if kind == "account":
            account = payload.get("account", payload)
            gone = isinstance(account, dict) and account.get("active") is False
            return Delete(author_id=did) if gone else Skip("account")
        commit = payload.get("commit", payload)
        if kind != "commit" or not isinstance(commit, dict):
            return Skip("other_kind")
        return self._commit(commit, did, time_us)

    def _commit(self, commit: Mapping[str, Any], did: str, time_us: int) -> Event:
        if commit.get("collection") != POSTS:
            return Skip("other_collection")
        key = f"at://{did}/{POSTS}/{commit.get('rkey')}"
        operation = commit.get("operation")
        if operation == "delete":
            return Delete(id=key)
        if operation == "update":
            return Edit(key)
        record = commit.get("record")
        if operation != "create" or not isinstance(record, dict):
            return Skip("no_record")
        return self._post(key, record, did, time_us)

    def _post(self, key: str, record: Mapping[str, Any], did: str, time_us: int) -> Event:
        text = record_text(record)
        if not text.strip() or not time_us:
            return Skip("no_text" if time_us else "no_time")
        created_at, replaced = event_time(zoned_time(record.get("createdAt")), _from_us(time_us))
        langs = record.get("langs")
        lang = str(langs[0]) if isinstance(langs, list) and len(langs) == 1 and isinstance(langs[0], str) else None
        url = f"https://bsky.app/profile/{did}/post/{key.rpartition('/')[2]}"
        return NewPost(key, text, created_at, did, lang, url, replaced)


def record_text(record: Mapping[str, Any]) -> str:
    """The text of a post with whole links, and the descriptions of its images if it has no words."""
    text = record.get("text")
    text = text if isinstance(text, str) else ""
    if text.strip():
        return _with_whole_links(text, record.get("facets"))
    return "\n".join(_descriptions(record.get("embed")))


def _with_whole_links(text: str, facets: object) -> str:
    """Links are cut in the text and whole in the facets, whose indexes count bytes of UTF-8."""
    data = text.encode("utf-8", "surrogatepass")
    links = sorted(_links(facets, len(data)), reverse=True)
    end = len(data)
    for start, stop, uri in links:
        if stop <= end:
            data = data[:start] + uri.encode() + data[stop:]
            end = start
    return data.decode("utf-8", "replace")


def _links(facets: object, size: int) -> Iterator[tuple[int, int, str]]:
    for facet in facets if isinstance(facets, list) else ():
        index = facet.get("index") if isinstance(facet, dict) else None
        features = facet.get("features") if isinstance(facet, dict) else None
        if not isinstance(index, dict) or not isinstance(features, list):
            continue
        start, stop = index.get("byteStart"), index.get("byteEnd")
        if not (isinstance(start, int) and isinstance(stop, int) and 0 <= start < stop <= size):
            continue
        for feature in features:
            if isinstance(feature, dict) and str(feature.get("$type", "")).endswith("#link"):
                uri = feature.get("uri")
                if isinstance(uri, str) and uri.startswith(("http://", "https://")):
                    yield start, stop, uri
                    break


def _descriptions(embed: object) -> Iterator[str]:
    if not isinstance(embed, dict):
        return
    if isinstance(embed.get("media"), dict):
        yield from _descriptions(embed["media"])
    for image in embed.get("images") or embed.get("items") or ():
        alt = image.get("alt") if isinstance(image, dict) else None
        if isinstance(alt, str) and alt.strip():
            yield alt
    if isinstance(embed.get("alt"), str):
        yield embed["alt"]


class BlueskySource:
    """Reads one Jetstream server after another. The cursor: server, version, seq, time_us."""

    def __init__(self, settings: BlueskySettings) -> None:
        self.settings = settings
        self._decoder = BlueskyDecoder()
        self._failures = 0
        """Connections since the last event; each after the first is to the next server."""

    async def check(self, context: SourceContext) -> str:
        server = self.settings.servers[0]
        socket = await self._connect(server, None, context)
        try:
            message = await socket.receive(timeout=CHECK_SECONDS)
        except TimeoutError:
            raise SourceError(f"{server} accepts the connection and sends nothing for {CHECK_SECONDS:.0f} s") from None
        finally:
            await socket.close()
        if message.type not in FRAMES:
            raise SourceError(f"{server} closed the connection: {message.data} {message.extra or ''}".rstrip())
        return f"{server} sends posts (protocol version {self.settings.version})"

    async def read(self, cursor: Cursor | None, context: SourceContext) -> AsyncIterator[Batch]:
        before = _Place.of(cursor)
        servers = self.settings.servers
        first = servers.index(before.server) if before.server in servers else 0
        server = servers[(first + self._failures) % len(servers)]
        same = before.server == server and before.version == self.settings.version == 2
        # A server that sends events is asked again after a break; one that sends none gives way to the next.
        self._failures += 1
        # Sequence numbers are exact on their own server; anywhere else only the time means something.
        if same and before.seq:
            try:
                async for batch in self._read_from(server, before, before.seq, context):
                    yield batch
            except _OtherArchiveError:
                pass
        start = before.time_us - OVERLAP_US if before.time_us else None
        async for batch in self._read_from(server, before, start, context):
            yield batch

    async def _read_from(
        self, server: str, before: "_Place", start: int | None, context: SourceContext
    ) -> AsyncIterator[Batch]:
        by_sequence = start is not None and start < FIRST_TIME_CURSOR
        socket = await self._connect(server, start, context)
        try:
            reading = _Reading(server, self.settings.version, before, by_sequence=by_sequence)
            if start is None:
                # A connection that breaks before its first event resumes here, not at a later present.
                yield Batch((), {"time_us": time.time_ns() // 1_000})
            async for frames in _frames(socket, server):
                batch = reading.batch(frames, self._decoder)
                if batch is not None:
                    self._failures = 0
                    yield batch
        finally:
            await socket.close()

    async def _connect(self, server: str, start: int | None, context: SourceContext) -> aiohttp.ClientWebSocketResponse:
        if self.settings.version == 2:
            path = "/xrpc/network.bsky.jetstream.subscribeEvents"
            query: list[tuple[str, str]] = [("kinds", "commit"), ("kinds", "account"), ("collections", POSTS)]
        else:
            path, query = "/subscribe", [("wantedCollections", POSTS)]
        if start is not None:
            query.append(("cursor", str(start)))
        try:
            return await context.session.ws_connect(
                f"{server}{path}?{urlencode(query)}",
                protocols=("xrpc.v1.json",) if self.settings.version == 2 else (),
                heartbeat=30,
                max_msg_size=4 << 20,
                timeout=aiohttp.ClientWSTimeout(ws_close=5),
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 400 and start is not None and start < FIRST_TIME_CURSOR:
                # CursorTooOld. With a time the server begins at the oldest event that it keeps, and says so.
                raise _OtherArchiveError from error
            raise _refusal(server, error) from error


class _OtherArchiveError(Exception):
    """The server does not know the sequence number: it keeps no events so old, or has another archive."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The cursor of this source."""

    server: str = ""
    version: int = 0
    seq: int = 0
    time_us: int = 0

    @classmethod
    def of(cls, cursor: Cursor | None) -> "_Place":
        if not cursor:
            return cls()
        version, server = cursor.get("version"), cursor.get("server")
        return cls(str(server or ""), _whole(version), _whole(cursor.get("seq")), _whole(cursor.get("time_us")))


class _Reading:
    """One connection: turns its frames into batches, and finds the gap before the first event."""

    def __init__(self, server: str, version: int, before: _Place, *, by_sequence: bool) -> None:
        self._server = server
        self._version = version
        self._before = before
        self._by_sequence = by_sequence
        self._last_seq = before.seq if by_sequence else 0
        self._seq = self._last_seq
        self._time_us = before.time_us
        self._connected_us = time.time_ns() // 1_000
        self._clamped = False
        self._first = True

    def batch(self, frames: Sequence[bytes | str], decoder: "BlueskyDecoder") -> Batch | None:
        """Raises SourceError for an error frame, _OtherArchiveError if the server has another archive."""
        events: list[Event] = []
        gap: Gap | None = None
        for frame in frames:
            event, sequence, time_us = decoder.decode(frame)
            if isinstance(event, Skip) and event.reason in NOTICES:
                if event.reason == "FutureCursor" and self._by_sequence:
                    raise _OtherArchiveError
                self._clamped = True
                continue
            if self._last_seq and sequence and sequence <= self._last_seq:
                continue  # the cursor is inclusive
            if self._first and time_us:
                gap = self._gap_before(time_us)
                self._first = False
            events.append(event)
            self._seq = sequence or self._seq
            self._time_us = max(self._time_us, time_us)
        if not events and gap is None:
            return None
        cursor = {"server": self._server, "version": self._version, "seq": self._seq, "time_us": self._time_us}
        return Batch(events, cursor, gap, caught_up=self._time_us >= self._connected_us)

    def _gap_before(self, first_us: int) -> Gap | None:
        """The reading began before the last event that was read. If that one is missing, others are missing too."""
        if not self._before.server or self._by_sequence or first_us <= self._before.time_us:
            return None
        # A server of version 2 says that it begins later; one of version 1 does it without a word. Each server notes
        # its own time of an event, so that another server's may be later by a little.
        later_us = 0 if self._before.server == self._server else LOST_AFTER_US
        without_a_word = self._version == 1 and first_us - self._before.time_us > later_us
        if not (self._clamped or without_a_word):
            return None
        reason = f"{urlsplit(self._server).hostname} no longer keeps this period"
        return Gap(_from_us(self._before.time_us), _from_us(first_us), reason)


async def _frames(socket: aiohttp.ClientWebSocketResponse, server: str) -> AsyncIterator[Sequence[bytes | str]]:
    """Frames, some at a time: those that arrive within a short while are one list."""
    frames: list[bytes | str] = []
    due = 0.0
    while True:
        wait = SILENCE_SECONDS if not frames else max(0.0, due - time.monotonic())
        try:
            message = await socket.receive(timeout=wait or 0.000_1)
        except TimeoutError:
            if not frames:
                raise SourceError(f"{server} has sent nothing for {SILENCE_SECONDS:.0f} s") from None
            yield frames
            frames = []
            continue
        if message.type not in FRAMES:
            if frames:
                yield frames
            raise SourceError(f"{server} closed the connection: {message.data} {message.extra or ''}".rstrip())
        if not frames:
            due = time.monotonic() + BATCH_SECONDS
        frames.append(message.data)
        if len(frames) >= BATCH_EVENTS:
            yield frames
            frames = []


def _refusal(server: str, error: aiohttp.WSServerHandshakeError) -> SourceError | SourceConfigError:
    """What a refused handshake means."""
    reason = f"{server} refused the connection with {error.status} {error.message}".rstrip()
    if error.status in (400, 401, 403, 404):
        return SourceConfigError(f"{reason}; check `servers` and `version` of the source")
    after = error.headers.get("Retry-After", "") if error.headers else ""
    return SourceError(reason, retry_after_seconds=float(after) if after.isdecimal() else None)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _microseconds(value: object) -> int:
    moment = zoned_time(value)
    return int(moment.timestamp() * 1_000_000) if moment is not None else 0


def _from_us(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC)
