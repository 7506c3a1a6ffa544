"""Turns the cells of a row into a post or a reject."""

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec

from brandpulse.schema.posts import MAX_LANG_CHARS, MAX_URL_CHARS, OPTIONAL_LIMITS, POST_DECODER
from brandpulse.text.readable_text import without_html
from ingest.files.reading.identifiers import IdColumn, clean_author
from ingest.files.reading.row import MISSING, InputError, Reject, Row
from ingest.files.reading.time_zones import Zone
from ingest.files.reading.timestamp_parsing import parse_timestamp

REQUIRED = ("id", "text", "created_at", "author_id")
OPTIONAL = ("lang", "url", "source")
MAX_SOURCE_CHARS = 64


def parse_map(text: str) -> dict[str, str]:
    """Parses `text=tweet,id="tweet, id"` into field → column. Raises InputError.

    A column name with a comma or a quote is written in double quotes, with inner quotes doubled.
    """
    mapping: dict[str, str] = {}
    at = 0
    while at <= len(text):
        part = _MAP_PART.match(text, at)
        if part is None:
            wrong = text[at:].partition(",")[0]
            raise InputError(f"--map: {wrong!r} is not FIELD=COLUMN; for example --map text=body,author_id=user")
        field, quoted, plain = part.groups()
        if field not in REQUIRED + OPTIONAL:
            raise InputError(f"--map: unknown field {field!r}; the fields are {', '.join(REQUIRED + OPTIONAL)}")
        if field in mapping:
            raise InputError(f"--map: field {field!r} is set twice")
        mapping[field] = plain.strip() if quoted is None else quoted.replace('""', '"')
        at = part.end() + 1
    return mapping


_MAP_PART = re.compile(r'\s*(\w[^=,]*?)\s*=\s*(?:"((?:[^"]|"")+)"\s*|([^",\s][^,]*))(?=,|$)', re.DOTALL)


def map_option(mapping: Mapping[str, str]) -> str:
    """The --map option for *mapping*, quoted for a shell."""
    parts = (f"{field}={_quoted(column)}" for field, column in mapping.items())
    return f"--map {shlex.quote(','.join(parts))}"


def _quoted(column: str) -> str:
    plain = column == column.strip() and not any(sign in column for sign in ',"\n\r') and column
    return column if plain else '"' + column.replace('"', '""') + '"'


