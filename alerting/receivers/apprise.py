"""Whatever apprise speaks to. Needs `pip install 'brandpulse[apprise]'`.

apprise says yes or no and no more: a no is tried again, for ever, as an unknown outcome is.
"""

import asyncio
import logging
from typing import Any

from pydantic import SecretStr

from alerting.outbox import Outcome
from alerting.receivers.words import lines, title
from brandpulse.episodes import Notification, Severity
from brandpulse.errors import ConfigError

HANDED_OVER = 202
_TYPES = {"critical": "failure", "error": "failure", "warning": "warning", "info": "info"}


class Apprise:
    """One apprise URL."""

    wants_every_update = False
    keeps_state = False

    def __init__(self, name: str, *, url: SecretStr, min_severity: Severity, timeout_seconds: float) -> None:
        """Raises ConfigError where apprise is missing or does not know the URL."""
        self.name = name
        self.min_severity = min_severity
        self._timeout_seconds = timeout_seconds
        self._apprise = _connect(name, url)

    async def deliver(self, notification: Notification) -> Outcome:
        kind = "success" if notification.transition == "resolved" else _TYPES[notification.episode.severity]
        body = "\n".join(lines(notification))
        sending = asyncio.to_thread(self._apprise.notify, body=body, title=title(notification), notify_type=kind)
        try:
            done = await asyncio.wait_for(sending, 2 * self._timeout_seconds)
        except TimeoutError:
            return Outcome(None, f"apprise gave no answer within {2 * self._timeout_seconds:g} s")
        return Outcome(HANDED_OVER) if done else Outcome(None, "apprise says that it was not sent")

    async def close(self) -> None:
        """apprise holds nothing open."""


def _connect(name: str, url: SecretStr) -> Any:
    try:
        import apprise
    except ImportError as error:
        raise ConfigError(
            f"receiver {name!r} is of kind apprise, which is not installed: pip install 'brandpulse[apprise]'"
        ) from error
    # Its log lines hold addresses with their passwords.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    connected = apprise.Apprise()
    if not connected.add(url.get_secret_value()):
        raise ConfigError(f"receiver {name!r}: apprise does not know that URL; a right one: tgram://bot-token/chat-id")
    return connected
