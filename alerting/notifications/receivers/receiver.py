"""What the sender asks of every receiver."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from alerting.notifications.delivery import SendResult
from brandpulse.schema.episodes import Episode, Notification, Severity


class Receiver(Protocol):
    """One place that is told. `deliver` never raises for what the world does: it says so in its Outcome."""

    @property
    def name(self) -> str: ...

    @property
    def min_severity(self) -> Severity: ...

    @property
    def wants_every_update(self) -> bool:
        """False: updates only when the severity rose."""

    @property
    def keeps_state(self) -> bool:
        """It opens and closes incidents, so a late trigger of a dead leader must be answered with a resolve again."""

    async def deliver(self, notification: Notification) -> SendResult: ...

    async def close(self) -> None: ...


@runtime_checkable
class ResendingReceiver(Protocol):
    """A receiver that forgets what it is not told again."""

    @property
    def resend_seconds(self) -> float: ...

    async def resend(self, firing: Sequence[Episode]) -> SendResult:
        """Say again that these fire. Never raises for what the world does."""
