"""When each post is due: at a constant rate, or with its recorded gaps at a multiple of the recorded speed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


class SendRate(Protocol):
    def due_seconds(self, index: int, created_at: datetime) -> float:
        """When post number *index* (from 0) of this run is due, in seconds since its start."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantRate:
    """A constant number of posts per second."""

    posts_per_second: float

    def due_seconds(self, index: int, created_at: datetime) -> float:
        del created_at
        return index / self.posts_per_second


@dataclass(frozen=True, slots=True)
class ReplayRate:
    """The recorded gaps between posts, *speed* times as fast. Posts must arrive in order of time."""

    speed: float
    first: datetime

    def due_seconds(self, index: int, created_at: datetime) -> float:
        del index
        return (created_at - self.first).total_seconds() / self.speed


def time_shift(now: datetime, *, first: datetime, last: datetime, speed: float | None) -> timedelta:
    """What to add to recorded times so that the last post gets the time at which it is sent.

    No post is from the future when it arrives. At speed 1 each post gets the time at which it is sent.
    """
    duration = timedelta(0) if speed is None else (last - first) / speed
    return now + duration - last
