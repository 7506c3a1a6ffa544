"""Hours in which people sleep: what is less grave waits until they are over."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from brandpulse.schema.episodes import SEVERITIES, Severity

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _clock(value: Any) -> Any:
    """YAML reads an unquoted 22:00 as the number 1320: sixty times 22."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return time(value // 60, value % 60)
    return value


Clock = Annotated[time, BeforeValidator(_clock)]


class QuietHours(BaseModel):
    """A span of the local day. One that ends before it begins runs over midnight, and belongs to the day it began."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    start: Clock = Field(alias="from")
    end: Clock = Field(alias="to")
    time_zone: str
    days: tuple[Day, ...] = Field(default=DAYS, min_length=1)
    below: Severity = "critical"
    """What is at least as grave is told all the same."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("no such time zone here; a right one: Europe/Berlin") from error
        return name

    @model_validator(mode="after")
    def _has_length(self) -> "QuietHours":
        if self.start == self.end:
            raise ValueError("from and to are the same moment; a right pair: from: '22:00', to: '07:00'")
        return self

    def hold(self, severity: Severity, now: datetime) -> bool:
        """Whether an episode of *severity* waits at *now*."""
        return SEVERITIES.index(severity) < SEVERITIES.index(self.below) and self.covers(now)

    def covers(self, now: datetime) -> bool:
        """Whether the local clock stands within. Over a change to or from summer time it goes by that clock."""
        local = now.astimezone(ZoneInfo(self.time_zone))
        today, yesterday = DAYS[local.weekday()], DAYS[(local - timedelta(days=1)).weekday()]
        at = local.time().replace(tzinfo=None)
        if self.start < self.end:
            return today in self.days and self.start <= at < self.end
        return (today in self.days and at >= self.start) or (yesterday in self.days and at < self.end)


def is_muted(hours: Iterable[QuietHours], severity: Severity, now: datetime) -> bool:
    """Whether any of *hours* holds an episode of *severity* back at *now*."""
    return any(one.hold(severity, now) for one in hours)
