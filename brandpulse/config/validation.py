"""Pydantic's errors as plain sentences: what a value must be, without the library's own words and class names."""

import datetime
import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

Context = Mapping[str, Any]

_SCALARS = (bool, int, float, datetime.date, datetime.datetime)


def _text(value: Any, _: Context) -> str:
    # YAML reads NO as false, 2026-03-02 as a date and 007 as a number.
    return "must be text: put the value in quotes" if isinstance(value, _SCALARS) else "must be text"


def _number(value: Any, _: Context) -> str:
    return "is empty; it must be a number" if value == "" else "must be a number"


def _whole(*_: Any) -> str:
    return "must be a whole number"


def _flag(*_: Any) -> str:
    return "must be true or false"


def _list(value: Any, _: Context) -> str:
    return f"must be a list: [{value}]" if isinstance(value, str) and value.strip() else "must be a list"


def _mapping(value: Any, _: Context) -> str:
    return ("is empty: " if value is None else "") + "must be fields with values, one `name: value` a line"


def _items(number: int) -> str:
    return "1 entry" if number == 1 else f"{number:,} entries"


def _characters(number: int) -> str:
    return "1 character" if number == 1 else f"{number:,} characters"


def _moment(*_: Any) -> str:
    return "must be a time with a zone, for example 2026-03-02T12:00:00Z"


_SENTENCES: dict[str, Callable[[Any, Context], str]] = {
    "missing": lambda *_: "is missing",
    "missing_argument": lambda *_: "is missing",
    "extra_forbidden": lambda *_: "is not known here",
    "string_type": _text,
    "string_sub_type": _text,
    "string_unicode": _text,
    "int_type": _whole,
    "int_parsing": _whole,
    "int_from_float": _whole,
    "int_parsing_size": lambda *_: "is too large a number",
    "float_type": _number,
    "float_parsing": _number,
    "decimal_parsing": _number,
    "decimal_type": _number,
    "finite_number": lambda *_: "must be a finite number",
    "bool_type": _flag,
    "bool_parsing": _flag,
    "list_type": _list,
    "tuple_type": _list,
    "set_type": _list,
    "frozen_set_type": _list,
    "dict_type": _mapping,
    "mapping_type": _mapping,
    "model_type": _mapping,
    "model_attributes_type": _mapping,
    "dataclass_type": _mapping,
    "none_required": lambda *_: "must be empty",
    "greater_than": lambda _, limits: f"must be more than {limits['gt']}",
    "greater_than_equal": lambda _, limits: f"must be at least {limits['ge']}",
    "less_than": lambda _, limits: f"must be less than {limits['lt']}",
    "less_than_equal": lambda _, limits: f"must be at most {limits['le']}",
    "multiple_of": lambda _, limits: f"must be a multiple of {limits['multiple_of']}",
    "string_too_short": lambda value, limits: (
        "is empty" if value == "" else f"must have at least {_characters(limits['min_length'])}"
    ),
    "string_too_long": lambda _, limits: f"must have at most {_characters(limits['max_length'])}",
    "string_pattern_mismatch": lambda _, limits: f"must match the pattern {limits['pattern']}",
    "too_short": lambda _, limits: f"needs at least {_items(limits['min_length'])}",
    "too_long": lambda _, limits: (
        f"may have at most {_items(limits['max_length'])}"
        + (f", has {limits['actual_length']:,}" if limits.get("actual_length") is not None else "")
    ),
    "literal_error": lambda _, limits: f"must be {limits['expected']}",
    "enum": lambda _, limits: f"must be {limits['expected']}",
    "union_tag_invalid": lambda _, limits: (
        f"{limits['discriminator'].strip(chr(39))} must be one of {limits['expected_tags']}, is {limits['tag']!r}"
    ),
    "union_tag_not_found": lambda _, limits: f"needs the field {limits['discriminator'].strip(chr(39))}",
    "url_type": lambda *_: "must be an address, for example https://example.com/path",
    "url_parsing": lambda *_: "must be an address, for example https://example.com/path",
    "url_syntax_violation": lambda *_: "must be an address, for example https://example.com/path",
    "url_scheme": lambda _, limits: f"must be an address that begins with {limits['expected_schemes']}",
    "url_too_long": lambda *_: "is too long an address",
    "path_type": lambda *_: "must be the path of a file or a folder",
    "datetime_type": _moment,
    "datetime_parsing": _moment,
    "datetime_from_date_parsing": _moment,
    "datetime_object_invalid": _moment,
    "timezone_aware": _moment,
    "date_type": lambda *_: "must be a date, for example 2026-03-02",
    "date_parsing": lambda *_: "must be a date, for example 2026-03-02",
    "date_from_datetime_parsing": lambda *_: "must be a date, for example 2026-03-02",
    "time_type": lambda *_: "must be a time of day, for example 22:30",
    "time_parsing": lambda *_: "must be a time of day, for example 22:30",
    "time_delta_type": lambda *_: "must be a length of time, for example PT2H",
    "time_delta_parsing": lambda *_: "must be a length of time, for example PT2H",
    "json_invalid": lambda *_: "is not JSON",
    "json_type": lambda *_: "is not JSON",
    "value_error": lambda _, limits: str(limits["error"]),
    "assertion_error": lambda _, limits: str(limits["error"]),
}


def sentence(problem: ErrorDetails) -> str:
    """The error of *problem*, as the end of a sentence that begins with the field's name."""
    words = _SENTENCES.get(problem["type"])
    return "has a wrong value" if words is None else words(problem["input"], problem.get("ctx", {}))


def reason_of(error: BaseException) -> str:
    """Why an input could not be read, in plain words, for the end of a sentence."""
    match error:
        case ValidationError():
            problems = error.errors()
            reason = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the value'} {sentence(one)}" for one in problems)
        case UnicodeDecodeError():
            reason = "it is not UTF-8 text"
        case gzip.BadGzipFile() | zlib.error():
            reason = "it is not gzip, or is damaged"
        case EOFError():
            reason = "the file is cut off"
        case json.JSONDecodeError():
            reason = f"it is not JSON (line {error.lineno}, column {error.colno})"
        case KeyError():
            reason = f"the field {error.args[0] if error.args else '?'} is missing"
        case OSError() if error.strerror:
            reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        case _:
            reason = str(error) or type(error).__name__
    return reason
