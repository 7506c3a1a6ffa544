"""How much each source has used up today: money of X, quota units of YouTube. In Redis, beside the positions."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

import msgspec
import redis

from brandpulse.redis.error_hints import reaching_redis
from brandpulse.state.keys import SourceKeys
from brandpulse.state.live_sources import decode_stored

MICRO = 1_000_000
KEEP_SECONDS = 40 * 86_400

Unit = Literal["dollars", "units"]


class Limit(msgspec.Struct, frozen=True):
    """The most that a source may use up in a day."""

    unit: Unit
    amount: int
    """In millionths of a dollar, or in quota units."""
    zone: str
    """IANA name of the time zone in which the platform's day begins."""

    def day(self, now: datetime) -> str:
        return now.astimezone(ZoneInfo(self.zone)).date().isoformat()

    def shown(self, amount: int) -> str:
        """*amount* for a person, such as `$1.25` or `120 units`."""
        return f"${amount / MICRO:,.2f}" if self.unit == "dollars" else f"{amount:,} units"


class Spending(msgspec.Struct, frozen=True):
    """What a source has used up today."""

    source: str
    limit: Limit
    spent: int

    @property
    def sentence(self) -> str:
        return f"{self.limit.shown(self.spent)} of {self.limit.shown(self.limit.amount)} used today"


class Ledger(Protocol):
    """Every method raises TransientError if the store does not answer."""

    def add(self, source: str, limit: Limit, amount: int, now: datetime) -> int:
        """Add *amount*, which may be negative, to the day of *now*; returns the day's total."""
        ...

    def spendings(self, now: datetime) -> Sequence[Spending]:
        """Today's amount of each source that ever had one, by name."""
        ...


class RedisLedger:
    """In Redis. Key layout: `brandpulse/state/keys.py`."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._keys = SourceKeys(namespace)

    def add(self, source: str, limit: Limit, amount: int, now: datetime) -> int:
        with reaching_redis():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.hincrby(self._keys.spent(source), limit.day(now), amount)
            pipeline.hset(self._keys.limits, source, msgspec.json.encode(limit))
            pipeline.expire(self._keys.spent(source), KEEP_SECONDS)
            total: Any = pipeline.execute()[0]
        return int(total)

    def spendings(self, now: datetime) -> Sequence[Spending]:
        with reaching_redis():
            limits: Any = self._client.hgetall(self._keys.limits)
            found = []
            for name, stored in sorted(limits.items()):
                limit = decode_stored(stored, Limit, name.decode())
                spent: Any = self._client.hget(self._keys.spent(name.decode()), limit.day(now))
                found.append(Spending(name.decode(), limit, int(spent or 0)))
        return found


class MemoryLedger:
    """In-memory implementation for tests, and for checks without a store."""

    def __init__(self) -> None:
        self._spent: dict[tuple[str, str], int] = defaultdict(int)
        self._limits: dict[str, Limit] = {}

    def add(self, source: str, limit: Limit, amount: int, now: datetime) -> int:
        self._limits[source] = limit
        self._spent[source, limit.day(now)] += amount
        return self._spent[source, limit.day(now)]

    def spendings(self, now: datetime) -> Sequence[Spending]:
        return [
            Spending(name, limit, self._spent[name, limit.day(now)]) for name, limit in sorted(self._limits.items())
        ]
