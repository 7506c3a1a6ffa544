"""Facet: a part of the posts about a brand, told by their words or by what the model says of them.

Of every post that is relevant to a brand it is asked which facets it is in. Posts and people of a facet are counted as
a series of panes of its own, under the name that `brandpulse.state.keys.facet_series` makes.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from brandpulse.schema.labels import EMOTIONS, MOODS
from brandpulse.schema.posts import SENTIMENTS, Sentiment, Urgency

MOST_FACETS = 20
MOST_WORDS = 200
FACET_EXAMPLE = """facets:                                    # of all brands; what rules of kind facet_share watch
  - {name: refund, words: [refund, refunds, "money back"]}
  - {name: anger, emotions: [anger, annoyance]}
  - {name: urgent, urgency: [high]}
"""

Word = Annotated[str, Field(min_length=1, max_length=200)]
FacetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Threshold = Annotated[float, Field(gt=0, lt=1)]


class Facet(BaseModel):
    """Which posts are in it: of each field given, one of its values must hold; of several fields, all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: FacetName
    words: Annotated[list[Word], Field(max_length=MOST_WORDS)] = []
    """Words or phrases, compared as terms of brands are: whole words, whatever their case."""
    emotions: list[str] = []
    """Those that reach the model's threshold: `brandpulse.schema.labels.EMOTIONS`."""
    mood: list[str] = []
    """The one most probable: `brandpulse.schema.labels.MOODS`."""
    urgency: list[Urgency] = []
    """Of the post, towards the brand."""
    complaint: Threshold | None = None
    """From this probability on."""
    crisis: Threshold | None = None
    sentiment: list[Sentiment] = []
    """Towards the brand: narrows what the other fields say."""

    @field_validator("words")
    @classmethod
    def _no_blank_words(cls, words: list[str]) -> list[str]:
        if any(not word.strip() for word in words):
            raise ValueError("holds a blank word")
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
    def _tells_posts_apart(self) -> "Facet":
        if not self.words and not self.heads:
            raise ValueError("needs one of words, emotions, mood, urgency, complaint or crisis")
        if set(self.sentiment) == set(SENTIMENTS):
            raise ValueError("sentiment names all there are, which narrows nothing: leave it out")
        return self

    @property
    def heads(self) -> tuple[str, ...]:
        """The model's heads that it asks: an engine without one of them cannot tell it. Empty: words tell it."""
        asked = {
            "emotion": bool(self.emotions),
            "mood": bool(self.mood),
            "risk": bool(self.urgency) or self.complaint is not None or self.crisis is not None,
        }
        return tuple(head for head, yes in asked.items() if yes)


def _known(names: list[str], known: tuple[str, ...]) -> list[str]:
    if strangers := [name for name in names if name not in known]:
        raise ValueError(f"{strangers[0]!r} is none of {', '.join(known)}")
    return names
