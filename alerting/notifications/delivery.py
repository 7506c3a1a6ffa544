"""The outbox, thought through: which delivery may go now, and what an answer means. Pure; stored by `store.py`."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from brandpulse.schema.episodes import Notification

DeliveryKey = tuple[str, str]
"""(receiver, episode key): order is kept within, nothing waits across."""


class Delivery(BaseModel):
    """One notification on its way to one receiver. Times are wall clock, ms."""

    model_config = ConfigDict(frozen=True)

    id: str
    """The notification's id; a repeat after a takeover has a suffix of its own."""
    notification: Notification
    decided_ms: int
    attempts: int = 0
    next_attempt_ms: int = 0
    answer: str = ""
    """What the receiver last said, for a person."""
    delivered_ms: int | None = None

    @property
    def key(self) -> DeliveryKey:
        return self.notification.receiver, self.notification.episode.key


@dataclass(frozen=True, slots=True)
class SendResult:
    """What came of one attempt. *status* is None when no answer came: it may or may not have been processed."""

    status: int | None
    answer: str = ""
    retry_after_seconds: float | None = None
    unexplained: bool = False
    """A no without a status, from a receiver that answers: it may be for good."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Full jitter between attempts: a random wait up to base 2^attempts, capped."""

    base_seconds: float = 1.0
    cap_seconds: float = 300.0
    too_many_floor_seconds: float = 60.0
    """Least wait after 429; PagerDuty asks for "a few minutes"."""
    longest_retry_after_seconds: float = 3_600.0
    """A receiver may not silence us for longer."""
    give_up_after_seconds: float = 7 * 86_400.0
    """What no receiver took for so long is set aside: `brandpulse outbox retry` sends it all the same."""
    most_unexplained: int = 30
    """So many attempts that were refused without a reason, and it is set aside: some two hours at these waits."""


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What to do with the delivery, and why."""

    outcome: Literal["delivered", "retried", "quarantined"]
    reason: str
    next_attempt_ms: int = 0
    pauses_receiver: bool = False
    """The wait is for the whole receiver, not this lane only."""


def delivery_result(
    delivery: Delivery, outcome: SendResult, *, now_ms: int, policy: RetryPolicy, rng: random.Random
) -> DeliveryResult:
    """What *outcome* means for *delivery*, whose attempts do not count this one yet."""
    status = outcome.status
    if status is not None and 200 <= status < 300:
        return DeliveryResult("delivered", f"{status}")
    if status is not None and status not in (408, 425, 429) and status < 500:
        # 400, 413: it will never take this body. 401, 403: it will not take it from us. 3xx, 404: a wrong address.
        return DeliveryResult("quarantined", f"refused with {status}: {outcome.answer}"[:500])
    wait = rng.uniform(0, min(policy.cap_seconds, policy.base_seconds * 2 ** min(delivery.attempts, 30)))
    if status == 429:
        wait = max(policy.too_many_floor_seconds, wait)
    if outcome.retry_after_seconds is not None:
        wait = max(wait, min(outcome.retry_after_seconds, policy.longest_retry_after_seconds))
    why = f"{status}: {outcome.answer}" if status is not None else f"no answer: {outcome.answer}"
    if now_ms - delivery.decided_ms > policy.give_up_after_seconds * 1_000:
        days = policy.give_up_after_seconds / 86_400
        return DeliveryResult("quarantined", f"not delivered within {days:g} days; last {why}"[:500])
    if outcome.unexplained and delivery.attempts + 1 >= policy.most_unexplained:
        return DeliveryResult(
            "quarantined", f"refused {delivery.attempts + 1} times without a reason; last {why}"[:500]
        )
    return DeliveryResult("retried", why[:500], now_ms + int(wait * 1_000), pauses_receiver=status == 429)


def retry_after_seconds(header: str | None, *, now: datetime) -> float | None:
    """The Retry-After header, in seconds from *now*; None when absent or unreadable. RFC 9110, 10.2.3."""
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
