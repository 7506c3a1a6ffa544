"""A Jetstream server over a log in memory, both protocol versions, with the faults of real ones.

It speaks the documented protocol: inclusive cursors, times as cursors from 10^15 on, the oldest event it keeps, and the
advisory frames. `faults` are used up one per connection.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import WSCloseCode, web

from brandpulse.runtime.lifecycle import listening

TIME_CURSOR = 10**15
POSTS = "app.bsky.feed.post"


@dataclass(frozen=True, slots=True)
class Fault:
    """What one connection does. Without a fault the server sends all events and waits for more."""

    refuse: int | None = None
    """Answer the handshake with this status."""
    after: int | None = None
    """Events until the connection ends."""
    end: str = "abort"
    """How: `abort` (no close frame), `close` (1001), `slow` (the error frame ConsumerTooSlow), `silence`."""
    repeat: int = 0
    """Send the last events before the cursor again."""


@dataclass(slots=True)
class Entry:
    seq: int
    time_us: int
    did: str
    commit: Mapping[str, Any] | None
    account: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Jetstream:
    """The server. `add` appends an event; `kept_from` is the first event that it still has."""

    faults: deque[Fault] = field(default_factory=deque)
    log: list[Entry] = field(default_factory=list)
    kept_from: int = 0
    """Index of the oldest event that is kept."""
    first_seq: int = 1
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    transports: list[asyncio.Transport] = field(default_factory=list)
    """Of all connections, for a test that cuts them."""
    connected: asyncio.Condition = field(default_factory=asyncio.Condition)
    """Notified at each connection."""
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, text: str, *, at_us: int, did: str = "did:plc:a", key: str | None = None, **record: Any) -> str:
        """A new post; returns its id as the connector names it."""
        rkey = key or f"k{len(self.log)}"
        created = datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()
        body = {"$type": POSTS, "text": text, "createdAt": created, "langs": ["en"], **record}
        self.add_commit(
            {"operation": "create", "collection": POSTS, "rkey": rkey, "record": body}, at_us=at_us, did=did
        )
        return f"at://{did}/{POSTS}/{rkey}"

    def add_commit(self, commit: Mapping[str, Any], *, at_us: int, did: str = "did:plc:a") -> None:
        self._append(Entry(self.first_seq + len(self.log), at_us, did, commit))

    def add_account(self, account: Mapping[str, Any], *, at_us: int, did: str = "did:plc:a") -> None:
        self._append(Entry(self.first_seq + len(self.log), at_us, did, None, account))

    def _append(self, entry: Entry) -> None:
        self.log.append(entry)
        self._more.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Jetstream"]:
        app = web.Application()
        app.router.add_get("/xrpc/network.bsky.jetstream.subscribeEvents", self._version_2)
        app.router.add_get("/subscribe", self._version_1)
        async with listening(app, "127.0.0.1", 0, shutdown_seconds=0.1) as url:
            self.url = url.replace("http", "ws", 1)
            yield self

    async def _version_2(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, version=2)

    async def _version_1(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, version=1)

    async def _serve(self, request: web.Request, *, version: int) -> web.StreamResponse:
        fault = self.faults.popleft() if self.faults else Fault()
        given = request.query.get("cursor")
        cursor = int(given) if given is not None else None
        async with self.connected:
            self.requests.append({"version": version, "cursor": cursor, "query": dict(request.query)})
            self.connected.notify_all()
        if fault.refuse is not None:
            return web.json_response({"error": "Refused"}, status=fault.refuse, headers={"Retry-After": "0"})
        start, notice = self._start(cursor)
        if start is None:
            return web.json_response({"error": "CursorTooOld", "message": f"floor {self._floor_seq()}"}, status=400)
        socket = web.WebSocketResponse(protocols=("xrpc.v1.json",))
        await socket.prepare(request)
        if request.transport is not None:
            self.transports.append(request.transport)
        if notice and version == 2:
            body = {"$type": "network.bsky.jetstream.subscribeEvents#info", "name": notice}
            await socket.send_str(json.dumps({"$type": "message", "payload": body}))
        at, sent = max(self.kept_from, start - fault.repeat), 0
        while True:
            while at < len(self.log):
                if fault.after is not None and sent >= fault.after:
                    return await self._end(socket, request, fault)
                await socket.send_str(json.dumps(self._frame(self.log[at], version)))
                at, sent = at + 1, sent + 1
            if fault.after is not None and sent >= fault.after:
                return await self._end(socket, request, fault)
            self._more.clear()
            waiting, closed = asyncio.create_task(self._more.wait()), asyncio.create_task(socket.receive())
            await asyncio.wait({waiting, closed}, return_when=asyncio.FIRST_COMPLETED)
            gone = closed.done()
            for task in (waiting, closed):
                task.cancel()
            if gone:
                return socket

    def _start(self, cursor: int | None) -> tuple[int | None, str | None]:
        """(index of the first event, name of the advisory frame). No index: refused."""
        if cursor is None:
            return len(self.log), None
        if cursor >= TIME_CURSOR:
            found = next((at for at, entry in enumerate(self.log) if entry.time_us >= cursor), len(self.log))
            oldest = self.log[self.kept_from].time_us if self.kept_from < len(self.log) else 0
            return (self.kept_from, "OutdatedCursor") if cursor < oldest and self.kept_from else (found, None)
        if cursor > self.first_seq + len(self.log):
            return len(self.log), "FutureCursor"
        if cursor < self._floor_seq():
            return None, None
        return cursor - self.first_seq, None

    def _floor_seq(self) -> int:
        return self.first_seq + self.kept_from

    def _frame(self, entry: Entry, version: int) -> dict[str, Any]:
        kind = "commit" if entry.commit is not None else "account"
        if version == 1:
            return {"did": entry.did, "time_us": entry.time_us, "kind": kind, kind: entry.commit or entry.account}
        time = datetime.fromtimestamp(entry.time_us / 1e6, UTC).isoformat()
        common = {"seq": entry.seq, "did": entry.did, "time": time, "witnessedAt": time}
        body = dict(entry.commit) if entry.commit is not None else {"account": entry.account}
        payload = {"$type": f"network.bsky.jetstream.subscribeEvents#{kind}", **common, **body}
        return {"$type": "message", "payload": payload}

    async def _end(self, socket: web.WebSocketResponse, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.end == "silence":
            await socket.receive()
        elif fault.end == "slow":
            await socket.send_str(json.dumps({"$type": "error", "error": "ConsumerTooSlow", "message": "behind"}))
            await socket.close()
        elif fault.end == "close":
            await socket.close(code=WSCloseCode.GOING_AWAY)
        elif request.transport is not None:
            request.transport.abort()
        return socket
