"""Whatever apprise speaks to. Needs `pip install 'brandpulse[apprise]'`.

apprise says yes or no; the log lines that it returns hold the status of the service's answer. An answer that is
for good (400, 404, ...) sets the delivery aside as any other receiver's does. A no without a status and without a fault
of the network is tried `RetryPolicy.most_unexplained` times.
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
from brandpulse.errors import ConfigError
from brandpulse.schema.episodes import Notification, Severity

HANDED_OVER, TOO_MANY = 202, 429
_TYPES = {"critical": "failure", "error": "failure", "warning": "warning", "info": "info"}
_STATUS = re.compile(r"\berror=\s*(\d{3})\b|\bHTTP(?: error)?[ =:]+(\d{3})\b")
_NETWORK = re.compile(r"(?i)connection error|socket|timed? ?out|timeout|resolve|unreachable|refused")
_ADDRESS = re.compile(r"\S*://\S*")
AROUND_TITLE = 40
"""Tags and line ends around a title that is put before the body."""
LEAST_LIMIT, MOST_LIMIT = 1_500, 16_000
"""Less may not hold title, sentence, key and link: a service that takes less gets several messages."""
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


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
        self._style = style_of(self._apprise)
        self._limit = _limit_of(self._apprise)

    async def deliver(self, notification: Notification) -> SendResult:
        kind = "success" if notification.transition == "resolved" else _TYPES[notification.episode.severity]
        heading = title(notification, self._style)
        sending = asyncio.to_thread(
            self._apprise.notify,
            body=body(notification, self._style, most=self._limit - self._style.size(heading) - AROUND_TITLE),
            title=heading,
            notify_type=kind,
            # Without it a post's `<a href=...>` is a link in the chat, and `<3` is refused by Telegram.
            body_format="text",
        )
        try:
            done = await asyncio.wait_for(sending, 2 * self._timeout_seconds)
        except TimeoutError:
            return SendResult(None, f"apprise gave no answer within {2 * self._timeout_seconds:g} s")
        return SendResult(HANDED_OVER) if done else outcome_of(done)

    async def close(self) -> None:
        """apprise holds nothing open."""


def outcome_of(result: Any) -> SendResult:
    """What a no of apprise means: the service's status where that is final or asks to wait, else None."""
    said = list(_said(result))
    answer = "; ".join(said)[:500] or "apprise says that it was not sent"
    statuses = [int(found[1] or found[2]) for line in said for found in _STATUS.finditer(line)]
    if TOO_MANY in statuses:
        return SendResult(TOO_MANY, answer)
    if statuses and all(400 <= status < 500 and status not in (408, 425) for status in statuses):
        return SendResult(statuses[-1], answer)
    known = bool(statuses) or any(_NETWORK.search(line) for line in said)
    return SendResult(None, answer, unexplained=not known)


def _said(result: Any) -> Iterator[str]:
    """The warnings of the services that failed, without addresses: those hold passwords."""
    with contextlib.suppress(TypeError, AttributeError):  # an apprise before 2.2 answers with a bool
        for entry in result.logs():
            if entry.level in ("WARNING", "ERROR", "CRITICAL"):
                yield _ADDRESS.sub("[address]", entry.message)


def style_of(connected: Any) -> Style:
    """How the services of *connected* take foreign text. apprise escapes for HTML and Markdown; a client that reads
    markup into plain text (Discord, Mattermost) gets none to read."""
    targets = _targets(connected)
    if targets == {"html"}:
        return Style(post=_post_in_html, name=without_mentions, grown=_grown_in_html)
    return Style(post=_post, name=_name, grown=_grown_in_markdown if "markdown" in targets else _grown_in_text)


def _targets(connected: Any) -> set[str]:
    return {str(getattr(_format(one), "value", _format(one))) for one in connected.find()}


def _format(service: Any) -> Any:
    resolve = getattr(service, "resolve_format", None)
    return resolve("text") if resolve is not None else service.notify_format


def _limit_of(connected: Any) -> int:
    """How many UTF-16 units every service takes in one message, title included."""
    limits = [int(service.body_maxlen) for service in connected.find()]
    return min((limit for limit in limits if limit >= LEAST_LIMIT), default=MOST_LIMIT)


def _grown_in_html(text: str) -> str:
    return html.escape(_grown_in_text(text))


def _grown_in_markdown(text: str) -> str:
    return _PUNCTUATION.sub(r"\\\g<0>", _grown_in_text(text))


def _grown_in_text(text: str) -> str:
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
        raise ConfigError(f"receiver {name!r}: apprise does not know that URL; a right one: tgram://bot-token/chat-id")
    for service in connected.find():
        if service.body_maxlen < LEAST_LIMIT:
            # What is longer than a text message takes goes out in parts rather than not at all.
            service.overflow_mode = apprise.OverflowMode.SPLIT
    return connected


def _silence_logger() -> None:
    """Its log lines hold addresses with their passwords, so they go nowhere; it still returns those of a delivery."""
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
