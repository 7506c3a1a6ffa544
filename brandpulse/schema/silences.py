"""What people ask of the alerter while it runs: silences, maintenance windows, acknowledgements. Stored in Redis.

Keys: `silences` and `acknowledgements` of `AlertingKeys` in brandpulse/state/keys.py. The alerter that leads reads them at
each tick; the command line and the page write them. Blocking.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

import redis
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from brandpulse.errors import BrandpulseError, StateError
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.schema.episodes import SEVERITIES, Episode, Severity
from brandpulse.state.keys import AlertingKeys

MOST_SILENCES = 1_000
MOST_ACKNOWLEDGEMENTS = 10_000
"""Not yet seen by the alerter that leads."""
LONGEST = timedelta(days=366)
_SPAN = re.compile(r"(?:(\d{1,4})w)?(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?")
KEPT_AFTER = timedelta(days=7)
"""An ended silence is shown for so long."""

Text = Annotated[str, Field(max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class RefusedError(BrandpulseError):
    """What was asked for cannot be done; the message says why."""


class Silence(BaseModel):
    """Nobody is told of episodes that match, from `starts_at` to `ends_at` by the wall clock, but of their ends."""

    model_config = ConfigDict(frozen=True)

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")] = Field(default_factory=lambda: secrets.token_hex(4))
    brand: Name | None = None
    """None: every brand, and what concerns the stream as a whole."""
    rule: Name | None = None
    below: Severity | None = None
    """Only what is less grave than this; None: whatever its severity."""
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    created_at: AwareDatetime
    by: Annotated[str, Field(max_length=100)] = ""
    why: Text = ""

    @model_validator(mode="after")
    def _has_length(self) -> "Silence":
        if self.ends_at < self.starts_at:
            raise ValueError(f"ends at {self.ends_at.isoformat()}, before it starts at {self.starts_at.isoformat()}")
        if self.ends_at - self.starts_at > LONGEST:
            raise ValueError(
                f"lasts {self.ends_at - self.starts_at}; at most {LONGEST.days} days: what is longer is a rule"
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
    """Somebody has taken an episode on."""

    model_config = ConfigDict(frozen=True)

    key: Annotated[str, Field(max_length=255)]
    by: Annotated[str, Field(max_length=100)] = ""
    at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Orders:
    """All that is asked for at one moment."""

    silences: Sequence[Silence] = ()
    acknowledgements: Sequence[Acknowledgement] = field(default=())

    def silenced(self, brand: str, rule: str, severity: Severity, now: datetime) -> bool:
        return any(one.is_active(now) and one.matches(brand, rule, severity) for one in self.silences)


def span(text: str) -> timedelta:
    """`90m`, `2h`, `1d12h`, `1w` as a duration. Raises RefusedError that shows a right one."""
    found = _SPAN.fullmatch(text.strip().lower())
    weeks, days, hours, minutes = (int(part or 0) for part in found.groups()) if found else (0, 0, 0, 0)
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)
    if not timedelta() < length <= LONGEST:
        raise RefusedError(f"{text!r} is no duration of up to {LONGEST.days} days; right ones: 90m, 2h, 1d12h, 1w")
    return length


class OrderBook:
    """Orders in Redis. Raises TransientError when it does not answer."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._keys = AlertingKeys(namespace)

    def read(self, now: datetime) -> Orders:
        """Everything; silences by their end, ended ones for a week. Raises StateError."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hgetall(self._keys.silences)
        pipeline.hgetall(self._keys.acknowledgements)
        with reaching_redis():
            stored, acknowledged = pipeline.execute()
        try:
            silences = [Silence.model_validate_json(value) for value in stored.values()]
            acknowledgements = [Acknowledgement.model_validate_json(value) for value in acknowledged.values()]
        except ValidationError as error:
            raise StateError(f"{self._keys.silences} or {self._keys.acknowledgements}: {error}") from None
        old = [one.id for one in silences if now - one.ends_at > KEPT_AFTER]
        if old:
            with reaching_redis():
                self._client.hdel(self._keys.silences, *old)
        kept = sorted((one for one in silences if one.id not in old), key=lambda one: (one.ends_at, one.id))
        return Orders(kept, sorted(acknowledgements, key=lambda one: (one.at, one.key)))

    @reaching_redis()
    def add(self, silence: Silence) -> None:
        """Raises RefusedError when there are too many."""
        if int(self._client.hlen(self._keys.silences)) >= MOST_SILENCES:
            raise RefusedError(f"there are {MOST_SILENCES} silences already; expire some, or write a rule")
        self._client.hset(self._keys.silences, silence.id, silence.model_dump_json())

    @reaching_redis()
    def expire(self, silence_id: str, now: datetime) -> Silence:
        """End a silence now, also one that has not begun. Raises RefusedError if there is none, or it has ended."""
        stored: bytes | None = self._client.hget(self._keys.silences, silence_id)  # type: ignore[assignment]
        if stored is None:
            raise RefusedError(f"there is no silence {silence_id!r}; `brandpulse silence list` shows them")
        silence = Silence.model_validate_json(stored)
        if silence.ends_at <= now:
            raise RefusedError(f"silence {silence_id!r} ended at {silence.ends_at:%Y-%m-%d %H:%M} UTC already")
        ended = silence.model_copy(update={"ends_at": now, "starts_at": min(silence.starts_at, now)})
        self._client.hset(self._keys.silences, silence_id, ended.model_dump_json())
        return ended

    @reaching_redis()
    def acknowledge(self, acknowledgement: Acknowledgement) -> Episode:
        """Take an open episode on; the leading alerter tells the receivers. Raises RefusedError if it is not open."""
        stored: bytes | None = self._client.hget(self._keys.episodes, acknowledgement.key)  # type: ignore[assignment]
        if stored is None:
            raise RefusedError(
                f"no open episode has the key {acknowledgement.key!r}; `brandpulse episodes list` shows them"
            )
        episode = Episode.model_validate_json(stored)
        if episode.acknowledged_at is not None:
            who = f" by {episode.acknowledged_by}" if episode.acknowledged_by else ""
            raise RefusedError(f"{acknowledgement.key!r} was acknowledged{who} at {episode.acknowledged_at:%H:%M} UTC")
        if int(self._client.hlen(self._keys.acknowledgements)) >= MOST_ACKNOWLEDGEMENTS:
            raise RefusedError("too many acknowledgements wait for an alerter that leads; does one run?")
        self._client.hset(self._keys.acknowledgements, acknowledgement.key, acknowledgement.model_dump_json())
        return episode

    @reaching_redis()
    def forget(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        """They are taken into the episodes, or theirs is over."""
        if acknowledgements:
            self._client.hdel(self._keys.acknowledgements, *[one.key for one in acknowledgements])

    @reaching_redis()
    def episodes(self) -> list[Episode]:
        """The open ones, newest first."""
        stored: list[bytes] = self._client.hvals(self._keys.episodes)  # type: ignore[assignment]
        found = [Episode.model_validate_json(value) for value in stored]
        return sorted(found, key=lambda one: (one.fired_at, one.key), reverse=True)
