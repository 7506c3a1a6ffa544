"""Deliveries of the outbox, and what to do after an attempt. Pure; `alerting/store` stores them."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from brandpulse.schema.episodes import Notification

DeliveryKey = tuple[str, str]
"""(receiver, episode key). Deliveries of one key are sent in order; different keys do not wait for each other."""


class Delivery(BaseModel):
    """One notification to one receiver. Times are wall clock, ms."""

    model_config = ConfigDict(frozen=True)

    id: str
    """The notification's id. A repeat after a takeover adds a suffix."""
    notification: Notification
    decided_ms: int
    attempts: int = 0
    next_attempt_ms: int = 0
    answer: str = ""
    """The receiver's last response, for people to read."""
    delivered_ms: int | None = None

    @property
    def key(self) -> DeliveryKey:
        return self.notification.receiver, self.notification.episode.key


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of one attempt. *status* is None if no response came: the request may or may not have been
    processed."""

    status: int | None
    answer: str = ""
    retry_after_seconds: float | None = None
    unexplained: bool = False
    """A reachable receiver rejected it without a status: the rejection may be permanent."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Full jitter between attempts: a random wait up to base 2^attempts, capped."""

    base_seconds: float = 1.0
    cap_seconds: float = 300.0
    too_many_floor_seconds: float = 60.0
    """Minimum wait after 429; PagerDuty asks for "a few minutes"."""
    longest_retry_after_seconds: float = 3_600.0
    """Upper limit for a receiver's Retry-After."""
    give_up_after_seconds: float = 7 * 86_400.0
    """An undelivered notification is quarantined after this time. `brandpulse outbox retry` sends it again."""
    max_unexplained: int = 30
    """A delivery is quarantined after this many rejections without a reason: about two hours with the default waits."""


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What happens to a delivery after an attempt, and why."""

    outcome: Literal["delivered", "retried", "quarantined"]
    reason: str
    next_attempt_ms: int = 0
    pauses_receiver: bool = False
    """The wait applies to the whole receiver, not only to this delivery key."""


def delivery_result(
    delivery: Delivery, sent: SendResult, *, now_ms: int, policy: RetryPolicy, rng: random.Random
) -> DeliveryResult:
    """The consequence of *sent* for *delivery*, whose `attempts` do not include this one yet."""
    status = sent.status
    if status is not None and 200 <= status < 300:
        return DeliveryResult("delivered", f"{status}")
    if status is not None and status not in (408, 425, 429) and status < 500:
        # 400, 413: the body is never accepted. 401, 403: access is denied. 3xx, 404: the address is wrong.
        return DeliveryResult("quarantined", f"refused with {status}: {sent.answer}"[:500])
    wait = rng.uniform(0, min(policy.cap_seconds, policy.base_seconds * 2 ** min(delivery.attempts, 30)))
    if status == 429:
        wait = max(policy.too_many_floor_seconds, wait)
    if sent.retry_after_seconds is not None:
        wait = max(wait, min(sent.retry_after_seconds, policy.longest_retry_after_seconds))
    why = f"{status}: {sent.answer}" if status is not None else f"no answer: {sent.answer}"
    if now_ms - delivery.decided_ms > policy.give_up_after_seconds * 1_000:
        days = policy.give_up_after_seconds / 86_400
        return DeliveryResult("quarantined", f"not delivered within {days:g} days; last {why}"[:500])
    if sent.unexplained and delivery.attempts + 1 >= policy.max_unexplained:
        return DeliveryResult(
            "quarantined", f"refused {delivery.attempts + 1} times without a reason; last {why}"[:500]
        )
    return DeliveryResult("retried", why[:500], now_ms + int(wait * 1_000), pauses_receiver=status == 429)


def retry_after_seconds(header: str | None, *, now: datetime) -> float | None:
    """The Retry-After header, in seconds from *now*; None if absent or unreadable. RFC 9110, 10.2.3."""
    if header is None:
        return None
    text = header.strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
