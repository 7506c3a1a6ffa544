"""Requests of operators in Redis. The command line and the page write them; the leading alerter reads them.

Keys: `silences` and `acknowledgements` of `AlertingKeys` in brandpulse/state/keys.py. Blocking.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import redis
from pydantic import ValidationError

from brandpulse.errors import StateError
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.schema.episodes import Episode
from brandpulse.schema.silences import Acknowledgement, OperatorRequests, RefusedError, Silence
from brandpulse.state.keys import AlertingKeys

MOST_SILENCES = 1_000
MOST_ACKNOWLEDGEMENTS = 10_000
"""That the leading alerter has not read yet."""
ENDED_SILENCE_KEPT = timedelta(days=7)


class OperatorRequestStore:
    """Reads and writes requests. Raises TransientError if Redis does not answer."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._keys = AlertingKeys(namespace)

    def read(self, now: datetime) -> OperatorRequests:
        """All requests; silences sorted by end, ended ones for a week. Raises StateError."""
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
        old = [one.id for one in silences if now - one.ends_at > ENDED_SILENCE_KEPT]
        if old:
            with reaching_redis():
                self._client.hdel(self._keys.silences, *old)
        silences = sorted((one for one in silences if one.id not in old), key=lambda one: (one.ends_at, one.id))
        return OperatorRequests(silences, sorted(acknowledgements, key=lambda one: (one.at, one.key)))

    @reaching_redis()
    def add(self, silence: Silence) -> None:
        """Raises RefusedError if there are too many."""
        if int(self._client.hlen(self._keys.silences)) >= MOST_SILENCES:
            raise RefusedError(f"there are {MOST_SILENCES} silences already; expire some, or change a rule")
        self._client.hset(self._keys.silences, silence.id, silence.model_dump_json())

    @reaching_redis()
    def expire(self, silence_id: str, now: datetime) -> Silence:
        """End a silence now, even before its start. Raises RefusedError if it does not exist or has ended."""
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
        """Acknowledge an open episode; the leader notifies the receivers. Raises RefusedError if it is not open."""
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
            raise RefusedError(
                f"{MOST_ACKNOWLEDGEMENTS} acknowledgements already wait for an alerter; check that one runs"
            )
        self._client.hset(self._keys.acknowledgements, acknowledgement.key, acknowledgement.model_dump_json())
        return episode

    @reaching_redis()
    def forget(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        """Remove acknowledgements that the episodes now hold, or whose episode has ended."""
        if acknowledgements:
            self._client.hdel(self._keys.acknowledgements, *[one.key for one in acknowledgements])

    @reaching_redis()
    def episodes(self) -> list[Episode]:
        """Open episodes, newest first."""
        stored: list[bytes] = self._client.hvals(self._keys.episodes)  # type: ignore[assignment]
        found = [Episode.model_validate_json(value) for value in stored]
        return sorted(found, key=lambda one: (one.fired_at, one.key), reverse=True)
