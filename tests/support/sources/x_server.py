"""A server of the X API v2: rules, the filtered stream, and the recent search over the same posts, with their faults.

`meter` holds each billed post. A post matches a rule if it contains one of the rule's quoted phrases, hashtags or
mentions, and no refused one; that is enough for the rules that the connector writes.
"""

import asyncio
import json
import random
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from brandpulse.runtime.lifecycle import listening

TOKEN = "good-token-of-the-test"
EPOCH_MS = 1_288_834_974_657
PROBLEM = "https://api.x.com/2/problems/"


@dataclass(frozen=True, slots=True)
class Fault:
    """What one connection of the stream does. Without a fault it sends all posts and waits for more."""

    refuse: int | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    after: int | None = None
    """Posts until the connection ends."""
    end: str = "abort"
    """How: `abort`, `close`, `operational` (the error object, then the end), `cut` (in the middle of a post)."""
    repeat: int = 0
    """Posts from before the connection that are sent again."""
    keep_alive: float = 0.05
    """Seconds between empty lines; 0: none."""


@dataclass(slots=True)
class X:
    """The server. `add` appends a post, which open streams send at once."""

    faults: deque[Fault] = field(default_factory=deque)
    log: list[dict[str, Any]] = field(default_factory=list)
    rules: dict[str, dict[str, str]] = field(default_factory=dict)
    wrong_words: tuple[str, ...] = ()
    """Rules with one of these are invalid."""
    most_rules: int = 1_000
    refuse: deque[tuple[int, Mapping[str, Any], Mapping[str, str]]] = field(default_factory=deque)
    """(status, body, headers) for the next requests that are no stream."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    meter: list[str] = field(default_factory=list)
    connections: int = 0
    """Streams that were asked for."""
    open: int = 0
    crowded: bool = False
    """Another connection is counted, until all are closed."""
    url: str = ""
    transports: list[asyncio.Transport] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    def add(self, text: str, *, at: datetime | None = None, author: str = "7", **changes: Any) -> str:
        """A new post; returns its number."""
        moment = at or datetime.now(UTC)
        number = str(((int(moment.timestamp() * 1000) - EPOCH_MS) << 22) + len(self.log))
        created = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
        post = {"id": number, "text": text, "created_at": created, "author_id": author, "lang": "en"}
        self.log.append(post | {"edit_history_tweet_ids": [number]} | changes)
        return number

    async def tell(self) -> None:
        """Wakes the open streams."""
        async with self._more:
            self._more.notify_all()

    def cut(self) -> None:
        for transport in self.transports:
            transport.abort()
        self.transports.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["X"]:
        app = web.Application()
        app.router.add_get("/2/tweets/search/stream/rules", self._list_rules)
        app.router.add_post("/2/tweets/search/stream/rules", self._change_rules)
        app.router.add_get("/2/tweets/search/stream", self._stream)
        app.router.add_get("/2/tweets/search/recent", self._search)
        app.router.add_delete("/2/connections/all", self._close_all)
        async with listening(app, "127.0.0.1", 0, shutdown_seconds=0.1) as url:
            self.url = url
            yield self

    def _refusal(self, request: web.Request, *, stream: bool = False) -> web.Response | None:
        self.requests.append((request.method, request.path, dict(request.query)))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            body = {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}
            return web.json_response(body, status=401)
        if self.refuse and not stream:
            status, found, headers = self.refuse.popleft()
            return web.json_response(dict(found), status=status, headers=dict(headers))
        return None

    async def _list_rules(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        rules = [{"id": number, **rule} for number, rule in self.rules.items()]
        meta = {"sent": datetime.now(UTC).isoformat(), "result_count": len(rules)}
        return web.json_response({"data": rules, "meta": meta} if rules else {"meta": meta})

    async def _change_rules(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        body, dry = await request.json(), request.query.get("dry_run") == "true"
        if "delete" in body:
            gone = [self.rules.pop(number, None) for number in body["delete"]["ids"]]
            return web.json_response({"meta": {"summary": {"deleted": len(gone), "not_deleted": 0}}})
        errors: list[dict[str, Any]] = []
        valid: list[dict[str, str]] = []
        for rule in body["add"]:
            number = next((one for one, stored in self.rules.items() if stored["value"] == rule["value"]), None)
            if number is not None:
                errors.append({"value": rule["value"], "id": number, "title": "DuplicateRule"}
                              | {"type": PROBLEM + "duplicate-rules"})  # fmt: skip
            elif len(rule["value"]) > 1_024 or any(word in rule["value"] for word in self.wrong_words):
                details = ["no viable alternative at character ')' (at position 3)"]
                errors.append({"value": rule["value"], "details": details, "title": "UnprocessableEntity"}
                              | {"type": PROBLEM + "invalid-rules"})  # fmt: skip
            else:
                valid.append(rule)
        if len(self.rules) + len(valid) > self.most_rules:
            cap = {"title": "RulesCapExceeded", "detail": "Rules count exceeds cap", "type": PROBLEM + "rule-cap"}
            return web.json_response({"errors": [cap], "meta": {"sent": "now"}}, status=400)
        # One wrong rule keeps the right ones of its request from being created.
        wrong = any(error["title"] == "UnprocessableEntity" for error in errors)
        made = [] if wrong or dry else [{"id": str(len(self.requests) * 1_000 + at), **rule}
                                        for at, rule in enumerate(valid)]  # fmt: skip
        for rule in made:
            self.rules[rule["id"]] = {"value": rule["value"], "tag": rule["tag"]}
        summary = {"created": len(made), "not_created": len(body["add"]) - len(made)}
        answer: dict[str, Any] = {"meta": {"sent": "now", "summary": summary}}
        answer |= ({"data": made} if made else {}) | ({"errors": errors} if errors else {})
        return web.json_response(answer, status=201 if made or not errors else 400)

    def _matches(self, text: str, expression: str) -> bool:
        low = text.casefold()
        wanted = re.findall(r'(?<![-\w])(?:"[^"]+"|[#@]\w+)', expression)
        return any(word.strip('"').casefold() in low for word in wanted)

    def _wanted(self, post: Mapping[str, Any]) -> list[dict[str, str]]:
        return [
            {"id": number, "tag": rule["tag"]}
            for number, rule in self.rules.items()
            if self._matches(post["text"], rule["value"])
        ]

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        if (refusal := self._refusal(request, stream=True)) is not None:
            return refusal
        if self.crowded or self.open:
            body = {"title": "ConnectionException", "connection_issue": "TooManyConnections"}
            detail = "This stream is currently at the maximum allowed connection limit."
            return web.json_response(body | {"detail": detail, "type": PROBLEM + "streaming-connection"}, status=429)
        fault = self.faults.popleft() if self.faults else Fault()
        if fault.refuse is not None:
            return web.json_response(dict(fault.body), status=fault.refuse, headers=dict(fault.headers))
        self.open += 1
        try:
            return await self._send(request, fault)
        except ConnectionResetError:  # the client is gone
            return web.Response()
        finally:
            self.open -= 1

    async def _send(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
        await answer.prepare(request)
        transport = request.transport
        assert transport is not None
        self.transports.append(transport)
        at, sent = max(0, len(self.log) - fault.repeat), 0
        while True:
            while at < len(self.log) and (fault.after is None or sent < fault.after):
                post, rules = self.log[at], self._wanted(self.log[at])
                at += 1
                if not rules:
                    continue
                line = json.dumps({"data": post, "matching_rules": rules}, ensure_ascii=False).encode() + b"\r\n"
                cut = self.rng.randrange(1, len(line))  # anywhere: also inside a character
                await answer.write(line[:cut])
                if fault.end == "cut" and fault.after is not None and sent + 1 == fault.after:
                    transport.abort()
                    return answer
                await answer.write(line[cut:])
                self.meter.append(post["id"])
                sent += 1
            if fault.after is not None and sent >= fault.after:
                return await self._end(answer, transport, fault)
            try:
                async with self._more:
                    await asyncio.wait_for(self._more.wait(), fault.keep_alive or None)
            except TimeoutError:
                await answer.write(b"\r\n")
            if transport.is_closing():
                return answer

    async def _end(self, answer: web.StreamResponse, transport: asyncio.Transport, fault: Fault) -> web.StreamResponse:
        if fault.end == "operational":
            error = {"title": "operational-disconnect", "disconnect_type": "UpstreamOperationalDisconnect"}
            detail = "This stream has been disconnected upstream for operational reasons."
            body = {"errors": [error | {"detail": detail, "type": PROBLEM + "operational-disconnect"}]}
            await answer.write(json.dumps(body).encode() + b"\r\n")
        elif fault.end in ("abort", "cut"):
            transport.abort()
        return answer

    async def _search(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        query, now = request.query, datetime.now(UTC)
        most = int(query.get("max_results", "10"))
        start, end = _time(query.get("start_time")), _time(query.get("end_time")) or now - timedelta(seconds=30)
        problems = [
            "query is too long" if len(query["query"]) > 512 else "",
            "max_results must be 10 to 100" if not 10 <= most <= 100 else "",
            "start_time is older than 7 days" if start and now - start > timedelta(days=7) else "",
            "start_time must be before end_time" if start and start >= end else "",
        ]
        if said := "; ".join(filter(None, problems)):
            body = {"errors": [{"message": said}], "title": "Invalid Request", "detail": said}
            return web.json_response(body | {"type": PROBLEM + "invalid-request"}, status=400)
        since = int(query.get("since_id", "0"))
        found = [post for post in self.log if self._matches(post["text"], query["query"]) and int(post["id"]) > since]
        found = [post for post in found if (_time(post["created_at"]) or now) < end]
        if start and not since:
            found = [post for post in found if (_time(post["created_at"]) or now) >= start]
        found.sort(key=lambda post: -int(post["id"]))
        first = int(query.get("next_token", "0"))
        page = found[first : first + most]
        self.meter += [post["id"] for post in page]
        meta: dict[str, Any] = {"result_count": len(page)}
        if first + most < len(found):
            meta["next_token"] = str(first + most)
        return web.json_response({"data": page, "meta": meta} if page else {"meta": meta})

    async def _close_all(self, request: web.Request) -> web.Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        self.crowded = False
        self.cut()
        await self.tell()
        return web.json_response({"data": {"successful_kills": 1, "failed_kills": 0}})


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
