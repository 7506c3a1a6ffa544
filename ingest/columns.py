"""From a row's cells to a post on the wire, or to a reject."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from brandpulse.posts import POST_DECODER
from ingest.rows import MISSING, InputError, Reject, Row
from ingest.timestamps import moment

REQUIRED = ("id", "text", "created_at", "author_id")
OPTIONAL = ("lang", "url")


def parse_map(text: str) -> dict[str, str]:
    """`text=tweet,id=tweet_id` as our field → the file's column. Raises InputError."""
    mapping: dict[str, str] = {}
    for part in text.split(","):
        ours, equals, theirs = (piece.strip() for piece in part.partition("="))
        if not (equals and ours and theirs):
            raise InputError(f"--map: {part!r} is not OURS=COLUMN; for example --map text=body,author_id=user")
        if ours not in REQUIRED + OPTIONAL:
            raise InputError(f"--map: there is no field {ours!r}; ours are {', '.join(REQUIRED + OPTIONAL)}")
        if ours in mapping:
            raise InputError(f"--map: field {ours!r} stands twice")
        mapping[ours] = theirs
    return mapping


def resolve(mapping: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    """*mapping*, with fields it leaves out taken from columns of the same name.

    Raises InputError that lists the columns and shows a mapping when one is missing or stands twice.
    """
    resolved = {field: mapping.get(field, field) for field in REQUIRED}
    resolved |= {field: mapping.get(field, field) for field in OPTIONAL if field in mapping or field in columns}
    missing = {field: column for field, column in resolved.items() if column not in columns}
    if missing:
        wanted = ", ".join(
            f"{column!r} for {field}" if field in mapping else field for field, column in missing.items()
        )
        shown = {**mapping, **{field: _guess(field, columns) for field in missing}}
        example = ",".join(f"{field}={column}" for field, column in shown.items())
        raise InputError(
            f"the file has no column {wanted}. Its columns: {', '.join(columns)}.\n"
            f"Say which column holds what, for example: --map {example}"
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


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A post ready to be sent."""

    id: str
    created_at: datetime
    payload: bytes
    """JSON of a `Post`."""

    def moved(self, shift: timedelta) -> "Outgoing":
        """The same post, written *shift* later."""
        created_at = self.created_at + shift
        content = msgspec.json.decode(self.payload) | {"created_at": created_at}
        return Outgoing(self.id, created_at, msgspec.json.encode(content))


class _Wire(msgspec.Struct, omit_defaults=True, gc=False):
    """The fields of `Post`; what they may hold is checked by its decoder, not here."""

    id: Any
    text: Any
    created_at: datetime
    author_id: Any
    source: str
    lang: Any = None
    url: Any = None
    # Written although it never changes: readers demand it, and omit_defaults leaves a default out.
    schema_version: int = 0


class PostMaker:
    """Makes posts of rows whose cells come in the order of *fields*."""

    def __init__(self, fields: Sequence[str], *, source: str, assume_utc: bool = False) -> None:
        self._fields = tuple(fields)
        self._source = source
        self._assume_utc = assume_utc
        self._encode = msgspec.json.Encoder().encode

    def make(self, row: Row) -> Outgoing | Reject:
        """The post of *row*, exactly as strict as the workers that will read it."""
        cells = dict(zip(self._fields, row.cells, strict=True))
        flaw = _flaw(cells)
        if flaw is not None:
            field, reason = flaw
            return Reject(row.line, field, _shown(cells[field]), reason)
        try:
            created_at = moment(cells["created_at"], assume_utc=self._assume_utc)
        except ValueError as error:
            return Reject(row.line, "created_at", _shown(cells["created_at"]), str(error))
        post_id = _as_text(cells["id"])
        try:
            payload = self._encode(
                _Wire(
                    id=post_id,
                    text=cells["text"],
                    created_at=created_at,
                    author_id=_as_text(cells["author_id"]),
                    source=self._source,
                    lang=_or_none(cells.get("lang")),
                    url=_or_none(cells.get("url")),
                    schema_version=1,
                )
            )
            POST_DECODER.decode(payload)
        except msgspec.ValidationError as error:
            return _refused(row.line, error, cells)
        except UnicodeEncodeError:
            broken = next(name for name, value in cells.items() if not _is_utf8(value))
            return Reject(row.line, broken, _shown(cells[broken]), "is not UTF-8 text")
        return Outgoing(post_id, created_at, payload)


def _flaw(cells: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first field that no post can have, and what is wrong; the decoder finds the rest."""
    for field in REQUIRED:
        value = cells[field]
        if value is MISSING or value is None:
            return field, "is missing"
        if type(value) is str and "\0" in value:
            return field, "holds a NUL byte"
    text = cells["text"]
    return ("text", "is blank") if type(text) is str and not text.strip() else None


def _as_text(value: Any) -> Any:
    # JSON ids are often numbers. A float stays one and is refused: 5.7e17 has lost the id's last digits.
    return str(value) if type(value) is int else value


def _or_none(value: Any) -> Any:
    return None if value is MISSING or value == "" else value


def _is_utf8(value: Any) -> bool:
    return not (isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value))


def _shown(value: Any) -> str:
    return "" if value is MISSING or value is None else str(value)


def _refused(line: int, error: msgspec.ValidationError, cells: Mapping[str, Any]) -> Reject:
    message, _, place = str(error).partition(" - at `$.")
    field = place.rstrip("`") or None
    return Reject(line, field, _shown(cells.get(field or "")), message[:1].lower() + message[1:])
