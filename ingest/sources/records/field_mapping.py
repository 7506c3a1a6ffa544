"""The mapping file: where the fields of a post are in the records of a Kafka topic."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from brandpulse.config.yaml_file import read_yaml
from brandpulse.errors import ConfigError
from brandpulse.schema.posts import MAX_ID_CHARS, MAX_TEXT_CHARS
from brandpulse.text.html_text import html_text
from ingest.files.reading.time_zones import Zone, ZoneError, place_zone
from ingest.files.reading.timestamp_parsing import parse_timestamp
from ingest.sources.events import NewPost

EXAMPLE = """fields:
  id: ticket.id
  text: [message, body]
  created_at: created
  author_id: customer.id
"""
UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}
FACTS = ("key", "timestamp", "topic", "partition", "offset")
_STEP = re.compile(r"[^.\[\]]+|\[-?\d+\]")


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """A record with its envelope opened."""

    value: Any
    """The decoded payload; None if the record has none."""
    facts: Mapping[str, Any]
    """`key` (text), `timestamp`, `topic`, `partition`, `offset`."""
    headers: Mapping[str, str]
    event: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of a CloudEvent, without the prefix `ce_`."""


class RecordError(Exception):
    """A record that gives no post. *reason*: few snake_case words; the message says what is wrong."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _path(path: str) -> str:
    name = path.removeprefix("@").partition(".")[0]
    if path.startswith("@") and name not in (*FACTS, "header", "event"):
        known = ", ".join(f"@{fact}" for fact in FACTS)
        raise ValueError(f"{path!r} is none of {known}, @header.NAME, @event.NAME")
    if path != "@value" and "".join(_STEP.findall(path)) != path.replace(".", ""):
        raise ValueError(f"{path!r} is no path such as customer.name or items[0].text")
    return path


class FieldSource(BaseModel):
    """Where a field is. Exactly one of `first`, `join` and `constant`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: tuple[str, ...] = ()
    """Paths; the first one with a value counts."""
    join: tuple[str, ...] = ()
    """Paths whose values are joined with a new line."""
    constant: str | None = None
    unit: Literal["s", "ms", "us"] | None = None
    """Of a number since 1970. Default: by its size."""
    zone: str | None = None
    """Of a time without one, such as Europe/Berlin."""

    @field_validator("first", "join", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("first", "join")
    @classmethod
    def _paths(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_path(path) for path in paths)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        try:
            if zone is not None:
                place_zone(zone)
        except ZoneError as error:
            raise ValueError(str(error)) from error
        return zone

    def find(self, record: OpenedRecord) -> Any:
        """The value, or None."""
        if self.constant is not None:
            return self.constant
        if self.join:
            parts = (_text(_at(record, path)) for path in self.join)
            return "\n".join(part for part in parts if part) or None
        return next((value for path in self.first if (value := _at(record, path)) not in (None, "")), None)


def _field(value: object) -> object:
    return {"first": value} if isinstance(value, (str, list, tuple)) else value


class Fields(BaseModel):
    """The fields of a post. What has a default may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: FieldSource
    author_id: FieldSource
    id: FieldSource | None = None
    """Default: source and id of the CloudEvent; else topic id, partition and offset."""
    created_at: FieldSource = FieldSource(first=("@event.time", "@timestamp"))
    lang: FieldSource | None = None
    url: FieldSource | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return _field(value)


class Mapped(BaseModel):
    """The content of a mapping file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: Fields
    html: bool = False
    """The text is HTML."""
    only: Annotated[Mapping[str, str | tuple[str, ...]], Field(default_factory=dict)]
    """Path -> value, or several values: other records are skipped."""

    @field_validator("only")
    @classmethod
    def _only_paths(cls, only: Mapping[str, Any]) -> Mapping[str, Any]:
        return {_path(path): value for path, value in only.items()}


class RecordMapping:
    """Turns records into posts. Pure: the same record always gives the same post."""

    def __init__(self, mapped: Mapped) -> None:
        self._fields = mapped.fields
        self._html = mapped.html
        self._only = {path: {want} if isinstance(want, str) else set(want) for path, want in mapped.only.items()}
        zone = mapped.fields.created_at.zone
        self._zone: Zone | None = place_zone(zone) if zone is not None else None

    def wants(self, record: OpenedRecord) -> bool:
        return all(_text(_at(record, path)) in wanted for path, wanted in self._only.items())

    def id_of(self, record: OpenedRecord) -> str | None:
        """The id, or None if the mapping finds none: a record without a value often has it in its key."""
        return _text(self._fields.id.find(record)) if self._fields.id is not None else None

    def post(self, record: OpenedRecord, *, default_id: str) -> NewPost:
        """Raises RecordError."""
        fields = self._fields
        post_id = self.id_of(record)
        if fields.id is not None and not post_id:
            raise RecordError("no_id", f"no value for id at {_places(fields.id)}")
        text = _text(fields.text.find(record))
        if text is not None and self._html:
            text = html_text(text)
        if not text or not text.strip():
            raise RecordError("no_text", f"no value for text at {_places(fields.text)}")
        author = _text(fields.author_id.find(record))
        if not author:
            raise RecordError("no_author", f"no value for author_id at {_places(fields.author_id)}")
        post_id = post_id or default_id
        if len(post_id) > MAX_ID_CHARS or len(author) > MAX_ID_CHARS:
            raise RecordError("bad_id", f"id or author_id has more than {MAX_ID_CHARS} characters")
        if len(text) > MAX_TEXT_CHARS:
            raise RecordError("too_long", f"the text has {len(text):,} characters; at most {MAX_TEXT_CHARS:,} are read")
        lang = _text(fields.lang.find(record)) if fields.lang is not None else None
        url = _text(fields.url.find(record)) if fields.url is not None else None
        return NewPost(post_id, text, self._time(record), author, lang, url)

    def _time(self, record: OpenedRecord) -> datetime:
        found, unit = self._fields.created_at.find(record), self._fields.created_at.unit
        if found is None:
            raise RecordError("no_time", f"no value for created_at at {_places(self._fields.created_at)}")
        if isinstance(found, datetime):
            if found.tzinfo is not None:
                return found
            found = found.isoformat()
        try:
            if unit is not None:
                return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(float(found) * UNITS[unit]))
            return parse_timestamp(found, zone=self._zone)
        except (ValueError, TypeError, OverflowError) as error:
            raise RecordError("bad_time", f"created_at {str(found)[:80]!r}: {error}") from error


