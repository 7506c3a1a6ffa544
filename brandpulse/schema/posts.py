"""The post in Kafka: `Post` into the topic, `ScoredPost` out of the workers.

The pydantic models are the only definition: they validate input and generate the JSON Schema files. The worker's hot
path decodes with a msgspec struct derived from the same fields (`POST_DECODER`), because a pydantic model takes 2.5 µs
a post and msgspec 0.33 µs.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, cast

import msgspec
from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic.fields import FieldInfo

MAX_TEXT_CHARS = 20_000
"""Longer texts are not social posts. They are rejected, not cut off: a score of half a document would mislead."""
MAX_ID_CHARS = 256
MAX_SOURCE_CHARS = 64
MAX_LANG_CHARS = 16
MAX_URL_CHARS = 2_048

Sentiment = Literal["negative", "neutral", "positive"]
SENTIMENTS: tuple[Sentiment, Sentiment, Sentiment] = ("negative", "neutral", "positive")
"""Of the whole post. The order of every triple of probabilities in the project."""

BrandSentiment = Literal["negative", "neutral", "positive", "irrelevant"]
BRAND_SENTIMENTS: tuple[BrandSentiment, ...] = (*SENTIMENTS, "irrelevant")
"""Towards one brand that the post names; `irrelevant` if it says nothing about it. The order of every four."""

Urgency = Literal["low", "medium", "high"]
URGENCIES: tuple[Urgency, ...] = ("low", "medium", "high")
Probability = Annotated[float, Field(ge=0, le=1)]


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)")


def _only_rfc3339(value: object) -> object:
    # pydantic alone would also read "0" as the year 1970.
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        return datetime.fromisoformat(value.upper())
    raise ValueError("expected an RFC 3339 time with a zone, for example 2026-03-02T12:00:00Z")


def _optional_text(what: str, max_chars: int) -> Any:
    """Default and schema of an optional field. The schema allows any value, because any value is accepted."""

    def describe(schema: dict[str, Any]) -> None:
        schema.pop("anyOf", None)
        schema["description"] = (
            f"{what}: a string of at most {max_chars:,} characters, or null. "
            "Any other value is ignored, and the post counts without it."
        )

    return Field(default=None, json_schema_extra=describe)


class Post(BaseModel):
    """A record of topic `posts`: one JSON object. Further fields are allowed and ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="Post", strict=True)

    schema_version: Annotated[int, Field(ge=1, le=1)]
    id: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]
    """Unique within its source; the record's key."""
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]
    created_at: Annotated[AwareDatetime, BeforeValidator(_only_rfc3339)]
    """Event time, RFC 3339 with a zone."""
    author_id: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]
    """The author as the source names it. Only a keyed hash of it is stored."""
    source: Annotated[str, Field(min_length=1, max_length=MAX_SOURCE_CHARS)]
    lang: Annotated[str, Field(max_length=MAX_LANG_CHARS)] | None = _optional_text("Language tag", MAX_LANG_CHARS)
    url: Annotated[str, Field(max_length=MAX_URL_CHARS)] | None = _optional_text("Address of the post", MAX_URL_CHARS)

    @field_validator("lang", "url", mode="wrap")
    @classmethod
    def _none_if_unfit(cls, value: object, check: ValidatorFunctionWrapHandler) -> str | None:
        # No count depends on these fields, so a wrong value does not reject the post.
        try:
            return cast("str | None", check(value))
        except ValidationError:
            return None


OPTIONAL_LIMITS = {"lang": MAX_LANG_CHARS, "url": MAX_URL_CHARS}


def fits(field: str, value: object) -> bool:
    """Whether the optional *field* of a post can hold *value*."""
    return value is None or (isinstance(value, str) and len(value) <= OPTIONAL_LIMITS[field])


class BrandVerdict(BaseModel):
    """The scores of a post for one brand that it names."""

    model_config = ConfigDict(frozen=True)

    brand: str
    label: BrandSentiment
    """The most probable; the first of equals. The panes count it."""
    probabilities: Annotated[list[Probability], Field(min_length=4, max_length=4)]
    """Of negative, neutral, positive, irrelevant; calibrated; sums to one."""
    urgency: Urgency | None
    """How soon a person at the brand should look at it; null if the model has no heads for it."""