def resolve(mapping: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    """*mapping*, completed with columns that have the name of a field, except the source.

    Raises InputError if a column is missing or not unique; the message lists the columns and suggests a mapping.
    """
    resolved = {field: mapping.get(field, field) for field in REQUIRED}
    resolved |= {
        field: mapping.get(field, field)
        for field in OPTIONAL
        if field in mapping or (field in columns and field in OPTIONAL_LIMITS)
    }
    missing = {field: column for field, column in resolved.items() if column not in columns}
    if missing:
        wanted = ", ".join(
            f"{column!r} for {field}" if field in mapping else field for field, column in missing.items()
        )
        shown = {**mapping, **{field: _guess(field, columns) for field in missing}}
        raise InputError(
            f"the file has no column {wanted}. Its columns: {', '.join(map(_quoted, columns))}.\n"
            f"Set the columns, for example: {map_option(shown)}"
        )
    for column in resolved.values():
        if list(columns).count(column) > 1:
            raise InputError(f"the file has {list(columns).count(column)} columns named {column!r}; rename one")
    return resolved


_USUAL = {
    "id": ("id", "uid", "key"),
    "text": ("text", "body", "content", "message", "tweet"),
    "created_at": ("created", "time", "date"),
    "author_id": ("author", "user", "name", "handle", "account"),
}


def _guess(field: str, columns: Sequence[str]) -> str:
    for word in _USUAL.get(field, ()):
        for column in columns:
            if word in column.lower():
                return column
    return "COLUMN"


class OutgoingPost(msgspec.Struct, frozen=True, gc=False):
    """A post to send."""

    id: str
    created_at: datetime
    payload: bytes
    """JSON of a `Post`."""
    source: str = ""
    """Ids are unique within it."""

    def moved(self, shift: timedelta) -> "OutgoingPost":
        """The same post with its time moved by *shift*."""
        created_at = self.created_at + shift
        content = msgspec.json.decode(self.payload) | {"created_at": created_at}
        return msgspec.structs.replace(self, created_at=created_at, payload=msgspec.json.encode(content))


class _Wire(msgspec.Struct, omit_defaults=True, gc=False):
    """The fields of `Post`. The decoder checks their values."""

    id: Any
    text: Any
    created_at: datetime
    author_id: Any
    source: str
    lang: Any = None
    url: Any = None
    # The default differs from 1, because omit_defaults would drop it, and readers require the field.
    schema_version: int = 0


class PostMaker:
    """Makes posts from rows whose cells are in the order of *fields*."""

    def __init__(
        self,
        fields: Sequence[str],
        *,
        source: str,
        zone: Zone | None = None,
        day_first: bool | None = None,
        ids: IdColumn | None = None,
    ) -> None:
        """*source* applies to rows without their own; *ids* are the rules for the file's id column."""
        self._fields = tuple(fields)
        self._source = source
        self._own_sources = "source" in self._fields
        self._zone = zone
        self._day_first = day_first
        self._parse_id = (ids or IdColumn()).parse
        self._encode = msgspec.json.Encoder().encode
        self.dropped: list[Reject] = []
        """Optional values that were dropped from the last row's post."""

    def make(self, row: Row) -> OutgoingPost | Reject:  # noqa: PLR0911 - one per flaw
        """The post of *row*, or a reject. Exactly as strict as the workers."""
        if self.dropped:
            self.dropped.clear()
        cells = dict(zip(self._fields, row.cells, strict=True))
        post_id, flaw = self._parse_id(cells["id"])
        if flaw is not None:
            return _reject(row.line, cells, "id", flaw)
        author_id, flaw = clean_author(cells["author_id"])
        if flaw is not None:
            return _reject(row.line, cells, "author_id", flaw)
        try:
            created_at = parse_timestamp(cells["created_at"], zone=self._zone, day_first=self._day_first)
        except ValueError as error:
            return _reject(row.line, cells, "created_at", str(error))
        text = cells["text"]
        if type(text) is str and ("&" in text or "<" in text):
            text = without_html(text)
        if type(text) is str and (not text or text.isspace()):
            return _reject(row.line, cells, "text", "is blank")
        source = self._source_of(cells) if self._own_sources else self._source
        lang, url = cells.get("lang"), cells.get("url")
        if lang is not None and not (type(lang) is str and 0 < len(lang) <= MAX_LANG_CHARS and lang.isascii()):
            lang = self._optional(row.line, "lang", lang)
        if url is not None and not (type(url) is str and 0 < len(url) <= MAX_URL_CHARS and url.isascii()):
            url = self._optional(row.line, "url", url)
        try:
            payload = self._encode(
                _Wire(
                    id=post_id,
                    text=text,
                    created_at=created_at,
                    author_id=author_id,
                    source=source,
                    lang=lang,
                    url=url,
                    schema_version=1,
                )
            )
            POST_DECODER.decode_strictly(payload)
        except msgspec.ValidationError as error:
            return _invalid(row.line, error, cells)
        except UnicodeEncodeError:
            broken = next(name for name, value in cells.items() if not _is_utf8(value))
            return _reject(row.line, cells, broken, _NOT_UTF8)
        if b"\\u0000" in payload and (found := _flaw(cells)) is not None:
            return _reject(row.line, cells, *found)
        return OutgoingPost(cast("str", post_id), created_at, payload, source)

    def _source_of(self, cells: Mapping[str, Any]) -> Any:
        own = cells.get("source")
        if own is None or own is MISSING:
            return self._source
        return (own.strip() or self._source) if type(own) is str else own

    def _optional(self, line: int, field: str, value: Any) -> str | None:
        if value is MISSING or value == "":
            return None
        if type(value) is str and len(value) <= OPTIONAL_LIMITS[field] and (value.isascii() or _is_utf8(value)):
            return value
        reason = f"is not a text of at most {OPTIONAL_LIMITS[field]:,} characters"
        self.dropped.append(Reject(line, field, _shown(value), reason))
        return None


_NOT_UTF8 = "is not UTF-8 text; if the file has another encoding, set it with --encoding"


def _flaw(cells: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first field that is missing or contains a NUL byte; the decoder finds other flaws."""
    for field in REQUIRED:
        value = cells[field]
        if value is MISSING or value is None:
            return field, "is missing"
        if type(value) is str and "\0" in value:
            return field, "contains a NUL byte"
    return None


def _reject(line: int, cells: Mapping[str, Any], field: str, reason: str) -> Reject:
    """A reject because of *field*; a missing field has precedence as the reason."""
    field, reason = _flaw(cells) or (field, reason)
    return Reject(line, field, _shown(cells.get(field)), reason)


def _is_utf8(value: Any) -> bool:
    return not (isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value))


def _shown(value: Any) -> str:
    return "" if value is MISSING or value is None else str(value)


def _invalid(line: int, error: msgspec.ValidationError, cells: Mapping[str, Any]) -> Reject:
    if (flaw := _flaw(cells)) is not None:
        return _reject(line, cells, *flaw)
    message, _, place = str(error).partition(" - at `$.")
    field = place.rstrip("`") or None
    reason = message[:1].lower() + message[1:]
    return _reject(line, cells, field, reason) if field else Reject(line, None, "", reason)
