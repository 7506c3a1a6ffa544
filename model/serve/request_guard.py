"""What every request passes before FastAPI sees it: address, token, body; and what every answer gets on its way out.

Plain ASGI: a middleware on top of Starlette's `Request` would hold bodies back and cost a task per request.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brandpulse.runtime.http_security import SECURITY_HEADERS, has_token, is_loopback
from model.serve.problems import problem

PUBLIC_PATHS = frozenset({"/", "/healthz", "/readyz", "/openapi.json"})
"""Need no token: they hold nothing of anyone, and the page asks for the token itself."""
MAX_DRAINED_BODIES = 16
"""Of a body that is refused, so many times the largest one is read before the connection is cut."""


@dataclass(frozen=True, slots=True)
class GuardRules:
    """What the door lets pass."""

    token: str | None = None
    """None: no token is wanted, and only loopback names are answered."""
    metrics_token: str | None = None
    """Opens /metrics too: what Prometheus shows to the other services."""
    max_body_bytes: int = 1_048_576
    body_timeout_seconds: float = 20.0


class RequestGuard:
    """ASGI middleware. *told* hears of each finished request: path, status, seconds."""

    def __init__(self, app: ASGIApp, *, rules: GuardRules, told: Callable[[Scope, int, float], None]) -> None:
        self._app = app
        self._rules = rules
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        body = _RequestBody(scope, receive, self._rules)
        outlet = _ResponseSender(send, body)
        try:
            answer: ASGIApp = self.refuse(scope) or self._app
            await answer(scope, body.receive, outlet.send)
        except _RefusedError as refused:
            # Nothing was answered yet: the app was still reading.
            await refused.response(scope, body.receive, outlet.send)
        finally:
            self._told(scope, outlet.status, time.monotonic() - started)

    def refuse(self, scope: Scope) -> Response | None:
        """None lets the request pass, its body still unread."""
        headers = Headers(scope=scope)
        return self._misaddressed(headers) or self._without_token(scope["path"], headers) or self._unfit(scope, headers)

    def _misaddressed(self, headers: Headers) -> Response | None:
        # Without a token a foreign web page could point its own name at 127.0.0.1 and read along.
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if self._rules.token is not None or is_loopback(name):
            return None
        return problem(
            421,
            "Without a token only loopback names such as 127.0.0.1 are answered. "
            "To serve under another name, set BRANDPULSE_SERVE_TOKEN and restart.",
            errors=[_header("Host", host, "is no loopback name")],
        )

    def _without_token(self, path: str, headers: Headers) -> Response | None:
        shown = headers.get("authorization", "")
        if path in PUBLIC_PATHS or path.startswith("/static/") or has_token(shown, self._rules.token):
            return None
        if path == "/metrics" and self._rules.metrics_token and has_token(shown, self._rules.metrics_token):
            return None
        return problem(
            401,
            "Send the header Authorization: Bearer TOKEN, where TOKEN is the value of BRANDPULSE_SERVE_TOKEN.",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _unfit(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["method"] != "POST":
            return None
        kind = headers.get("content-type", "").split(";", 1)[0].strip().lower()
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            return problem(
                415,
                "Send JSON, with the header Content-Type: application/json.",
                errors=[_header("Content-Type", kind or "(missing)", "is not application/json")],
            )
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._rules.max_body_bytes:
            return _too_large(f"{length[:20]} bytes", self._rules.max_body_bytes)
        return None


class _RequestBody:
    """The request's body, counted and timed while the app reads it."""

    def __init__(self, scope: Scope, receive: Receive, rules: GuardRules) -> None:
        headers = Headers(scope=scope)
        self.complete = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._receive = receive
        self._rules = rules
        self._bytes = 0
        self._until = time.monotonic() + rules.body_timeout_seconds

    async def receive(self) -> Message:
        if self.complete:
            return await self._receive()  # waits for the client to go
        message = await self._next()
        if self._bytes > self._rules.max_body_bytes:
            size = f"more than {self._rules.max_body_bytes} bytes"
            raise _RefusedError(_too_large(size, self._rules.max_body_bytes))
        return message

    async def swallow(self) -> None:
        """Reads on without keeping anything: a client that is still sending would see a reset, not our answer.

        Only so much, and only in the body's own time.
        """
        with contextlib.suppress(_RefusedError):
            while not self.complete and self._bytes <= MAX_DRAINED_BODIES * self._rules.max_body_bytes:
                await self._next()

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout(max(0.0, self._until - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            seconds = f"{self._rules.body_timeout_seconds:g} s"
            raise _RefusedError(problem(408, f"The body did not come within {seconds}.")) from None
        self._bytes += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        return message


class _ResponseSender:
    """Puts our headers on the answer and remembers its status; 0 while there is none."""

    def __init__(self, send: Send, body: _RequestBody) -> None:
        self._send = send
        self._body = body
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            await self._body.swallow()
            if not self._body.complete:
                headers["Connection"] = "close"  # or the server would read on for ever
        await self._send(message)


class _RefusedError(BaseException):
    """Carries the answer past the app. No `Exception`: FastAPI would make a 400 of any that a body raises."""

    def __init__(self, response: Response) -> None:
        self.response = response


def _too_large(size: str, most: int) -> Response:
    return problem(
        413,
        f"The body has {size}, at most {most} are taken.",
        errors=[{"field": "body", "value": size, "detail": f"at most {most} bytes are taken"}],
    )


def _header(name: str, value: str, detail: str) -> dict[str, str]:
    return {"field": f"header {name}", "value": value[:80], "detail": detail}
