"""When each post is due: as fast as can be, at a steady rate, or in a multiple of the recorded time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


class SendRate(Protocol):
    def due_seconds(self, index: int, created_at: datetime) -> float:
        """When post number *index* (from 0) of this run is due, in seconds since its start."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantRate:
    """So many posts a second, whenever they were written."""

    posts_per_second: float

    def due_seconds(self, index: int, created_at: datetime) -> float:
        del created_at
        return index / self.posts_per_second


@dataclass(frozen=True, slots=True)
class ReplayRate:
    """The gaps between the posts as recorded, *speed* times as fast. Posts must come in order of their time."""

    speed: float
    first: datetime

    def due_seconds(self, index: int, created_at: datetime) -> float:
        del index
        return (created_at - self.first).total_seconds() / self.speed


def time_shift(now: datetime, *, first: datetime, last: datetime, speed: float | None) -> timedelta:
    """What to add to recorded times so that the last post, when it is sent, was written just then.

    So no post is from the future when it arrives; at speed 1 each is written the moment it is sent.
    """
    lasts = timedelta(0) if speed is None else (last - first) / speed
    return now + lasts - last
