"""Error responses as RFC 9457 problem details that name field and value."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

PROBLEM = "application/problem+json"
MAX_SHOWN_ERRORS = 20
MAX_SHOWN_CHARACTERS = 80


def problem(
    status: int,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem response with the HTTP *status*; *errors* are `{field, value, detail}`."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    return Response(msgspec.json.encode(body), status_code=status, media_type=PROBLEM, headers=dict(headers or {}))


def invalid(error: RequestValidationError) -> Response:
    """400 for invalid JSON, 422 for JSON that does not match the schema."""
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        place = found[0]["loc"][-1]
        return problem(400, f"The body is not JSON: {found[0]['ctx']['error']} (character {place}).")
    errors = [_wrong_field(one) for one in found[:MAX_SHOWN_ERRORS]]
    more = f" (the first {MAX_SHOWN_ERRORS} of {len(found)} errors are listed)" if len(found) > MAX_SHOWN_ERRORS else ""
    first = errors[0]
    return problem(422, f"{first['field']}: {first['detail']}{more}", errors=errors)


def body_error(error: BaseException | None) -> str:
    """Why a body could not be parsed, from the parser's *error*."""
    if isinstance(error, RecursionError):
        return "The body is nested too deeply."
    if isinstance(error, UnicodeDecodeError):
        return f"The body is not UTF-8 (byte {error.start})."
    if isinstance(error, ValueError):
        return "The body contains a number with too many digits."
    return "The body could not be read."


def _wrong_field(error: Mapping[str, Any]) -> dict[str, str]:
    return {
        "field": _field(error["loc"]),
        "value": _display_value(error.get("input"), missing=error["type"] == "missing"),
        "detail": _detail(error),
    }


def _field(place: Sequence[str | int]) -> str:
    """`texts[3].targets[0]` of `("body", "<many>", "texts", 3, "<item>", "targets", 0)`.

    Parts in angle brackets are internal tags of the unions in `model.serve.api_models`.
    """
    path = ""
    for part in place[1:]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("<"):
            path += f".{part}" if path else part
    return path or str(place[0])


def _display_value(value: object, *, missing: bool) -> str:
    if missing:
        return "(missing)"
    if isinstance(value, str):
        cut = value[:MAX_SHOWN_CHARACTERS]
        text = cut.encode("utf-8", "backslashreplace").decode()
        return text if len(cut) == len(value) else f"{text}… ({len(value)} characters)"
    if isinstance(value, list):
        return f"(a list of {len(value)})"
    if isinstance(value, dict):
        return f"(an object of {len(value)})"
    try:
        return str(value)[:MAX_SHOWN_CHARACTERS]
    except ValueError:
        return "(a very large number)"


_DETAILS: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "string_too_long": lambda value, limits: f"has {len(value)} characters, at most {limits['max_length']} are allowed",
    "too_long": lambda _, limits: f"has {limits['actual_length']} entries, at most {limits['max_length']} are allowed",
    "extra_forbidden": lambda *_: "is not a field of this request",
    "string_pattern_mismatch": lambda *_: "must not be blank",
    "missing": lambda *_: "is required",
    "string_unicode": lambda *_: "contains half of a surrogate pair",
}


def _detail(error: Mapping[str, Any]) -> str:
    detail = _DETAILS.get(error["type"])
    return str(error["msg"]) if detail is None else detail(error.get("input"), error.get("ctx", {}))