class ScoredPost(BaseModel):
    """A record of topic `posts.scored`, written at least once: (topic_id, partition, offset) identifies duplicates.

    All scores come from one pass of one model. Scores for which the model has no head are null.
    """

    model_config = ConfigDict(frozen=True, title="ScoredPost")

    schema_version: Literal[2] = 2
    """Version 1 had only the whole post's sentiment, under each brand's name."""
    id: str
    source: str
    text: str
    """As people read it, without HTML and invisible characters, and with private data masked: `@user`, `[email]`,
    `[phone]` and so on (docs/reference/privacy.md). The record in `posts` keeps the original."""
    text_form: int | None = None
    """Version of the form of the text (`brandpulse.text.readable_text.FORM_VERSION`), which brands and scores come
    from; null before version 1."""
    created_at: AwareDatetime
    author: str
    """Keyed hash of the author id, 16 hexadecimal digits."""
    brands: list[BrandVerdict]
    sentiment: Sentiment
    """Of the whole post, towards no brand in particular."""
    probabilities: Annotated[list[Probability], Field(min_length=3, max_length=3)]
    """Of the whole post's negative, neutral, positive; calibrated; sums to one."""
    emotions: dict[str, Probability] | None
    """At most three of GoEmotions' labels that reach the model's threshold, most probable first; there may be none."""
    mood: str | None
    """The most probable of anger, joy, optimism, sadness."""
    complaint: Probability | None
    crisis: Probability | None
    """That the post reports a disaster that happened."""
    sarcasm: Probability | None
    language: str | None = None
    """ISO 639-1 code of the post's language, which selects the model; null if the worker does not identify it."""
    model: str
    """Name and version of the model that scored the post, `name@version`."""
    topic_id: str
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]


class WirePost(msgspec.Struct, frozen=True):
    """Type stub of the derived struct: a `Post` on the hot path, with the same fields and limits."""

    id: str
    text: str
    created_at: datetime
    author_id: str
    source: str
    lang: str | None = None


def _meta_of(field: FieldInfo) -> msgspec.Meta | None:
    limits: dict[str, Any] = {}
    for item in field.metadata:
        match item:
            case MinLen(min_length=value):
                limits["min_length"] = value
            case MaxLen(max_length=value):
                limits["max_length"] = value
            case Ge(ge=value):
                limits["ge"] = value
            case Le(le=value):
                limits["le"] = value
    return msgspec.Meta(**limits) if limits else None


def _struct_of(
    model: type[BaseModel], *, unchecked: Collection[str] = (), defaults: Mapping[str, Any] | None = None
) -> type[msgspec.Struct]:
    """A msgspec struct with the fields and limits of *model*; an aware datetime stays aware.

    The fields *unchecked* accept any value. The fields of *defaults* may be missing.
    """
    values = defaults or {}
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, field in model.model_fields.items():
        # Optional limits sit inside the union, where msgspec reads Annotated too; only the members need translating.
        kind: Any = Any if name in unchecked else _translate(field.annotation)
        meta = _meta_of(field)
        if meta is not None:
            kind = Annotated[kind, meta]
        required = field.is_required() and name not in values
        fields.append((name, kind) if required else (name, kind, values.get(name, field.default)))
    return msgspec.defstruct(f"Wire{model.__name__}", fields, frozen=True, gc=False, kw_only=bool(values))


def _translate(annotation: Any) -> Any:
    if annotation is AwareDatetime:
        return Annotated[datetime, msgspec.Meta(tz=True)]
    parts = getattr(annotation, "__args__", None)
    if parts and type(None) in parts:
        members = [part for part in parts if part is not type(None)]
        inner = members[0]
        if hasattr(inner, "__metadata__"):
            meta = _meta_of(inner.__metadata__[0])
            inner = inner.__origin__ if meta is None else Annotated[inner.__origin__, meta]
        return inner | None
    return annotation


class PostDecoder:
    """Decodes a record as `Post` does; if an optional value is not valid, decodes once more without it."""

    def __init__(self, defaults: Mapping[str, Any] | None = None) -> None:
        """*defaults*: values of required fields that a record may lack."""
        struct = _struct_of(Post, defaults=defaults)
        strict = cast("msgspec.json.Decoder[WirePost]", msgspec.json.Decoder(struct))
        self.decode_strictly = strict.decode
        """As `decode`, for optional values that were checked before: they must be valid."""
        self.decode_lines = strict.decode_lines
        """As `decode_strictly`, for one post a line."""
        self.decode_array = cast("msgspec.json.Decoder[list[WirePost]]", msgspec.json.Decoder(list[struct])).decode  # type: ignore[valid-type]
        """As `decode_strictly`, for a JSON array of posts."""
        unchecked = msgspec.json.Decoder(_struct_of(Post, unchecked=OPTIONAL_LIMITS, defaults=defaults))
        self._decode_unchecked = cast("msgspec.json.Decoder[WirePost]", unchecked).decode

    def decode(self, value: bytes | str) -> WirePost:
        """Raises msgspec.ValidationError (names the field) or msgspec.DecodeError (no JSON)."""
        try:
            return self.decode_strictly(value)
        except msgspec.ValidationError as error:
            if not any(f"`$.{field}`" in str(error) for field in OPTIONAL_LIMITS):
                raise
        post = self._decode_unchecked(value)
        dropped = {field: None for field in OPTIONAL_LIMITS if not fits(field, getattr(post, field))}
        return msgspec.structs.replace(post, **dropped)


POST_DECODER = PostDecoder()
