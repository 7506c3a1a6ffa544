"""Quiet hours: notifications below a severity wait until they are over."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from brandpulse.schema.episodes import SEVERITIES, Severity

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _clock(value: Any) -> Any:
    """YAML reads an unquoted 22:00 as the number 1320: 60 times 22."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return time(value // 60, value % 60)
    return value


Clock = Annotated[time, BeforeValidator(_clock)]


class QuietHours(BaseModel):
    """A part of the local day. If it ends before it begins, it runs over midnight and belongs to the day of its
    begin."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    start: Clock = Field(alias="from")
    end: Clock = Field(alias="to")
    time_zone: str
    days: tuple[Day, ...] = Field(default=DAYS, min_length=1)
    below: Severity = "critical"
    """Episodes of at least this severity are notified immediately."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("is not a known time zone; valid example: Europe/Berlin") from error
        return name

    @model_validator(mode="after")
    def _has_length(self) -> "QuietHours":
        if self.start == self.end:
            raise ValueError("from and to are equal; valid example: from: '22:00', to: '07:00'")
        return self

    def mutes(self, severity: Severity, now: datetime) -> bool:
        """Whether notifications of an episode of *severity* wait at *now*."""
        return SEVERITIES.index(severity) < SEVERITIES.index(self.below) and self.covers(now)

    def covers(self, now: datetime) -> bool:
        """Whether *now* is inside, by the local clock, also on days with a change of summer time."""
        local = now.astimezone(ZoneInfo(self.time_zone))
        today, yesterday = DAYS[local.weekday()], DAYS[(local - timedelta(days=1)).weekday()]
        at = local.time().replace(tzinfo=None)
        if self.start < self.end:
            return today in self.days and self.start <= at < self.end
        return (today in self.days and at >= self.start) or (yesterday in self.days and at < self.end)


def is_muted(hours: Iterable[QuietHours], severity: Severity, now: datetime) -> bool:
    """Whether any of *hours* mutes an episode of *severity* at *now*."""
    return any(one.mutes(severity, now) for one in hours)
