"""Request and response types; the OpenAPI description is generated from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, create_model

from brandpulse.text.normalization import MAX_CHARACTERS

_STRICT = ConfigDict(extra="forbid", frozen=True)
_READ = f"The model reads at most the first {MAX_CHARACTERS:,} characters."
TICKET_CHARACTERS = 65_536
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request; see `model.serve.settings`."""

    texts: int = 128
    text_characters: int = 10_000
    targets: int = 16
    target_characters: int = 120


class Item(BaseModel):
    """One text of a batch."""

    model_config = _STRICT
    text: str
    targets: Sequence[str] = ()
    keep_words: bool = False


class One(Item):
    """One text."""

    model_config = _STRICT | ConfigDict(json_schema_extra={"title": "One text"})
    all_emotions: bool = False


class Many(BaseModel):
    """Several texts, scored together."""

    model_config = _STRICT | ConfigDict(json_schema_extra={"title": "Several texts"})
    texts: Sequence[Item | str]
    all_emotions: bool = False


class Ticket(BaseModel):
    """A helpdesk's ticket. Other fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str | int | None = None
    subject: str | None = None
    description: str | None = None
    brand: str | None = None
    product: str | None = None


def score_body(limits: Limits) -> Any:
    """The type of the body of `/v1/score`: `One` or `Many`, with *limits* that OpenAPI shows."""
    text, target = _text(limits), _target(limits)
    targets: Any = Annotated[
        Sequence[target],  # type: ignore[valid-type]  # made at run time
        Field(
            max_length=limits.targets,
            description="Brands or aspects; the response contains the sentiment towards each.",
            examples=[["Acme Air"]],
        ),
    ]
    everything: Any = Annotated[
        bool, Field(strict=True, description="Whether to return the probabilities of all emotions.")
    ]
    keep: Any = Annotated[
        bool,
        Field(strict=True, description="True if the targets are aspects, not names: the model reads their words."),
    ]
    fields: dict[str, Any] = {"text": (text, ...), "targets": (targets, ()), "keep_words": (keep, False)}
    item: Any = create_model("Item", __base__=Item, **fields)
    one: Any = create_model("One", __base__=One, **fields, all_emotions=(everything, False))
    entry: Any = Annotated[
        Annotated[text, Tag("<text>")] | Annotated[item, Tag("<item>")], Discriminator(_kind_of_item)
    ]
    texts: Any = Annotated[Sequence[entry], Field(min_length=1, max_length=limits.texts)]
    many: Any = create_model("Many", __base__=Many, texts=(texts, ...), all_emotions=(everything, False))
    return Annotated[Annotated[one, Tag("<one>")] | Annotated[many, Tag("<many>")], Discriminator(_kind_of_request)]


def ticket_body(limits: Limits) -> Any:
    """The type of the body of `/v1/tickets`."""
    name: Any = Annotated[str, Field(max_length=200)]
    number: Any = Annotated[int, Field(strict=True, ge=0, lt=2**53), BeforeValidator(_integer)]
    key: Any = Annotated[
        Annotated[name, Tag("<name>")] | Annotated[number, Tag("<number>")] | Annotated[None, Tag("<none>")],
        Discriminator(_kind_of_id),
        Field(description="Returned with the tags."),
    ]
    # Helpdesks send "" or null for missing fields, and whole mail threads as the description.
    text: Any = Annotated[str, Field(max_length=TICKET_CHARACTERS), BeforeValidator(_whole)]
    target: Any = Annotated[str, Field(max_length=limits.target_characters)]
    return create_model(
        "Ticket",
        __base__=Ticket,
        id=(key, None),
        subject=(text | None, None),
        description=(Annotated[text | None, Field(description=_READ)], None),
        brand=(target | None, None),
        product=(target | None, None),
    )


def _text(limits: Limits) -> Any:
    return Annotated[
        str,
        Field(
            max_length=limits.text_characters,
            description=_READ,
            examples=["@acmeair you lost my bag AGAIN 😡 still waiting"],
        ),
        BeforeValidator(_whole),
    ]


def _target(limits: Limits) -> Any:
    return Annotated[str, Field(min_length=1, max_length=limits.target_characters, pattern=r"\S")]


def _whole(text: object) -> object:
    """Replaces halves of surrogate pairs (from truncated emoji), which UTF-8 cannot encode, by U+FFFD."""
    if isinstance(text, str) and not text.isascii():
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _kind_of_request(body: object) -> str:
    return "<many>" if isinstance(body, Many) or (isinstance(body, dict) and "texts" in body) else "<one>"


def _kind_of_item(item: object) -> str:
    return "<item>" if isinstance(item, dict | Item) else "<text>"


def _kind_of_id(key: object) -> str:
    return "<none>" if key is None else "<name>" if isinstance(key, str) else "<number>"


def _integer(number: object) -> object:
    """92.0 as 92: an integer in JSON Schema, but not in Python."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


