"""Slack's incoming webhooks, and compatible services. One message for each transition; updates only if the severity
rose.

Slack has no idempotency key: if its response is lost, the message is sent again and may appear twice.
"""

import json
from typing import Any

import aiohttp
from pydantic import SecretStr

from alerting.notifications.delivery import SendResult
from alerting.notifications.plain_text import without_links, without_mentions, without_styles
from alerting.notifications.receivers.http_post import post
from alerting.notifications.receivers.message_text import Style, body, title
from alerting.notifications.receivers.receiver import ReceiverContext
from alerting.notifications.receivers.receiver_config import SlackConfig
from brandpulse.schema.episodes import Notification, Severity

MAX_SECTION_CHARS = 3_000
"""Limit of the escaped text: docs.slack.dev, text object."""
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

    @classmethod
    def from_config(cls, config: SlackConfig, secret: SecretStr | None, context: ReceiverContext) -> "Slack":
        return cls(
            config.name,
            url=secret or SecretStr(""),
            min_severity=config.min_severity,
            session=context.session,
            timeout_seconds=context.timeout_seconds,
        )

    async def deliver(self, notification: Notification) -> SendResult:
        body = json.dumps(message(notification), ensure_ascii=False).encode()
        return await post(
            self._session, self._url.get_secret_value(), body, headers={}, timeout_seconds=self._timeout_seconds
        )

    async def close(self) -> None:
        """Nothing to close: the caller owns the session."""


def message(notification: Notification) -> dict[str, Any]:
    """`text` is for a phone's screen; the attachment's colour is the severity."""
    resolved = notification.transition == "resolved"
    text = body(notification, STYLE, max_units=MAX_SECTION_CHARS)
    return {
        "text": escape(title(notification, STYLE)),
        "mrkdwn": False,
        "attachments": [
            {
                "color": _RESOLVED if resolved else _COLOURS[notification.episode.severity],
                # Verbatim: Slack does not turn addresses, channels or names into links.
                "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}],
            }
        ],
    }


def escape(text: str) -> str:
    """Slack's three escapes: `<!channel>` in a post must not notify a whole channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _name(text: str) -> str:
    return without_styles(without_mentions(text))


def _post(text: str) -> str:
    return _name(without_links(text))


def _key(key: str) -> str:
    return "`" + key.replace("`", "\u02cb") + "`"


STYLE = Style(post=_post, name=_name, key=_key, link=("<", ">"), escape=escape)
"""Slack's mrkdwn has no escape for `*`, `_`, `~` and the back quote."""
