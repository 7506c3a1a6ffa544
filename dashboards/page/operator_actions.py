"""What a person asks for on the page: silences, their ends, acknowledgements.

POST /api/silences               {"brand"?, "rule"?, "below"?, "for": "2h", "why"?, "by"?}
POST /api/silences/{id}/expire   {}
POST /api/acknowledgements       {"key", "by"?}

Where the page has tokens, the request must show an operator's. Then `by` is that name, whatever the body says.

The body must be JSON and come from the page itself: a foreign page can make a browser post a form to 127.0.0.1, but
neither set this content type nor hide where it comes from.
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

MOST_BYTES = 4_096
Said = Annotated[str, Field(max_length=100)]


class WantedSilence(BaseModel):
    """From now on, for so long. At least one of brand, rule and below, or `everything`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    brand: str | None = Field(default=None, min_length=1, max_length=200)
    rule: str | None = Field(default=None, min_length=1, max_length=200)
    below: Severity | None = None
    everything: Literal[True] | None = None
    for_: str = Field(alias="for", max_length=20)
    why: str = Field(default="", max_length=500)
    by: Said = "live page"


class WantedAcknowledgement(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: str = Field(min_length=1, max_length=255)
    by: Said = "live page"


async def body_of(request: web.Request) -> bytes:
    """The body of a request that the page itself made. Raises the HTTP error that tells what is wrong."""
    origin = request.headers.get("Origin")
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != request.host
    ):
        raise web.HTTPForbidden(text="only this page may ask for that")
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="the body must be application/json")
    body = await request.content.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise web.HTTPRequestEntityTooLarge(max_size=MOST_BYTES, actual_size=len(body), text="the body is too long")
    return body


def add_silence(book: OperatorRequestStore, body: bytes, *, by: str | None = None) -> Silence:
    """*by*: the operator's name, which counts whatever the body says. Raises HTTPBadRequest, or RefusedError."""
    try:
        wanted = WantedSilence.model_validate_json(body)
    except ValidationError as error:
        raise web.HTTPBadRequest(text=_told(error)) from None
    if not (wanted.brand or wanted.rule or wanted.below or wanted.everything):
        raise RefusedError("say what to silence: brand, rule or below, or everything")
    now = datetime.now(UTC)
    silence = Silence(
        brand=wanted.brand,
        rule=wanted.rule,
        below=wanted.below,
        starts_at=now,
        ends_at=now + silence_length(wanted.for_),
        created_at=now,
        by=by or wanted.by,
        why=wanted.why,
    )
    book.add(silence)
    return silence


def acknowledge(book: OperatorRequestStore, body: bytes, *, by: str | None = None) -> None:
    """*by*: the operator's name, which counts whatever the body says. Raises HTTPBadRequest, or RefusedError."""
    try:
        wanted = WantedAcknowledgement.model_validate_json(body)
    except ValidationError as error:
        raise web.HTTPBadRequest(text=_told(error)) from None
    book.acknowledge(Acknowledgement(key=wanted.key, by=by or wanted.by, at=datetime.now(UTC)))


def _told(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the body'}: {sentence(one)}" for one in error.errors())
