"""Schemas from a registry that speaks Confluent's REST interface, and payloads that name their schema.

A payload begins with a zero byte and the schema's number (4 bytes, big endian); newer producers put a byte 1 and a
GUID of 16 bytes into the header `__value_schema_id` instead.
"""

import base64
import io
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import fastavro
import msgspec

from ingest.sources.records.field_mapping import RecordError
from ingest.sources.source import SourceConfigError, SourceContext, SourceError

REQUEST_SECONDS = 10.0
MOST_SCHEMAS = 1_000
MOST_REFERENCES = 100
GUID_HEADER = "__value_schema_id"


@dataclass(frozen=True, slots=True)
class Framed:
    """A payload and the schema that it names: a number, a GUID, or nothing."""

    schema: int | str | None
    payload: bytes


def framed(value: bytes, guid: bytes | None) -> Framed:
    """Raises RecordError for a frame that is cut."""
    if guid is not None and guid[:1] == b"\x01":
        if len(guid) != 17:
            raise RecordError("bad_frame", f"the header {GUID_HEADER} has {len(guid)} bytes instead of 17")
        return Framed(str(uuid.UUID(bytes=guid[1:])), value)
    prefix = guid if guid is not None and guid[:1] == b"\0" else value
    if prefix[:1] != b"\0":
        return Framed(None, value)
    if len(prefix) < 5:
        raise RecordError("bad_frame", f"{len(prefix)} bytes are too few for a schema's number")
    return Framed(int.from_bytes(prefix[1:5], "big"), value[5:] if prefix is value else value)


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema; *avro* is parsed, or None for JSON."""

    avro: Any

    def decode(self, payload: bytes) -> Any:
        """Raises RecordError."""
        if self.avro is None:
            return decode_json(payload)
        reader = io.BytesIO(payload)
        try:
            value = fastavro.schemaless_reader(reader, self.avro, None)
        except Exception as error:  # fastavro raises what the bytes happen to cause: EOFError, IndexError, struct.error
            raise RecordError("not_avro", f"the payload does not fit its schema: {error!r}") from error
        if left := len(payload) - reader.tell():
            raise RecordError("not_avro", f"{left} bytes are left after the payload of its schema")
        return value


def decode_json(payload: bytes) -> Any:
    """Raises RecordError."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError("not_json", f"the payload is not JSON: {error}") from error


class SchemaRegistry:
    """Asks for each schema once: a registry never changes one."""

    def __init__(self, url: str, login: str | None = None) -> None:
        """*login*: `user:password`."""
        self._url = url.rstrip("/")
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json"}
        if login is not None:
            self._headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        self._known: OrderedDict[int | str, Schema] = OrderedDict()

    async def schema(self, name: int | str, context: SourceContext) -> Schema:
        """Raises RecordError if the registry does not know it; SourceError, SourceConfigError as the registry fails."""
        found = self._known.get(name)
        if found is None:
            place = f"schemas/ids/{name}" if isinstance(name, int) else f"schemas/guids/{name}"
            answer = await self._get(place, context)
            if answer is None:
                raise RecordError("unknown_schema", f"{self._url} does not know the schema {name}")
            found = await self._parsed(name, answer, context)
            self._known[name] = found
            if len(self._known) > MOST_SCHEMAS:
                self._known.popitem(last=False)
        return found

    async def check(self, context: SourceContext) -> str:
        """One line about the registry. Raises SourceError, SourceConfigError."""
        found = await self._get("subjects", context)
        return f"registry {self._url}: {len(found) if isinstance(found, list) else 0} subjects"

    async def _parsed(self, name: int | str, answer: Mapping[str, Any], context: SourceContext) -> Schema:
        kind = answer.get("schemaType", "AVRO")
        if kind == "JSON":
            return Schema(None)
        if kind != "AVRO":
            raise RecordError("other_schema_type", f"the schema {name} is {kind}; brandpulse reads AVRO and JSON")
        named: dict[str, Any] = {}
        try:
            await self._references(answer, named, set(), context)
            return Schema(fastavro.parse_schema(msgspec.json.decode(str(answer.get("schema"))), named))
        except (msgspec.DecodeError, fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as error:
            raise RecordError("bad_schema", f"the schema {name} of {self._url} cannot be read: {error!r}") from error

    async def _references(
        self, answer: Mapping[str, Any], named: dict[str, Any], seen: set[str], context: SourceContext
    ) -> None:
        """Parses what a schema refers to, deepest first, into *named*."""
        for reference in answer.get("references") or ():
            place = f"subjects/{reference.get('subject')}/versions/{reference.get('version')}"
            if place in seen:
                continue
            seen.add(place)
            if len(seen) > MOST_REFERENCES:
                raise RecordError("bad_schema", f"a schema refers to more than {MOST_REFERENCES} others")
            found = await self._get(place, context)
            if found is None:
                raise RecordError("unknown_schema", f"{self._url} does not know {place}, which a schema refers to")
            await self._references(found, named, seen, context)
            fastavro.parse_schema(msgspec.json.decode(str(found.get("schema"))), named)

    async def _get(self, place: str, context: SourceContext) -> Any:
        """The answer as JSON, or None for 404."""
        url = f"{self._url}/{place}"
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        try:
            async with context.session.get(url, headers=self._headers, timeout=timeout) as answer:
                body = await answer.read()
                status = answer.status
        except TimeoutError as error:
            raise SourceError(f"the schema registry did not answer within {REQUEST_SECONDS:.0f} s: {url}") from error
        except aiohttp.InvalidURL as error:
            raise SourceConfigError(f"registry: {self._url!r} is no web address") from error
        except aiohttp.ClientError as error:
            raise SourceError(f"cannot reach the schema registry: {error}") from error
        if status in (401, 403):
            raise SourceConfigError(f"the schema registry denies access ({status}): check registry_login_env: {url}")
        if status == 404:
            return None
        if status != 200:
            raise SourceError(f"the schema registry answered {status}: {url}")
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise SourceError(f"the schema registry answered with something that is not JSON: {url}") from error
