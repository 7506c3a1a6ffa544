"""Checks host, token and body of every request before FastAPI, and adds security headers to every response.

Plain ASGI: a middleware on top of Starlette's `Request` would buffer bodies and cost a task per request.
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
"""Paths that need no token: they contain no user data, and the page asks for the token itself."""
MAX_DRAINED_BODIES = 16
"""How much of a rejected body is read before the connection is closed, in multiples of the largest allowed body."""


@dataclass(frozen=True, slots=True)
class GuardRules:
    """The checks of `RequestGuard`."""

    token: str | None = None
    """None: no token is needed, and only loopback host names are allowed."""
    metrics_token: str | None = None
    """A second token for /metrics: the one that Prometheus uses for all services."""
    max_body_bytes: int = 1_048_576
    body_timeout_seconds: float = 20.0


class RequestGuard:
    """ASGI middleware. Calls *on_request* with scope, status and seconds of each finished request."""

    def __init__(self, app: ASGIApp, *, rules: GuardRules, on_request: Callable[[Scope, int, float], None]) -> None:
        self._app = app
        self._rules = rules
        self._on_request = on_request

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
            # No response has started: the app was still reading the body.
            await refused.response(scope, body.receive, outlet.send)
        finally:
            self._on_request(scope, outlet.status, time.monotonic() - started)

    def refuse(self, scope: Scope) -> Response | None:
        """The error response, or None to accept the request; does not read the body."""
        headers = Headers(scope=scope)
        return (
            self._check_host(headers) or self._check_token(scope["path"], headers) or self._check_body(scope, headers)
        )

    def _check_host(self, headers: Headers) -> Response | None:
        # Without a token a foreign web page could point its own name at 127.0.0.1 and read responses (DNS rebinding).
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if self._rules.token is not None or is_loopback(name):
            return None
        return problem(
            421,
            "Without a token only loopback host names such as 127.0.0.1 are allowed. "
            "To use another name, set BRANDPULSE_SERVE_TOKEN and restart.",
            errors=[_header("Host", host, "is not a loopback name")],
        )

    def _check_token(self, path: str, headers: Headers) -> Response | None:
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

    def _check_body(self, scope: Scope, headers: Headers) -> Response | None:
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
    """Limits size and time of the request's body while the app reads it."""

    def __init__(self, scope: Scope, receive: Receive, rules: GuardRules) -> None:
        headers = Headers(scope=scope)
        self.complete = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._receive = receive
        self._rules = rules
        self._bytes = 0
        self._until = time.monotonic() + rules.body_timeout_seconds

    async def receive(self) -> Message:
        if self.complete:
            return await self._receive()  # waits until the client disconnects
        message = await self._next()
        if self._bytes > self._rules.max_body_bytes:
            size = f"more than {self._rules.max_body_bytes} bytes"
            raise _RefusedError(_too_large(size, self._rules.max_body_bytes))
        return message

    async def drain(self) -> None:
        """Reads and discards the rest of the body: a client that is still sending would see a reset, not the response.

        Limited to `MAX_DRAINED_BODIES` and to the time limit of the body.
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
            raise _RefusedError(problem(408, f"The body was not received within {seconds}.")) from None
        self._bytes += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        return message


class _ResponseSender:
    """Adds security headers to the response and stores its status (0: no response yet)."""

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
            await self._body.drain()
            if not self._body.complete:
                headers["Connection"] = "close"  # otherwise the server would keep reading
        await self._send(message)


class _RefusedError(BaseException):
    """Carries a response past the app. A BaseException: FastAPI turns every Exception of a body into a 400."""

    def __init__(self, response: Response) -> None:
        self.response = response


def _too_large(size: str, most: int) -> Response:
    return problem(
        413,
        f"The body has {size}, at most {most} are allowed.",
        errors=[{"field": "body", "value": size, "detail": f"at most {most} bytes are allowed"}],
    )


def _header(name: str, value: str, detail: str) -> dict[str, str]:
    return {"field": f"header {name}", "value": value[:80], "detail": detail}
