"""Opens a record: CloudEvents in both modes of their Kafka binding, and the payload by its schema.

Source: the CloudEvents Kafka protocol binding 1.0.2, and Confluent's wire format.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ingest.sources.records.field_mapping import OpenedRecord, RecordError
from ingest.sources.records.schema_registry import GUID_HEADER, SchemaRegistry, decode_json, framed
from ingest.sources.source import SourceContext

STRUCTURED = "application/cloudevents"


async def opened(message: Any, *, registry: SchemaRegistry | None, avro: bool, context: SourceContext) -> OpenedRecord:
    """The record of a Kafka *message*. Raises RecordError; SourceError as the registry fails."""
    raw = list(message.headers() or ())
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in raw}
    facts = _facts(message)
    value = message.value()
    event: Mapping[str, Any] = {
        name.removeprefix("ce_"): text for name, text in headers.items() if name.startswith("ce_")
    }
    if value is None:
        return OpenedRecord(None, facts, headers, event)
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type.startswith(STRUCTURED):
        if content_type != f"{STRUCTURED}+json":
            raise RecordError("other_event_format", f"the content-type {content_type!r} is not {STRUCTURED}+json")
        event, data = _structured(value)
        return OpenedRecord(data, facts, headers, event)
    data = await _payload(value, _guid(raw), registry=registry, avro=avro, context=context)
    return OpenedRecord(data, facts, headers, event)


def _guid(headers: Sequence[tuple[str, bytes | None]]) -> bytes | None:
    return next((value for name, value in headers if name == GUID_HEADER), None)


async def _payload(
    value: bytes, guid: bytes | None, *, registry: SchemaRegistry | None, avro: bool, context: SourceContext
) -> Any:
    if registry is None:
        return decode_json(value)
    frame = framed(value, guid)
    if frame.schema is None:
        if avro:
            raise RecordError("bad_frame", "the record names no schema: it begins with no zero byte")
        return decode_json(value)
    return (await registry.schema(frame.schema, context)).decode(frame.payload)


def _structured(value: bytes) -> tuple[Mapping[str, Any], Any]:
    """(attributes, data) of an event in JSON."""
    found = decode_json(value)
    if not isinstance(found, dict) or "specversion" not in found:
        raise RecordError("not_an_event", "the record is announced as a CloudEvent and has no specversion")
    encoded = found.get("data_base64")
    if encoded is None:
        return found, found.get("data")
    try:
        return found, decode_json(base64.b64decode(encoded, validate=True))
    except (ValueError, TypeError) as error:
        raise RecordError("bad_base64", f"data_base64 cannot be read: {error}") from error


def _facts(message: Any) -> dict[str, Any]:
    kind, at_ms = message.timestamp()
    key = message.key()
    return {
        "key": key.decode("utf-8", "replace") if key else None,
        "timestamp": datetime.fromtimestamp(at_ms / 1000, UTC) if kind and at_ms >= 0 else None,
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
    }
