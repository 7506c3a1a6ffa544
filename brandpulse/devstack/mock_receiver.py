"""A receiver for trials and tests: PagerDuty Events v2 and any webhook, with faults on demand. Loopback only.

POST /v2/enqueue          Events v2: open and resolve incidents per (routing_key, dedup_key)
POST /webhook/<any>       takes any JSON
GET  /heartbeat/<any>     counts a heartbeat; returns how many came
GET  /incidents           the incidents, oldest first: a JSON list
GET  /events              the body of every event or webhook that was processed, in order: a JSON list
GET  /requests            the same with path, status and brandpulse's headers
POST /faults              a JSON list of `Fault`s, one for each of the next requests
"""

import argparse
import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from brandpulse.config.settings import Settings, load_settings
from brandpulse.runtime.lifecycle import stop_event
from brandpulse.runtime.service_registry import announced
from brandpulse.schema.episodes import Severity

MAX_EVENT_BYTES = 512_000
ROUTING_KEY_CHARS = 32
_SEVERITIES: tuple[Severity, ...] = ("critical", "error", "warning", "info")


class Fault(BaseModel):
    """What goes wrong with one request; by default nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: int | None = None
    """Answer with this status and do not process the request."""
    retry_after: str | None = None
    body: str = "a scripted fault"
    hang_seconds: float = 0.0
    """Wait this long first."""
    reset: Literal["before", "after"] | None = None
    """Break the connection instead of answering, before or after processing the request."""
    drip_seconds: float = 0.0
    """Spread the answer over this time, byte by byte."""
    garbage: bool = False
    """Answer 202 with a body that is not JSON."""


_FAULTS = TypeAdapter(list[Fault])


class Incident(BaseModel):
    """One page: opened by a trigger, closed by a resolve."""

    number: int
    routing_key: str
    dedup_key: str
    status: Literal["open", "acknowledged", "resolved"] = "open"
    triggers: int = 1
    summary: str = ""
    severity: str = ""


class Incidents:
    """Events v2 without the network. A trigger for an open incident opens no second one; a resolve without one is
    dropped."""

    def __init__(self) -> None:
        self.all: list[Incident] = []
        self.dropped = 0
        """Acknowledges and resolves without an open incident."""

    def open(self) -> list[Incident]:
        return [incident for incident in self.all if incident.status != "resolved"]

    def process(self, event: dict[str, Any]) -> None:
        """Apply a valid *event*."""
        key = event["routing_key"], event["dedup_key"]
        incident = next((one for one in self.open() if (one.routing_key, one.dedup_key) == key), None)
        action = event["event_action"]
        if action == "trigger":
            payload = event["payload"]
            if incident is None:
                incident = Incident(number=len(self.all) + 1, routing_key=key[0], dedup_key=key[1], triggers=0)
                self.all.append(incident)
            incident.triggers += 1
            incident.summary, incident.severity = payload["summary"], payload["severity"]
        elif incident is None:
            self.dropped += 1
        else:
            incident.status = "resolved" if action == "resolve" else "acknowledged"


def problems(event: Any) -> list[str]:
    """Why Events v2 would reject *event*; empty if it is valid."""
    if not isinstance(event, dict):
        return ["the body is not a JSON object"]
    found = []
    routing_key = event.get("routing_key")
    if not isinstance(routing_key, str) or len(routing_key) != ROUTING_KEY_CHARS:
        found.append(f"'routing_key' must be {ROUTING_KEY_CHARS} characters")
    action = event.get("event_action")
    if action not in ("trigger", "acknowledge", "resolve"):
        found.append("'event_action' must be trigger, acknowledge or resolve")
    dedup_key = event.get("dedup_key")
    if dedup_key is None and action != "trigger":
        found.append("'dedup_key' is missing")
    if dedup_key is not None and (not isinstance(dedup_key, str) or not 0 < len(dedup_key) <= 255):
        found.append("'dedup_key' must be 1 to 255 characters")
    if action == "trigger":
        found += _payload_problems(event.get("payload"))
    return found


def _payload_problems(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing"]
    found = []
    summary = payload.get("summary")
    if not isinstance(summary, str) or not 0 < len(summary) <= 1_024:
        found.append("'payload.summary' must be 1 to 1024 characters")
    if not isinstance(payload.get("source"), str) or not payload["source"]:
        found.append("'payload.source' is missing or blank")
    if payload.get("severity") not in _SEVERITIES:
        found.append(f"'payload.severity' must be one of {', '.join(_SEVERITIES)}")
    if "timestamp" in payload:
        try:
            zoned = datetime.fromisoformat(payload["timestamp"]).tzinfo is not None
        except (TypeError, ValueError):
            zoned = False
        if not zoned:
            found.append("'payload.timestamp' must be ISO 8601 with a zone")
    return found


@web.middleware
async def _ignore_disconnect(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> Any:
    """Log nothing for a client that disconnects during its request."""
    try:
        return await handler(request)
    except ConnectionResetError:
        return web.Response(status=499)  # as proxies do; no client reads it


class MockReceiver:
    """The server. `async with MockReceiver() as mock:` listens on `mock.url` until the end of the block."""

    def __init__(self, faults: Iterable[Fault] = (), *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.incidents = Incidents()
        self.events: list[dict[str, Any]] = []
        """Each processed request in order: path, status, body, brandpulse's headers."""
        self.requests = 0
        """Number of requests, also those that a fault stopped."""
        self.heartbeats = 0
        self.faults: deque[Fault] = deque(faults)
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    def app(self) -> web.Application:
        app = web.Application(client_max_size=4 * MAX_EVENT_BYTES, middlewares=[_ignore_disconnect])
        app.router.add_post("/v2/enqueue", self._enqueue)
        app.router.add_post("/webhook/{name:.*}", self._webhook)
        app.router.add_get("/heartbeat/{name:.*}", self._heartbeat)
        app.router.add_post("/faults", self._set_faults)
        app.router.add_get("/incidents", self._show_incidents)
        app.router.add_get("/events", self._show_events)
        app.router.add_get("/requests", self._show_requests)
        return app

    async def __aenter__(self) -> "MockReceiver":
        # A test that lets a request hang must not wait for it at the end.
        self._runner = web.AppRunner(self.app(), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _enqueue(self, request: web.Request) -> web.StreamResponse:
        fault = await self._next_fault()
        if (failure := self._failure(request, fault)) is not None:
            return failure
        raw = await request.read()
        if len(raw) > MAX_EVENT_BYTES:
            return web.json_response({"status": "event too large"}, status=413)
        try:
            event = json.loads(raw)
        except ValueError:
            event = None
        errors = problems(event)
        if errors:
            self._record(request, event, 400)
            return web.json_response(
                {"status": "invalid event", "message": "Event object is invalid", "errors": errors}, status=400
            )
        event.setdefault("dedup_key", f"mock-{self.requests}")
        self._record(request, event, 202)
        self.incidents.process(event)
        return await self._answer(
            request, fault, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
        )

    async def _webhook(self, request: web.Request) -> web.StreamResponse:
        fault = await self._next_fault()
        if (failure := self._failure(request, fault)) is not None:
            return failure
        self._record(request, json.loads(await request.read()), 202)
        return await self._answer(request, fault, {"status": "ok"})

    async def _heartbeat(self, _: web.Request) -> web.Response:
        self.heartbeats += 1
        return web.json_response({"heartbeats": self.heartbeats})

    async def _next_fault(self) -> Fault:
        self.requests += 1
        fault = self.faults.popleft() if self.faults else Fault()
        await asyncio.sleep(fault.hang_seconds)
        return fault

    def _failure(self, request: web.Request, fault: Fault) -> web.Response | None:
        if fault.reset == "before":
            return _reset(request)
        if fault.status is None:
            return None
        headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
        return web.Response(status=fault.status, text=fault.body, headers=headers)

    async def _answer(self, request: web.Request, fault: Fault, body: dict[str, Any]) -> web.StreamResponse:
        if fault.reset == "after":
            return _reset(request)
        if fault.garbage:
            return web.Response(status=202, body=b"\xff<html>{")
        if fault.drip_seconds:
            return await _drip(request, json.dumps(body).encode(), fault.drip_seconds)
        return web.json_response(body, status=202)

    def _record(self, request: web.Request, body: Any, status: int) -> None:
        names = ("Idempotency-Key", "X-Brandpulse-Signature")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        self.events.append({"path": request.path, "status": status, "headers": headers, "body": body})

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            self.faults = deque(_FAULTS.validate_json(await request.read()))
        except ValidationError as error:
            return web.json_response({"errors": str(error)}, status=400)
        return web.json_response({"faults": len(self.faults)})

    async def _show_incidents(self, _: web.Request) -> web.Response:
        return web.json_response([incident.model_dump() for incident in self.incidents.all])

    async def _show_events(self, _: web.Request) -> web.Response:
        return web.json_response([event["body"] for event in self.events if event["status"] == 202])

    async def _show_requests(self, _: web.Request) -> web.Response:
        return web.json_response(self.events)


async def _drip(request: web.Request, body: bytes, seconds: float) -> web.StreamResponse:
    response = web.StreamResponse(status=202, headers={"Content-Length": str(len(body))})
    await response.prepare(request)
    for byte in body:
        await response.write(bytes([byte]))
        await asyncio.sleep(seconds / len(body))
    return response


def _reset(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def main(port: int = 0, host: str = "127.0.0.1") -> int:
    """Serve until SIGINT or SIGTERM; the first line printed begins with the address."""
    asyncio.run(_serve(host, port))
    return 0


async def _serve(host: str, port: int) -> None:
    stop = stop_event()
    async with MockReceiver(host=host, port=port) as mock:
        with announced(load_settings(Settings).home, "mock-receiver", url=mock.url):
            print(f"{mock.url}: POST /v2/enqueue or /webhook/<name>; GET /incidents, /events", flush=True)
            await stop.wait()


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A receiver for trials and tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    return parser.parse_args(given)


if __name__ == "__main__":
    arguments = _arguments()
    raise SystemExit(main(arguments.port, arguments.host))
