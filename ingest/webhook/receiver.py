"""`POST /v1/posts`: verifies a request, sends its posts, and answers once the broker has confirmed them."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from aiohttp import web

from brandpulse.errors import TransientError
from brandpulse.runtime.metrics import Telemetry
from ingest.sources.delivery import PostDelivery
from ingest.webhook.confirmed_ids import ConfirmedIds, Delivery
from ingest.webhook.post_batch import (
    CONTENT_TYPES,
    BatchReader,
    BodyError,
    BodyFormat,
    PostBatch,
    RefusedPost,
    TooManyPostsError,
)
from ingest.webhook.rate_limit import RateLimit
from ingest.webhook.refusal_log import RefusalLog
from ingest.webhook.settings import SenderSettings, WebhookConfig
from ingest.webhook.signatures import AUTHENTICATORS, Authenticator, key_of

log = logging.getLogger(__name__)

PATH = "/v1/posts"
BODY_SECONDS = 30.0
"""How long a request may take to arrive."""
DELIVERY_SECONDS = 8.0
"""How long a post waits for the broker. GitHub waits 10 seconds for an answer, others 15 to 30."""
ANSWER_SECONDS = DELIVERY_SECONDS + 4.0
"""The longest wait; the producer gives up posts a little after their time."""
RETRY_SECONDS = 5
"""`Retry-After` while the broker is away or the queue is full."""
MOST_BUFFERED_BYTES = 64 * 1024 * 1024
"""Of all open requests together."""
FAILING_SECONDS = 15.0
"""How long after an unconfirmed request /readyz reports it, unless another was confirmed since."""
UNKNOWN = "unknown"
"""The label of requests without a verified sender."""

_ENCODE = msgspec.json.Encoder().encode
_JSON = "application/json"


class _RefusedRequest(Exception):  # noqa: N818 - an answer, not an error of ours
    """Ends a request with *status*."""

    def __init__(
        self, status: int, error: str, *, reason: str = "", retry_seconds: float | None = None, close: bool = False
    ) -> None:
        """*error*: for the sender. *reason*: for the log, instead. *close*: the rest of the body is not read."""
        super().__init__(error)
        self.status = status
        self.error = error
        self.reason = reason or error
        self.close = close
        self.headers: dict[str, str] = {}
        if retry_seconds is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_seconds)))
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"


def _unauthorized(reason: str, *, close: bool = False) -> _RefusedRequest:
    return _RefusedRequest(401, "unauthorized", reason=reason, close=close)


@dataclass(frozen=True, slots=True)
class Sender:
    """A configured sender, and what is remembered of it."""

    settings: SenderSettings
    authenticator: Authenticator
    reader: BatchReader
    limit: RateLimit
    ids: ConfirmedIds

    @property
    def name(self) -> str:
        return self.settings.name


class Receiver:
    """Handles the requests of all senders. `configure` may replace the senders at any time."""

    def __init__(
        self,
        config: WebhookConfig,
        delivery: PostDelivery,
        telemetry: Telemetry,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """*now*: seconds since 1970, for signed times."""
        self._delivery = delivery
        self._now = now
        self._requests = telemetry.counter("brandpulse_webhook_requests_total")
        self._posts = telemetry.counter("brandpulse_webhook_posts_total")
        self._refusals = RefusalLog(log)
        self._buffered = 0
        self._open = 0
        self.idle = asyncio.Event()
        """Set while no request is open."""
        self.idle.set()
        self.stopping = False
        """Connections end with their next answer."""
        self._confirmed_at = self._failed_at = -math.inf
        self._senders: dict[str, Sender] = {}
        self.configure(config)

    def configure(self, config: WebhookConfig) -> None:
        """Requests that are open go on with the settings before. Known senders keep their ids."""
        self._settings = config.settings
        before = self._senders
        self._senders = {}
        for settings, secrets in zip(config.settings.senders, config.secrets, strict=True):
            keys = [key_of(settings.kind, secret.get_secret_value()) for secret in secrets]
            known = before.get(settings.name)
            self._senders[settings.name] = Sender(
                settings,
                AUTHENTICATORS[settings.kind](keys),
                BatchReader(settings.name, most_posts=config.settings.max_posts),
                RateLimit(settings.posts_per_second, most_posts=config.settings.max_posts),
                known.ids if known is not None else ConfirmedIds(),
            )

    @property
    def failing(self) -> bool:
        """Whether the broker did not confirm the posts of the last request, a short time ago."""
        return self._failed_at > self._confirmed_at and time.monotonic() - self._failed_at < FAILING_SECONDS

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post(PATH, self.handle)
        return app

    async def handle(self, request: web.Request) -> web.Response:
        self._open += 1
        self.idle.clear()
        try:
            response = await self._handle(request)
        finally:
            self._open -= 1
            if not self._open:
                self.idle.set()
        if self.stopping:
            response.force_close()
        return response

    async def _handle(self, request: web.Request) -> web.Response:
        sender: Sender | None = None
        try:
            candidates = [one for one in self._senders.values() if one.authenticator.concerns(request.headers)]
            if not candidates:
                raise _unauthorized("no sender has this token, or there is no signature", close=True)
            async with self._body(request) as body:
                sender = self._verified(candidates, request.headers, body)
                kind = _format_of(request)
                if sender.settings.kind == "standard-webhooks":
                    async with sender.ids.delivery(request.headers["webhook-id"]) as delivery:
                        response = await self._deliver(sender, body, kind, delivery)
                else:
                    response = await self._deliver(sender, body, kind, Delivery(repeated=False))
        except _RefusedRequest as refusal:
            self._refusals.add(
                sender.name if sender else UNKNOWN, refusal.status, refusal.reason, remote=request.remote or ""
            )
            response = _json({"error": refusal.error}, refusal.status, refusal.headers)
            if refusal.close:
                response.force_close()
        self._requests.labels(sender.name if sender else UNKNOWN, str(response.status)).inc()
        return response

    @contextlib.asynccontextmanager
    async def _body(self, request: web.Request) -> AsyncIterator[bytes]:
        """The raw body. It counts as buffered while the context is open."""
        chunks: list[bytes] = []
        try:
            await self._read(request, chunks)
            yield chunks[0] if len(chunks) == 1 else b"".join(chunks)
        finally:
            self._buffered -= sum(map(len, chunks))

    async def _read(self, request: web.Request, chunks: list[bytes]) -> None:
        most = self._settings.max_body_bytes
        too_large = f"the body is larger than {most:,} bytes"
        if request.content_length is not None and request.content_length > most:
            raise _RefusedRequest(413, too_large, close=True)
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.content.iter_any():
                    chunks.append(chunk)
                    size += len(chunk)
                    self._buffered += len(chunk)
                    if size > most:
                        raise _RefusedRequest(413, too_large, close=True)
                    if self._buffered > MOST_BUFFERED_BYTES:
                        raise _RefusedRequest(503, "too many requests at once", retry_seconds=RETRY_SECONDS, close=True)
        except TimeoutError:
            raise _RefusedRequest(408, f"the body took longer than {BODY_SECONDS:.0f} s", close=True) from None
        except (web.RequestPayloadError, ConnectionError):
            raise _RefusedRequest(400, "the body ended early", close=True) from None

    def _verified(self, candidates: Sequence[Sender], headers: Mapping[str, str], body: bytes) -> Sender:
        now, faults = self._now(), []
        for sender in candidates:
            if (fault := sender.authenticator.fault(headers, body, now)) is None:
                return sender
            faults.append(fault)
        raise _unauthorized(faults[0])

    async def _deliver(self, sender: Sender, body: bytes, kind: BodyFormat, delivery: Delivery) -> web.Response:
        if delivery.repeated:
            return _json({"taken": 0, "refused": [], "repeated": True})
        try:
            batch = sender.reader.read(body, kind)
        except BodyError as error:
            raise _RefusedRequest(400, str(error)) from None
        except TooManyPostsError as error:
            raise _RefusedRequest(413, str(error)) from None
        number = len(batch.posts) + len(batch.refused)
        if wait := sender.limit.take(max(1, number), time.monotonic()):
            limit = f"more than {sender.limit.posts_per_second:g} posts per second"
            raise _RefusedRequest(429, limit, retry_seconds=wait)
        await self._send(sender, batch)
        if not batch.refused:
            delivery.confirmed = True
            return _json({"taken": len(batch.posts), "refused": []})
        return self._answer_with_refused(sender, batch)

    async def _send(self, sender: Sender, batch: PostBatch) -> None:
        """Until the broker has confirmed all good posts. Raises _RefusedRequest."""
        if not batch.posts:
            return
        reason = "the queue is full"
        try:
            sending = self._delivery.send_now(batch.posts)
            if sending is not None:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await sending.done.wait()
                reason = sending.failure or ""
        except TimeoutError:
            reason = f"the broker did not answer within {ANSWER_SECONDS:.0f} s"
        except TransientError as error:
            reason = str(error)
        if not reason:
            self._confirmed_at = time.monotonic()
            self._count(sender, "taken", len(batch.posts))
            return
        self._failed_at = time.monotonic()
        self._count(sender, "unconfirmed", len(batch.posts))
        error_text = "the posts could not be stored; send the request again"
        raise _RefusedRequest(503, error_text, reason=reason, retry_seconds=RETRY_SECONDS)

    def _answer_with_refused(self, sender: Sender, batch: PostBatch) -> web.Response:
        self._count(sender, "refused", len(batch.refused))
        first: RefusedPost = batch.refused[0]
        self._refusals.add(
            sender.name, 422, f"post {first.index}: {first.field} {first.reason}", remote="", refused=len(batch.refused)
        )
        refused = [{"index": one.index, "field": one.field, "reason": one.reason} for one in batch.refused]
        return _json({"taken": len(batch.posts), "refused": refused}, 422)

    def _count(self, sender: Sender, outcome: str, posts: int) -> None:
        self._posts.labels(sender.name, outcome).inc(posts)


def _format_of(request: web.Request) -> BodyFormat:
    kind = CONTENT_TYPES.get(request.content_type)
    if kind is None or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise _RefusedRequest(415, f"the content type must be {' or '.join(CONTENT_TYPES)}, in UTF-8")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _RefusedRequest(415, "the body must not be compressed")
    return kind


def _json(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=_ENCODE(content), status=status, headers=headers, content_type=_JSON)
