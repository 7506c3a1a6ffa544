"""Alertmanager's API v2. Its alerts expire, so firing alerts are sent again until they are over.

Labels identify an alert: alertname (the rule), brand, severity, episode, and those of the receivers file. Each severity
is an alert of its own: when the severity rises, the lower alert ends and a higher one starts. Routes may use it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from pydantic import SecretStr

from alerting.notifications.delivery import SendResult
from alerting.notifications.links import link_for
from alerting.notifications.plain_text import (
    cut,
    one_line,
    without_links,
    without_mentions,
    without_styles,
    without_tags,
)
from alerting.notifications.receivers.http_post import post
from alerting.notifications.receivers.message_text import Style, body, in_short, subject
from alerting.notifications.receivers.receiver import ReceiverContext
from alerting.notifications.receivers.receiver_config import AlertmanagerConfig
from brandpulse.schema.episodes import SEVERITIES, Episode, Notification, Severity, Transition

SUMMARY_BRAND_CHARS = 50
MAX_DESCRIPTION_UNITS = 8_000
"""Alertmanager has no limit, but the services behind it do."""
ALIVE_FOR = 4
"""In intervals of `resend_seconds`: three resends in a row may fail."""


class Alertmanager:
    """One Alertmanager, or a cluster behind one address."""

    wants_every_update = True
    keeps_state = True

    def __init__(
        self,
        name: str,
        *,
        url: str,
        token: SecretStr | None,
        labels: Mapping[str, str],
        resend_seconds: float,
        min_severity: Severity,
        session: aiohttp.ClientSession,
        timeout_seconds: float,
        now: Callable[[], datetime],
        link: str | None = None,
    ) -> None:
        """*link*: the template of the settings, for resends. A notification has its own link."""
        self.name = name
        self.min_severity = min_severity
        self.resend_seconds = resend_seconds
        self._url = url.rstrip("/") + "/api/v2/alerts"
        self._headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._labels = labels
        self._session = session
        self._timeout_seconds = timeout_seconds
        self._now = now
        self._link = link

    @classmethod
    def from_config(
        cls, config: AlertmanagerConfig, secret: SecretStr | None, context: ReceiverContext
    ) -> "Alertmanager":
        return cls(
            config.name,
            url=str(config.url),
            token=secret,
            labels=config.labels,
            resend_seconds=config.resend_seconds,
            min_severity=config.min_severity,
            session=context.session,
            timeout_seconds=context.timeout_seconds,
            now=lambda: datetime.now(UTC),
            link=context.link,
        )

    async def deliver(self, notification: Notification) -> SendResult:
        found = alerts(notification, labels=self._labels, now=self._now(), alive_for=self._alive_for)
        return await self._post(found)

    async def resend(self, firing: Sequence[Episode]) -> SendResult:
        """Send the *firing* episodes again, with the same text."""
        now = self._now()
        found = [
            _alert(
                one,
                one.severity,
                labels=self._labels,
                now=now,
                ends_at=now + self._alive_for,
                link=link_for(self._link, one),
            )
            for one in firing
        ]
        return await self._post(found)

    async def _post(self, found: list[dict[str, Any]]) -> SendResult:
        body = json.dumps(found, ensure_ascii=False).encode()
        return await post(self._session, self._url, body, headers=self._headers, timeout_seconds=self._timeout_seconds)

    @property
    def _alive_for(self) -> timedelta:
        return timedelta(seconds=ALIVE_FOR * self.resend_seconds)

    async def close(self) -> None:
        """Nothing to close: the caller owns the session."""


def alerts(
    notification: Notification, *, labels: Mapping[str, str], now: datetime, alive_for: timedelta
) -> list[dict[str, Any]]:
    """*notification* as alerts: one of its severity, firing or ended, and the ends of the lower severities."""
    episode = notification.episode
    over = notification.transition == "resolved"
    below = SEVERITIES[: SEVERITIES.index(episode.severity)] if notification.transition != "triggered" else ()
    return [
        _alert(
            episode,
            severity,
            labels=labels,
            now=now,
            ends_at=now if over or severity != episode.severity else now + alive_for,
            link=notification.link,
        )
        for severity in (*below, episode.severity)
    ]


def _alert(
    episode: Episode,
    severity: Severity,
    *,
    labels: Mapping[str, str],
    now: datetime,
    ends_at: datetime,
    link: str | None,
) -> dict[str, Any]:
    annotations = {"summary": summary(episode), "description": description(episode, link), "link": link or ""}
    return {
        "labels": {
            **labels,
            "alertname": episode.rule,
            "brand": episode.brand,
            "severity": severity,
            "episode": episode.key,
        },
        "annotations": {name: text for name, text in annotations.items() if text},
        # Alertmanager rejects an alert that ends before it starts, and event time may be slightly ahead of this clock.
        "startsAt": min(episode.started_at, now - timedelta(seconds=1)).isoformat(),
        "endsAt": ends_at.isoformat(),
        **({"generatorURL": link} if link else {}),
    }


def summary(episode: Episode) -> str:
    """Brand, share and people within the first 130 characters, which a phone shows. Built from the episode alone, so
    that a resend has the same text."""
    name = STYLE.name(cut(one_line(subject(episode)), SUMMARY_BRAND_CHARS))
    rule, latest = episode.rule.replace("_", " "), episode.latest
    if episode.state == "resolved":
        return STYLE.name(one_line(f"{name} is over: {rule}. {latest.reason}"))
    return STYLE.name(one_line(f"{name}: {in_short(latest)} ({rule})"))


def description(episode: Episode, link: str | None) -> str:
    """The message body. Derived from the episode's state, because a resend has no transition."""
    transition: Transition = "resolved" if episode.state == "resolved" else "triggered"
    if transition == "triggered" and episode.acknowledged_at is not None:
        transition = "acknowledged"
    notification = Notification(id="", receiver="", transition=transition, episode=episode, link=link)
    return body(notification, STYLE, max_units=MAX_DESCRIPTION_UNITS)


def _post(text: str) -> str:
    return _name(without_links(text))


def _name(text: str) -> str:
    return without_styles(without_tags(without_mentions(text)))


STYLE = Style(post=_post, name=_name)
"""Annotations pass through the operator's templates into chats that interpret markup, so they contain none."""
