"""Requests of operators to the running alerter: silences, maintenance windows, acknowledgements."""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from brandpulse.errors import BrandpulseError
from brandpulse.runtime.clock import parse_duration
from brandpulse.schema.episodes import SEVERITIES, Severity

LONGEST_SILENCE = timedelta(days=366)

Text = Annotated[str, Field(max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class RefusedError(BrandpulseError):
    """The request cannot be carried out; the message gives the reason."""


class Silence(BaseModel):
    """No notifications of matching episodes from `starts_at` to `ends_at` (wall clock), except of their ends."""

    model_config = ConfigDict(frozen=True)

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")] = Field(default_factory=lambda: secrets.token_hex(4))
    brand: Name | None = None
    """None: every brand, and episodes about the whole stream."""
    rule: Name | None = None
    below: Severity | None = None
    """Only lower severities than this; None: all."""
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    created_at: AwareDatetime
    by: Annotated[str, Field(max_length=100)] = ""
    why: Text = ""

    @model_validator(mode="after")
    def _has_length(self) -> "Silence":
        if self.ends_at < self.starts_at:
            raise ValueError(f"ends at {self.ends_at.isoformat()}, before it starts at {self.starts_at.isoformat()}")
        if self.ends_at - self.starts_at > LONGEST_SILENCE:
            days = math.ceil((self.ends_at - self.starts_at) / timedelta(days=1))
            raise ValueError(
                f"lasts {days} days; at most {LONGEST_SILENCE.days} are allowed: for longer change the rule"
            )
        return self

    def is_active(self, now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at

    def matches(self, brand: str, rule: str, severity: Severity) -> bool:
        return (
            self.brand in (None, brand)
            and self.rule in (None, rule)
            and (self.below is None or SEVERITIES.index(severity) < SEVERITIES.index(self.below))
        )


class Acknowledgement(BaseModel):
    """A person took responsibility for an episode."""

    model_config = ConfigDict(frozen=True)

    key: Annotated[str, Field(max_length=255)]
    by: Annotated[str, Field(max_length=100)] = ""
    at: AwareDatetime


@dataclass(frozen=True, slots=True)
class OperatorRequests:
    """All requests at one moment."""

    silences: Sequence[Silence] = ()
    acknowledgements: Sequence[Acknowledgement] = field(default=())

    def silenced(self, brand: str, rule: str, severity: Severity, now: datetime) -> bool:
        return any(one.is_active(now) and one.matches(brand, rule, severity) for one in self.silences)


def silence_length(text: str) -> timedelta:
    """`90m`, `2h`, `1d12h`, `1w` as a duration. Raises RefusedError that shows a right one."""
    length = parse_duration(text)
    if length is None or not timedelta() < length <= LONGEST_SILENCE:
        raise RefusedError(
            f"{text!r} is not a duration of up to {LONGEST_SILENCE.days} days; for example 90m, 2h, 1d12h, 1w"
        )
    return length
