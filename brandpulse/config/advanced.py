"""The mark of a setting that operators rarely change: `Field(..., json_schema_extra=ADVANCED)`."""

from pydantic.fields import FieldInfo
from pydantic.types import JsonValue

ADVANCED: dict[str, JsonValue] = {"advanced": True}


def is_advanced(field: FieldInfo) -> bool:
    """Whether *field* of a settings class is marked."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("advanced") is True
