"""Slack's incoming webhooks, and what speaks like them. One message for each transition, updates only when worse.

Slack has no idempotency key: a message whose answer got lost is sent again, and may stand there twice.
"""

import json
from typing import Any

import aiohttp
from pydantic import SecretStr

from alerting.outbox import Outcome
from alerting.receivers.http import post
from alerting.receivers.words import cut, lines, title
from brandpulse.episodes import Notification, Severity

MAX_SECTION_CHARS = 3_000
_COLOURS = {"critical": "#b3261e", "error": "#d9480f", "warning": "#e0a100", "info": "#3b82f6"}
_RESOLVED = "#2e7d32"


class Slack:
    """One channel."""

    wants_every_update = False
    keeps_state = False

    def __init__(
        self,
        name: str,
        *,
        url: SecretStr,
        min_severity: Severity,
        session: aiohttp.ClientSession,
        timeout_seconds: float,
    ) -> None:
        self.name = name
        self.min_severity = min_severity
        self._url = url
        self._session = session
        self._timeout_seconds = timeout_seconds

    async def deliver(self, notification: Notification) -> Outcome:
        body = json.dumps(message(notification), ensure_ascii=False).encode()
        return await post(
            self._session, self._url.get_secret_value(), body, headers={}, timeout_seconds=self._timeout_seconds
        )

    async def close(self) -> None:
        """The session is the sender's."""


def message(notification: Notification) -> dict[str, Any]:
    """`text` is what a phone shows; the attachment's colour tells the severity."""
    resolved = notification.transition == "resolved"
    text = cut("\n".join(escape(line) for line in lines(notification)), MAX_SECTION_CHARS)
    return {
        "text": escape(title(notification)),
        "attachments": [
            {
                "color": _RESOLVED if resolved else _COLOURS[notification.episode.severity],
                "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}],
            }
        ],
    }


def escape(text: str) -> str:
    """Slack's three: a post that holds `<!channel>` must not ring everybody's phone. The quote sign stays a quote."""
    quoted = text.startswith("> ")
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "> " + escaped.removeprefix("&gt; ") if quoted else escaped
