"""Any service that apprise supports. Needs `pip install 'brandpulse[apprise]'`.

apprise returns success or failure; its log lines contain the HTTP status of the service. A permanent failure (400, 404,
...) quarantines the delivery, as for other receivers. A failure without a status that is no network error is retried
`RetryPolicy.max_unexplained` times.
"""

import asyncio
import contextlib
import html
import logging
import re
from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr

from alerting.notifications.delivery import SendResult
from alerting.notifications.plain_text import without_links, without_mentions, without_styles, without_tags
from alerting.notifications.receivers.message_text import Style, body, title
from alerting.notifications.receivers.receiver import ReceiverContext
from alerting.notifications.receivers.receiver_config import AppriseConfig
from brandpulse.errors import ConfigError
from brandpulse.schema.episodes import Notification, Severity

HANDED_OVER, TOO_MANY = 202, 429
_TYPES = {"critical": "failure", "error": "failure", "warning": "warning", "info": "info"}
_STATUS = re.compile(r"\berror=\s*(\d{3})\b|\bHTTP(?: error)?[ =:]+(\d{3})\b")
_NETWORK = re.compile(r"(?i)connection error|socket|timed? ?out|timeout|resolve|unreachable|refused")
_ADDRESS = re.compile(r"\S*://\S*")
AROUND_TITLE = 40
"""Reserved for tags and line ends around a title that is placed before the body."""
LEAST_LIMIT, MOST_LIMIT = 1_500, 16_000
"""A lower limit may not fit title, sentence, key and link: such a service gets several messages."""
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


class Apprise:
    """One apprise URL."""

    wants_every_update = False
    keeps_state = False

    def __init__(self, name: str, *, url: SecretStr, min_severity: Severity, timeout_seconds: float) -> None:
        """Raises ConfigError if apprise is not installed or does not support the URL."""
        self.name = name
        self.min_severity = min_severity
        self._timeout_seconds = timeout_seconds
        self._apprise = _connect(name, url)
        self._style = style_of(self._apprise)
        self._limit = _limit_of(self._apprise)

    @classmethod
    def from_config(cls, config: AppriseConfig, secret: SecretStr | None, context: ReceiverContext) -> "Apprise":
        return cls(
            config.name,
            url=secret or SecretStr(""),
            min_severity=config.min_severity,
            timeout_seconds=context.timeout_seconds,
        )

    async def deliver(self, notification: Notification) -> SendResult:
        kind = "success" if notification.transition == "resolved" else _TYPES[notification.episode.severity]
        heading = title(notification, self._style)
        sending = asyncio.to_thread(
            self._apprise.notify,
            body=body(notification, self._style, max_units=self._limit - self._style.size(heading) - AROUND_TITLE),
            title=heading,
            notify_type=kind,
            # Otherwise `<a href=...>` in a post becomes a link in the chat, and Telegram rejects `<3`.
            body_format="text",
        )
        try:
            result = await asyncio.wait_for(sending, 2 * self._timeout_seconds)
        except TimeoutError:
            return SendResult(None, f"apprise did not answer within {2 * self._timeout_seconds:g} s")
        return SendResult(HANDED_OVER) if result else failure_of(result)

    async def close(self) -> None:
        """Nothing to close: apprise keeps no connection."""


def failure_of(result: Any) -> SendResult:
    """A failure of apprise: with the service's status if that is final or asks to wait, else without a status."""
    messages = list(_failure_messages(result))
    answer = "; ".join(messages)[:500] or "apprise reports that the message was not sent"
    statuses = [int(found[1] or found[2]) for line in messages for found in _STATUS.finditer(line)]
    if TOO_MANY in statuses:
        return SendResult(TOO_MANY, answer)
    if statuses and all(400 <= status < 500 and status not in (408, 425) for status in statuses):
        return SendResult(statuses[-1], answer)
    known = bool(statuses) or any(_NETWORK.search(line) for line in messages)
    return SendResult(None, answer, unexplained=not known)


def _failure_messages(result: Any) -> Iterator[str]:
    """The warnings of the failed services, without URLs, which may contain passwords."""
    with contextlib.suppress(TypeError, AttributeError):  # before version 2.2, apprise returns a bool
        for entry in result.logs():
            if entry.level in ("WARNING", "ERROR", "CRITICAL"):
                yield _ADDRESS.sub("[address]", entry.message)


def style_of(connected: Any) -> Style:
    """How untrusted text is written for the services of *connected*. apprise escapes HTML and Markdown; clients that
    interpret plain text as markup (Discord, Mattermost) get text without markup."""
    targets = _targets(connected)
    if targets == {"html"}:
        return Style(post=_post_in_html, name=without_mentions, expanded=_expanded_in_html)
    return Style(post=_post, name=_name, expanded=_expanded_in_markdown if "markdown" in targets else _expanded_in_text)


def _targets(connected: Any) -> set[str]:
    return {str(getattr(_format(one), "value", _format(one))) for one in connected.find()}


def _format(service: Any) -> Any:
    resolve = getattr(service, "resolve_format", None)
    return resolve("text") if resolve is not None else service.notify_format


def _limit_of(connected: Any) -> int:
    """The UTF-16 units that every service accepts in one message, title included."""
    limits = [int(service.body_maxlen) for service in connected.find()]
    return min((limit for limit in limits if limit >= LEAST_LIMIT), default=MOST_LIMIT)


def _expanded_in_html(text: str) -> str:
    return html.escape(_expanded_in_text(text))


def _expanded_in_markdown(text: str) -> str:
    return _PUNCTUATION.sub(r"\\\g<0>", _expanded_in_text(text))


def _expanded_in_text(text: str) -> str:
    return text.replace("\n", "\r\n")


def _post_in_html(text: str) -> str:
    return without_mentions(without_links(text))


def _post(text: str) -> str:
    return _name(without_links(text))


def _name(text: str) -> str:
    return without_styles(without_tags(without_mentions(text)))


def _connect(name: str, url: SecretStr) -> Any:
    try:
        import apprise
    except ImportError as error:
        raise ConfigError(
            f"receiver {name!r} is of kind apprise, which is not installed: pip install 'brandpulse[apprise]'"
        ) from error
    _silence_logger()
    connected = apprise.Apprise()
    if not connected.add(url.get_secret_value()):
        raise ConfigError(
            f"receiver {name!r}: apprise does not support this URL; valid example: tgram://bot-token/chat-id"
        )
    for service in connected.find():
        if service.body_maxlen < LEAST_LIMIT:
            # A text longer than one message is sent in parts.
            service.overflow_mode = apprise.OverflowMode.SPLIT
    return connected


def _silence_logger() -> None:
    """Discard apprise's log lines, which may contain passwords in URLs. It still returns those of a delivery."""
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
