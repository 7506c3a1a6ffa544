"""Facet: a subset of the posts about a brand, defined by their words or by the model's labels.

Each post relevant to a brand may be in several facets. Posts and people of a facet are counted as a series of panes of
its own, under the name that `brandpulse.state.keys.facet_series` returns.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from brandpulse.config.variants import USUAL_VARIANTS, Variants, Word
from brandpulse.schema.labels import EMOTIONS, MOODS
from brandpulse.schema.posts import SENTIMENTS, Sentiment, Urgency

MOST_FACETS = 20
MOST_WORDS = 200
FACET_EXAMPLE = """facets:                                    # of all brands; what rules of kind facet_share watch
  - {name: refund, words: [refund, refunds, "money back"]}
  - {name: anger, emotions: [anger, annoyance]}
  - {name: urgent, urgency: [high]}
"""

FacetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Threshold = Annotated[float, Field(gt=0, lt=1)]


class Facet(BaseModel):
    """The condition of a facet: of each field given one value must match, and all fields given must."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: FacetName
    words: Annotated[list[Word], Field(max_length=MOST_WORDS)] = []
    """Words or phrases, matched like terms of brands: whole words in any case."""
    variants: Variants = USUAL_VARIANTS
    """Which other spellings of the words count. What it does not set is as in the file's `variants`."""
    emotions: list[str] = []
    """Of `brandpulse.schema.labels.EMOTIONS`; the post must be given one: at most the three most probable
    that reach the model's threshold."""
    mood: list[str] = []
    """Of `brandpulse.schema.labels.MOODS`; one must be the most probable."""
    urgency: list[Urgency] = []
    """Of the post, towards the brand."""
    complaint: Threshold | None = None
    """Smallest probability."""
    crisis: Threshold | None = None
    sentiment: list[Sentiment] = []
    """Towards the brand: narrows the other fields."""

    @field_validator("words")
    @classmethod
    def _no_blank_words(cls, words: list[str]) -> list[str]:
        if any(not word.strip() for word in words):
            raise ValueError("contains a blank word")
        return words

    @field_validator("emotions")
    @classmethod
    def _known_emotions(cls, names: list[str]) -> list[str]:
        return _known(names, EMOTIONS)

    @field_validator("mood")
    @classmethod
    def _known_moods(cls, names: list[str]) -> list[str]:
        return _known(names, MOODS)

    @model_validator(mode="after")
    def _has_condition(self) -> "Facet":
        if not self.words and not self.heads:
            raise ValueError("needs one of words, emotions, mood, urgency, complaint or crisis")
        if set(self.sentiment) == set(SENTIMENTS):
            raise ValueError("sentiment lists all sentiments, which narrows nothing: leave it out")
        return self

    @property
    def heads(self) -> tuple[str, ...]:
        """The model's heads that the facet needs; an engine without one cannot find it. Empty: it needs only words."""
        needed = {
            "emotion": bool(self.emotions),
            "mood": bool(self.mood),
            "risk": bool(self.urgency) or self.complaint is not None or self.crisis is not None,
        }
        return tuple(head for head, yes in needed.items() if yes)


def _known(names: list[str], known: tuple[str, ...]) -> list[str]:
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return names
