"""The HTTP service as a FastAPI application.

POST /v1/score     one text or several, with optional targets: all heads
POST /v1/tickets   a helpdesk's ticket: tags
GET  /v1/model     name, version, heads, thresholds, limits
GET  /             a page to try a text
GET  /healthz  /readyz  /metrics  /openapi.json
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, TypeVar

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from brandpulse.runtime.metrics import CONTENT_TYPE
from model.serve.api_models import (
    Many,
    ModelAnswer,
    One,
    ScoreAnswer,
    Ticket,
    TicketAnswer,
    score_body,
    ticket_body,
)
from model.serve.batching import BusyError, JobFailedError
from model.serve.helpdesk import tags, ticket_request
from model.serve.openapi import DESCRIPTION, SCORE, TICKETS, describe, responses_of
from model.serve.problems import body_error, invalid, problem
from model.serve.request_guard import GuardRules, RequestGuard
from model.serve.service import STUCK_SECONDS, Service
from model.serve.static_page import add_page
from model.spec.heads import BY_NAME
from model.text_scoring import TextRequest, thresholds_of

NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI's own spans and log records would contain the texts of requests."""
CLIENT_CLOSED_REQUEST = 499
"""nginx's status code for a client that closed the connection; it is only counted."""
Answer = TypeVar("Answer")


def application(service: Service, rules: GuardRules) -> ASGIApp:
    """The ASGI application: the routes behind the request guard."""
    api = FastAPI(
        title="brandpulse model",
        version=version("brandpulse"),
        description=DESCRIPTION,
        docs_url=None,  # that page loads scripts from another server
        redoc_url=None,
        lifespan=lambda api: service.running(),
        telemetry=NO_TELEMETRY,
    )
    api.add_exception_handler(RequestValidationError, _on_invalid_request)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(BusyError, _on_busy)
    api.add_exception_handler(JobFailedError, _on_failed_job)
    api.add_exception_handler(Exception, _on_bug)
    _add_scoring(api, service)
    _add_state(api, service)
    add_page(api)
    describe(api, wants_token=rules.token is not None)
    return RequestGuard(api, rules=rules, on_request=service.count_request)


def _add_scoring(api: FastAPI, service: Service) -> None:
    ScoreBody, TicketBody = score_body(service.limits), ticket_body(service.limits)  # noqa: N806 - types

    @api.post(
        "/v1/score", tags=["score"], summary="Score texts", openapi_extra=SCORE, responses=responses_of(ScoreAnswer)
    )
    async def score(request: Request, body: ScoreBody) -> Response:  # type: ignore[valid-type]  # made at run time
        requests, all_emotions = _requests_of(body)
        results = await _until_disconnect(request, service.score(requests, all_emotions=all_emotions))
        return _client_closed() if results is None else _json({"model": service.name(), "results": results})

    @api.post(
        "/v1/tickets",
        tags=["score"],
        summary="Tag a ticket",
        openapi_extra=TICKETS,
        responses=responses_of(TicketAnswer),
    )
    async def tag(request: Request, body: TicketBody) -> Response:  # type: ignore[valid-type]  # made at run time
        ticket: Ticket = body
        results = await _until_disconnect(request, service.score([ticket_request(ticket)]))
        if results is None:
            return _client_closed()
        tagged = {"id": ticket.id, "tags": tags(results[0], ticket)}
        return _json(tagged | {"model": service.name(), "result": results[0]})


def _add_state(api: FastAPI, service: Service) -> None:
    heads = {name: list(BY_NAME[name].labels) for name in service.scorer.heads}
    thresholds = {
        name: dict(zip(labels, thresholds_of(service.thresholds, name), strict=True))
        for name, labels in heads.items()
        if BY_NAME[name].kind == "many"
    }

    @api.get("/v1/model", tags=["state"], summary="The loaded model", responses=responses_of(ModelAnswer))
    async def model() -> Response:
        limits = asdict(service.limits)
        return _json({"model": service.name(), "heads": heads, "thresholds": thresholds, "limits": limits})

    @api.get("/healthz", tags=["state"], summary="Liveness", response_class=PlainTextResponse)
    async def healthz() -> Response:
        busy = service.batcher.busy_seconds
        if busy > STUCK_SECONDS:
            return problem(503, f"The model has been busy with one batch for {busy:.0f} s. Restart this process.")
        return PlainTextResponse("ok\n")

    @api.get("/readyz", tags=["state"], summary="Readiness", response_class=PlainTextResponse)
    async def readyz() -> Response:
        if reason := service.unready():
            return problem(503, f"Not ready: {reason}.")
        return PlainTextResponse("ok\n")

    @api.get("/metrics", tags=["state"], summary="Metrics for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return Response(service.telemetry.expose(), headers={"Content-Type": CONTENT_TYPE})


def _requests_of(body: One | Many) -> tuple[list[TextRequest], bool]:
    items = body.texts if isinstance(body, Many) else (body,)
    requests = [
        TextRequest(item) if isinstance(item, str) else TextRequest(item.text, tuple(item.targets), item.keep_words)
        for item in items
    ]
    return requests, body.all_emotions


async def _until_disconnect(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer | None:
    """The result of *work*; None if the client disconnects first, which cancels *work*."""
    answering = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else None
    finally:
        answering.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _client_closed() -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


def _json(body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


async def _on_invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    return invalid(error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    detail = {
        400: body_error(error.__cause__),
        404: f"{request.url.path[:200]} does not exist.",
        405: f"{request.url.path[:200]} does not support {request.method}.",
    }.get(error.status_code, str(error.detail))
    return problem(error.status_code, detail, headers=error.headers)


async def _on_busy(_: Request, error: Exception) -> Response:
    assert isinstance(error, BusyError)  # noqa: S101 - registered for it
    return problem(503, f"Overloaded: {error}.", headers={"Retry-After": str(error.retry_after_seconds)})


async def _on_failed_job(_: Request, error: Exception) -> Response:
    assert isinstance(error, JobFailedError)  # noqa: S101 - registered for it
    return problem(500, f"The model failed on text {error.position} of this request (counted from 0).")


async def _on_bug(_: Request, error: Exception) -> Response:
    return problem(500, "Internal error; see the log of the service.")