def _places(source: FieldSource) -> str:
    return " or ".join(source.first or source.join)


def _at(record: OpenedRecord, path: str) -> Any:
    steps = _STEP.findall(path)
    if not path.startswith("@"):
        return _walk(record.value, steps)
    name = steps[0][1:]
    if name == "header":
        return record.headers.get(path.removeprefix("@header."))
    if name == "event":
        return _walk(record.event, steps[1:])
    return record.facts.get(name)


def _walk(value: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, (list, tuple)):
            digits = step.strip("[]")
            at = int(digits) if digits.lstrip("-").isdecimal() else len(value)
            value = value[at] if -len(value) <= at < len(value) else None
        else:
            return None
    return value


def _text(value: Any) -> str | None:
    """Text and numbers; None for anything else: an object is no id."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) or type(value).__name__ in ("UUID", "Decimal") else None


def load_mapping(path: Path) -> RecordMapping:
    """The mapping of the YAML file at *path*. Raises ConfigError: file, line, key, value, and a right file."""
    read = read_yaml(path, what="mapping file", variable="mapping_file", example=EXAMPLE)
    try:
        return RecordMapping(Mapped.model_validate(read.content))
    except ValidationError as error:
        problems = read.explain(error, name=lambda _: "")
        raise ConfigError(f"the mapping file is wrong:\n{problems}\nFor example:\n{EXAMPLE}") from error
