"""The settings of `brandpulse model split`: which rows leave the training files, and for which part."""

import datetime
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from model.data.parts_manifest import Kind
from model.training.fit.recipe import Settings, find_shipped

RULES = Path(__file__).parents[2] / "validation_rules"

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
_MOMENT = r"\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d)?)?)?)?)?"
_TIME = re.compile(_MOMENT + r"([.,]\d+)?( ?(Z|UTC|[+-]\d\d(:?\d\d)?))?", re.ASCII)


def _moment(value: object) -> object:
    """*value* as text, with `T` before the hour. YAML reads 2015 as a number and 2015-10-05 as a date."""
    if isinstance(value, int | datetime.date) and not isinstance(value, bool):
        value = str(value)
    return value.replace(" ", "T") if isinstance(value, str) else value


Moment = Annotated[str, BeforeValidator(_moment), Field(pattern=f"^{_MOMENT}$")]
Percent = Annotated[int, Field(ge=0, le=100)]
Range = tuple[Percent, Percent]


class SplitSet(Settings):
    """A set whose training rows are split."""

    topic: str | None = None
    """Column of the topic, brand or product."""
    time: str | None = None
    """Column of the time of a post: `2015-10-05`, or longer."""
    file: str | None = None
    """Own file, CSV with a header or JSON lines. Default: `{name}.train.jsonl.gz`, a set in the standard form."""
    text: str = "text"
    target: str | None = None
    labels: dict[str, str] = Field(default={}, examples=[{"sentiment": "verdict"}])
    values: dict[str, dict[str, str | int]] = Field(default={})
    """`text`, `target`, `labels` and `values` describe an own file, as in a recipe's `own`."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.file is None) == bool(self.labels):
            raise ValueError("set `file` and `labels` together, e.g. `labels: {sentiment: verdict}`")
        return self


class Part(Settings):
    """One validation part. A row must fulfil all conditions; without a condition the part takes all rows."""

    name: str = Field(pattern=_NAME, examples=["target_newest"])
    of: str = Field(examples=["target_semeval"])
    """The set that loses the rows."""
    use: Literal["choose", "report"] = "report"
    """`choose`: for choosing weights and settings; `report`: for figures only."""
    since: Moment | None = None
    """First moment, e.g. `2015-12` or `2015-12-24`. Compared as far as it is written."""
    before: Moment | None = None
    """First moment after the period."""
    topics: Range | None = Field(default=None, examples=[[0, 7]])
    """Percentages [from, below) of the topics, drawn by hash; all rows of a topic are in one part."""
    posts: Range | None = Field(default=None, examples=[[0, 10]])
    """Percentages [from, below) of the posts, drawn by hash of the text."""
    where: dict[str, tuple[str, ...]] = Field(default={}, examples=[{"channel": ["app store"]}])
    """Column -> values."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in ("topics", "posts"):
            drawn: Range | None = getattr(self, name)
            if drawn is not None and drawn[0] >= drawn[1]:
                raise ValueError(f"{name}: expected [from, below) such as [0, 7], got {list(drawn)}")
        if self.since is not None and self.before is not None and self.since >= self.before:
            raise ValueError(f"since {self.since} must lie before `before` {self.before}")
        return self

    @property
    def kind(self) -> Kind:
        """The condition that a model feels most: a new topic more than a new time, both more than a new post."""
        if self.topics is not None:
            return "topic"
        if self.where:
            return "column"
        if self.since is not None or self.before is not None:
            return "time"
        return "post" if self.posts is not None else "all"


class SplitRule(Settings):
    """Parts in the order in which they take rows: a row goes to the first part whose conditions it fulfils."""

    seed: str = Field(default="topic", min_length=1)
    """Prefix of what is hashed: another seed draws other topics and posts."""
    copies: Literal["kept", "removed"] = "removed"
    """Training rows with the text of a part. `kept`: they remain in the files, because `model train` drops them if the
    recipe names the parts in `held_out`."""
    sets: dict[Annotated[str, Field(pattern=_NAME)], SplitSet] = Field(
        min_length=1, examples=[{"reviews": {"topic": "product"}}]
    )
    parts: tuple[Part, ...] = Field(examples=[[{"name": "unseen_topics", "of": "reviews"}]])
    other_sets: tuple[str, ...] = ()
    """Sets with a validation file of their own that `model gap` evaluates beside the parts."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.parts:
            raise ValueError("parts: set at least one, e.g. `parts: [{name: newest, of: reviews, since: 2026-10}]`")
        names = [part.name for part in self.parts]
        if twice := [name for at, name in enumerate(names) if name in names[:at]]:
            raise ValueError(f"parts: the name {twice[0]!r} occurs twice")
        for part in self.parts:
            if part.of not in self.sets:
                raise ValueError(f"parts.{part.name}.of: unknown set {part.of!r}; known are {', '.join(self.sets)}")
            columns = self.sets[part.of]
            if part.topics is not None and columns.topic is None:
                raise ValueError(f"parts.{part.name}.topics: set `topic`, the column of the topic, in sets.{part.of}")
            if (part.since or part.before) and columns.time is None:
                raise ValueError(f"parts.{part.name}.since: set `time`, the column of the time, in sets.{part.of}")
        return self


def find_rule(name: str) -> Path:
    """The file of a shipped rule, else the path *name*. Raises ConfigError that lists the shipped rules."""
    return find_shipped(name, RULES, kind="rule")


def is_moment(value: str) -> bool:
    """Whether *value* is a date such as 2015-10, or a time such as 2015-10-05T12:00:00.5Z or 2015-10-05 12:00 +01:00.

    Other forms (2015/10/05, 20151005, seconds) have another order as text, in which rows are compared.
    """
    return _TIME.fullmatch(value) is not None
