"""Records of topic `posts` for people: unchanged, but with private data masked."""

import json

from brandpulse.masking.mask import Mask

AUTHOR = "[author]"
_MASK = Mask()


def masked_record(value: str) -> str:
    """*value*, JSON of a post or anything else, for printing. Its id and times stay: they identify the record."""
    try:
        post = json.loads(value)
    except (ValueError, RecursionError):
        return _MASK(value)
    if not isinstance(post, dict):
        return _MASK(value)
    try:
        masked = {name: _masked_field(name, field) for name, field in post.items()}
    except RecursionError:
        return _MASK(value)
    return value if masked == post else json.dumps(masked, ensure_ascii=False)


def masked_text(text: str) -> str:
    return _MASK(text)


_STAY = ("id", "created_at", "arrived_at", "source", "lang", "schema_version")


def _masked_field(name: str, field: object) -> object:
    if name in _STAY:
        return field
    return AUTHOR if name == "author_id" else _masked_value(field)


def _masked_value(value: object) -> object:
    if isinstance(value, str):
        return _MASK(value)
    if isinstance(value, list):
        return [_masked_value(one) for one in value]
    if isinstance(value, dict):
        return {name: _masked_value(one) for name, one in value.items()}
    return value
