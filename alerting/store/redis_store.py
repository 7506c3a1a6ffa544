"""The alerter's state in Redis or Valkey. Keys: `AlertingKeys` in brandpulse/state/keys.py; the interface:
`alert_store.py`.

Each method that writes is one Lua call.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import redis

from alerting.detection.vote_review import SeriesHour, UncountedHours
from alerting.detection.votes.copied_votes import Uncounted
from alerting.episodes.episode_spans import MAX_SPANS, PastSpan, oldest_retained_ms, span_of
from alerting.episodes.lifecycle import Memory, OpenEpisode
from alerting.notifications.delivery import Delivery
from alerting.store.alert_store import (
    MAX_CLOSED,
    MAX_DELIVERED,
    AlerterState,
    Commit,
    CommitResult,
    Durability,
    Tally,
)
from brandpulse.errors import TransientError
from brandpulse.redis.client import node_for
from brandpulse.redis.error_hints import reaching_state
from brandpulse.schema.episodes import Episode
from brandpulse.schema.silences import Acknowledgement, OperatorRequests
from brandpulse.state.keys import AlertingKeys
from brandpulse.state.operator_requests import OperatorRequestStore
from brandpulse.state.watched_facets import WatchedFacets, encode_facets

_SCRIPTS = {path.stem: path.read_text(encoding="utf-8") for path in (Path(__file__).parent / "lua").glob("*.lua")}


class RedisAlertStore:
    """All keys have the hash tag `{ns:alerting}`, so every Lua call uses one slot of a cluster."""

    def __init__(self, client: redis.Redis, namespace: str, *, durable_replicas: int = 0) -> None:
        """*durable_replicas*: the number of replicas that must have a write on disk before `make_durable` returns
        "durable"."""
        self._client = client
        self._keys = AlertingKeys(namespace)
        self._durable_replicas = durable_replicas
        self._requests = OperatorRequestStore(client, namespace)
        self._waits_for_disk = True
        self._erasures_of_state = self._erasures_of_outbox = 0
        """The erasure counter when the episodes, and when the outbox, were read: text erased since is not written
        back."""

    def acquire(self, holder: str, *, lease_ms: int) -> int | None:
        token = self._script("acquire", [self._keys.lease, self._keys.fence], [holder, lease_ms])
        return None if int(token) == 0 else int(token)

    def renew(self, holder: str, *, lease_ms: int) -> bool:
        return bool(self._script("renew", [self._keys.lease], [holder, lease_ms]))

    def release(self, holder: str) -> None:
        self._script("renew", [self._keys.lease], [holder, 0])

    def load(self) -> AlerterState:
        keys = self._keys
        with reaching_state():
            # One transaction, so that episodes and memories match.
            pipeline = self._client.pipeline(transaction=True)
            pipeline.get(keys.evaluated_until)
            pipeline.hgetall(keys.episodes)
            pipeline.hgetall(keys.detector)
            pipeline.lrange(keys.closed, 0, -1)
            pipeline.zrange(keys.spans, 0, -1)
            pipeline.get(keys.erasures)
            until, episodes, memories, closed, spans, erasures = pipeline.execute()
        self._erasures_of_state = int(erasures or 0)
        opened = {}
        for key, stored in episodes.items():
            episode = Episode.model_validate_json(stored)
            memory = memories.get(key)
            opened[key.decode()] = OpenEpisode(
                episode, Memory.model_validate_json(memory) if memory else Memory(told_at=episode.updated_at)
            )
        return AlerterState(
            evaluated_until_ms=None if until is None else int(until),
            open=opened,
            closed=[Episode.model_validate_json(stored) for stored in closed],
            spans=[PastSpan.decode(stored) for stored in spans],
        )

    def commit(self, commit: Commit, *, token: int) -> CommitResult:
        keys = self._keys
        arguments: list[str | int] = [
            token,
            "" if commit.expected_ms is None else commit.expected_ms,
            "" if commit.until_ms is None else commit.until_ms,
            MAX_CLOSED,
            len(commit.open),
            len(commit.closed),
            len(commit.deliveries),
            len(commit.suppressed),
            oldest_retained_ms(commit.closed),
            MAX_SPANS,
            self._erasures_of_state,
        ]
        for key, opened in commit.open.items():
            arguments += [key, opened.episode.model_dump_json(), opened.memory.model_dump_json()]
        for episode in commit.closed:
            span = span_of(episode)
            arguments += [episode.key, episode.model_dump_json(), span.end_ms, span.encode()]
        arguments += _flat(commit.deliveries)
        for (receiver, why), number in commit.suppressed.items():
            arguments += [_field(receiver, why), number]
        reply = self._script(
            "commit",
            [
                keys.fence,
                keys.evaluated_until,
                keys.episodes,
                keys.detector,
                keys.closed,
                keys.outbox,
                keys.outbox_order,
                keys.outbox_sequence,
                keys.tally,
                keys.spans,
                keys.erasures,
            ],
            arguments,
        )
        results: dict[bytes, CommitResult] = {b"applied": "applied", b"moved": "moved", b"fenced": "fenced"}
        return results[reply]

    def make_durable(self, *, timeout_ms: int) -> Durability:
        if not self._waits_for_disk:
            return "unknown"
        with reaching_state():
            # WAITAOF waits for the writes of its own connection, so both use one pipeline. The file is one log: if this
            # write is on disk, so are all earlier ones, also those of other connections.
            pipeline = node_for(self._client, self._keys.durable).pipeline(transaction=False)
            pipeline.incr(self._keys.durable)
            pipeline.execute_command("WAITAOF", 1, self._durable_replicas, timeout_ms)  # type: ignore[no-untyped-call]
            _, answer = pipeline.execute(raise_on_error=False)
        if isinstance(answer, redis.ResponseError):
            self._waits_for_disk = False
            return "unknown"
        if isinstance(answer, Exception):
            raise TransientError(f"Redis did not confirm that the write is on disk: {answer}") from answer
        return "durable" if answer[0] >= 1 and answer[1] >= self._durable_replicas else "not yet"

    def enqueue(self, deliveries: Sequence[Delivery], *, token: int) -> bool:
        keys = self._keys
        return bool(
            self._script(
                "enqueue",
                [keys.fence, keys.outbox, keys.outbox_order, keys.outbox_sequence, keys.tally],
                [token, *_flat(deliveries)],
            )
        )

    def pending(self) -> list[Delivery]:
        with reaching_state():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.zrange(self._keys.outbox_order, 0, -1)
            pipeline.hgetall(self._keys.outbox)
            pipeline.get(self._keys.erasures)
            order, stored, erasures = pipeline.execute()
        self._erasures_of_outbox = int(erasures or 0)
        return [Delivery.model_validate_json(stored[name]) for name in order if name in stored]

    def mark_delivered(self, delivery: Delivery, *, token: int) -> bool:
        return self._settle("delivered", delivery, token, self._keys.delivered)

    def mark_retry(self, delivery: Delivery, *, token: int) -> bool:
        return self._settle("retried", delivery, token, self._keys.quarantine)

    def quarantine(self, delivery: Delivery, *, token: int) -> bool:
        return self._settle("quarantined", delivery, token, self._keys.quarantine)

    def _settle(self, what: str, delivery: Delivery, token: int, target: str) -> bool:
        keys = self._keys
        return bool(
            self._script(
                "settle",
                [keys.fence, keys.outbox, keys.outbox_order, target, keys.tally, keys.erasures],
                [
                    token,
                    what,
                    delivery.id,
                    delivery.model_dump_json(),
                    MAX_DELIVERED,
                    _field(delivery.notification.receiver, what),
                    self._erasures_of_outbox,
                ],
            )
        )

    def quarantined(self) -> list[Delivery]:
        with reaching_state():
            stored: dict[bytes, bytes] = self._client.hgetall(self._keys.quarantine)  # type: ignore[assignment]
        return sorted((Delivery.model_validate_json(value) for value in stored.values()), key=lambda d: d.decided_ms)

    def delivered(self) -> list[Delivery]:
        with reaching_state():
            stored: list[bytes] = self._client.lrange(self._keys.delivered, 0, -1)  # type: ignore[assignment]
        return [Delivery.model_validate_json(value) for value in stored]

    def requeue(self, delivery_id: str) -> bool:
        keys = self._keys
        found = next((delivery for delivery in self.quarantined() if delivery.id == delivery_id), None)
        if found is None:
            return False
        fresh = found.model_copy(update={"attempts": 0, "next_attempt_ms": 0})
        return bool(
            self._script(
                "requeue",
                [keys.quarantine, keys.outbox, keys.outbox_order, keys.outbox_sequence, keys.tally],
                [delivery_id, fresh.model_dump_json(), _field(found.notification.receiver, "quarantined")],
            )
        )

    def report_late(self, delivery: Delivery) -> None:
        with reaching_state():
            self._client.hset(self._keys.late, delivery.id, delivery.model_dump_json())

    def late_deliveries(self) -> list[Delivery]:
        with reaching_state():
            stored: list[bytes] = self._client.hvals(self._keys.late)  # type: ignore[assignment]
        return [Delivery.model_validate_json(value) for value in stored]

    def forget_late(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            with reaching_state():
                self._client.hdel(self._keys.late, *[delivery.id for delivery in deliveries])

    def save_delays(self, seconds: Mapping[str, float]) -> None:
        if seconds:
            with reaching_state():
                self._client.hset(
                    self._keys.delays, mapping={brand: f"{delay:.0f}" for brand, delay in seconds.items()}
                )

    def uncounted_votes(self) -> dict[SeriesHour, Uncounted]:
        with reaching_state():
            stored: Any = self._client.hgetall(self._keys.uncounted)
        found: dict[SeriesHour, Uncounted] = {}
        for name, counts in stored.items():
            hour, _, series = name.decode().partition("|")
            found[series, int(hour)] = Uncounted(*map(int, counts.split(b",")))
        return found

    def save_uncounted_votes(self, found: UncountedHours, *, expired: Sequence[SeriesHour]) -> None:
        with reaching_state():
            pipeline = self._client.pipeline(transaction=False)
            for (series, hour), one in found.items():
                counts = f"{one.copied},{one.copied_negative},{one.excluded},{one.excluded_negative}"
                pipeline.hset(self._keys.uncounted, f"{hour}|{series}", counts)
            if expired:
                pipeline.hdel(self._keys.uncounted, *[f"{hour}|{series}" for series, hour in expired])
            pipeline.execute()

    def save_watched_facets(self, facets: WatchedFacets) -> None:
        with reaching_state():
            self._client.set(self._keys.facets, encode_facets(facets))

    def tally(self) -> Tally:
        keys = self._keys
        with reaching_state():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.hgetall(keys.tally)
            pipeline.hlen(keys.outbox)
            pipeline.hlen(keys.quarantine)
            pipeline.get(keys.erasures)
            counts, waiting, quarantined, erasures = pipeline.execute()
        split = ((name.decode().rsplit("|", 1), int(number)) for name, number in counts.items())
        return Tally(
            {(receiver, fate): number for (receiver, fate), number in split},
            waiting,
            quarantined,
            int(erasures or 0) != self._erasures_of_outbox,
        )

    def operator_requests(self, now: datetime) -> OperatorRequests:
        with reaching_state():
            return self._requests.read(now)

    def forget_acknowledgements(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        with reaching_state():
            self._requests.forget(acknowledgements)

    def _script(self, name: str, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        script = self._client.register_script(_SCRIPTS[name])
        with reaching_state():
            return script(keys=keys, args=arguments)


def _flat(deliveries: Iterable[Delivery]) -> list[str]:
    return [
        part
        for delivery in deliveries
        for part in (delivery.id, delivery.model_dump_json(), _field(delivery.notification.receiver, "accepted"))
    ]


def _field(receiver: str, fate: str) -> str:
    return f"{receiver}|{fate}"
