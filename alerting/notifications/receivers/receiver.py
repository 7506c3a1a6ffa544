"""The interface between the sender and every receiver."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import aiohttp

from alerting.notifications.delivery import SendResult
from brandpulse.schema.episodes import Episode, Notification, Severity


@dataclass(frozen=True, slots=True)
class ReceiverContext:
    """What receivers share when they are built from their config."""

    session: aiohttp.ClientSession
    timeout_seconds: float
    link: str | None = None
    """Template of the link to the page, for messages without a notification."""


class Receiver(Protocol):
    """One destination of notifications. `deliver` returns failures of the network or the service as a SendResult."""

    @property
    def name(self) -> str: ...

    @property
    def min_severity(self) -> Severity: ...

    @property
    def wants_every_update(self) -> bool:
        """False: updates only if the severity rose."""

    @property
    def keeps_state(self) -> bool:
        """It opens and closes incidents, so after a late trigger of an old leader the resolve must be sent again."""

    async def deliver(self, notification: Notification) -> SendResult: ...

    async def close(self) -> None: ...


@runtime_checkable
class ResendingReceiver(Protocol):
    """A receiver whose alerts expire unless they are sent again."""

    @property
    def resend_seconds(self) -> float: ...

    async def resend(self, firing: Sequence[Episode]) -> SendResult:
        """Send the *firing* episodes again. Returns failures as a SendResult."""