class Verdict(BaseModel):
    """The most probable label, and the probability of each; they sum to 1."""

    label: str
    probabilities: dict[str, Share]


class TargetVerdict(Verdict):
    target: str
    found: Annotated[bool, Field(description="Whether the text names the target; if not, it is `irrelevant` by rule.")]


class Flag(BaseModel):
    """A yes-or-no label."""

    flag: Annotated[bool, Field(description="Whether the probability reaches the model's threshold.")]
    probability: Share


class Emotions(BaseModel):
    labels: Annotated[
        list[str], Field(description="At most three emotions that reach their threshold, most probable first.")
    ]
    probabilities: dict[str, Share] | None = None


class Score(BaseModel):
    """The scores of one text. Heads that the model lacks are left out."""

    sentiment: Verdict
    targets: list[TargetVerdict]
    emotions: Emotions | None = None
    mood: Verdict | None = None
    complaint: Flag | None = None
    crisis: Flag | None = None
    informative: Flag | None = None
    sarcasm: Flag | None = None
    urgency: Annotated[
        Literal["low", "medium", "high"] | None,
        Field(description="A rule over the heads, see docs/explanation/urgency.md."),
    ] = None
    language: Annotated[
        str | None,
        Field(description="ISO 639-1 code of the text's language, or `other`. Left out if the model reads any."),
    ] = None
    supported: Annotated[
        bool | None,
        Field(description="False if no weights support the language: the scores are then hardly better than chance."),
    ] = None
    weights: Annotated[
        str | None, Field(description="`name@version` of the weights that gave the scores, if there are several.")
    ] = None
    degraded: Annotated[
        bool, Field(description="True for a low-confidence early answer, given because too many texts were waiting.")
    ] = False
    hurried: Annotated[bool, Field(description="The same as `degraded`.", deprecated=True)] = False


class ModelName(BaseModel):
    name: str
    version: Annotated[str, Field(description="Changes whenever the same text may get other probabilities.")]


class ScoreAnswer(BaseModel):
    """`results` has one entry per text, in the same order."""

    model: ModelName
    results: list[Score]


class TicketAnswer(BaseModel):
    id: str | int | None
    tags: list[str]
    model: ModelName
    result: Score


class ModelAnswer(BaseModel):
    """The loaded model."""

    model: ModelName
    heads: Annotated[dict[str, list[str]], Field(description="Each head and its labels.")]
    thresholds: Annotated[dict[str, dict[str, Share]], Field(description="Of the heads with independent labels.")]
    limits: dict[str, int]
    languages: Annotated[
        list[str], Field(description="ISO 639-1 codes of the supported languages; empty: texts are not identified.")
    ] = []


class WrongField(BaseModel):
    field: Annotated[str, Field(examples=["texts[3].text"])]
    value: Annotated[str, Field(description="The value in the request, truncated.")]
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[WrongField] | None = None
