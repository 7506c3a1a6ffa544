"""Operator actions on the page: add and end silences, acknowledge episodes.

POST /api/silences               {"brand"?, "rule"?, "below"?, "for": "2h", "why"?, "by"?}
POST /api/silences/{id}/expire   {}
POST /api/acknowledgements       {"key", "by"?}

If the page has tokens, the request needs an operator token. Then `by` is the operator's name and the body's `by` is
ignored.

The body must be JSON and come from the page itself: another site can make a browser post a form to 127.0.0.1, but it
can neither set this content type nor hide its origin.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brandpulse.config.validation import sentence
from brandpulse.schema.episodes import Severity
from brandpulse.schema.silences import Acknowledgement, RefusedError, Silence, silence_length
from brandpulse.state.operator_requests import OperatorRequestStore

MAX_BODY_BYTES = 4_096
Author = Annotated[str, Field(max_length=100)]


class SilenceRequest(BaseModel):
    """A silence that starts now. It needs at least one of brand, rule and below, or `everything`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    brand: str | None = Field(default=None, min_length=1, max_length=200)
    rule: str | None = Field(default=None, min_length=1, max_length=200)
    below: Severity | None = None
    everything: Literal[True] | None = None
    for_: str = Field(alias="for", max_length=20)
    why: str = Field(default="", max_length=500)
    by: Author = "live page"


class AcknowledgementRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: str = Field(min_length=1, max_length=255)
    by: Author = "live page"


async def body_of(request: web.Request) -> bytes:
    """The body of a request from the page itself. Raises the matching HTTP error for any other request."""
    origin = request.headers.get("Origin")
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != request.host
    ):
        raise web.HTTPForbidden(text="only this page can send this request")
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="the body must be application/json")
    body = await request.content.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(
            max_size=MAX_BODY_BYTES, actual_size=len(body), text=f"the body exceeds {MAX_BODY_BYTES} bytes"
        )
    return body


def add_silence(store: OperatorRequestStore, body: bytes, *, by: str | None = None) -> Silence:
    """*by*: the operator's name, which overrides the body's. Raises HTTPBadRequest or RefusedError."""
    try:
        requested = SilenceRequest.model_validate_json(body)
    except ValidationError as error:
        raise web.HTTPBadRequest(text=_message(error)) from None
    if not (requested.brand or requested.rule or requested.below or requested.everything):
        raise RefusedError("the silence needs a brand, a rule, a severity (below) or everything")
    now = datetime.now(UTC)
    silence = Silence(
        brand=requested.brand,
        rule=requested.rule,
        below=requested.below,
        starts_at=now,
        ends_at=now + silence_length(requested.for_),
        created_at=now,
        by=by or requested.by,
        why=requested.why,
    )
    store.add(silence)
    return silence


def acknowledge(store: OperatorRequestStore, body: bytes, *, by: str | None = None) -> None:
    """*by*: the operator's name, which overrides the body's. Raises HTTPBadRequest or RefusedError."""
    try:
        requested = AcknowledgementRequest.model_validate_json(body)
    except ValidationError as error:
        raise web.HTTPBadRequest(text=_message(error)) from None
    store.acknowledge(Acknowledgement(key=requested.key, by=by or requested.by, at=datetime.now(UTC)))


def _message(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the body'}: {sentence(one)}" for one in error.errors())
