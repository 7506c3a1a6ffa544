"""From the receivers file to receivers."""

from collections.abc import Iterable
from datetime import UTC, datetime

import aiohttp
from pydantic import SecretStr

from alerting.notifications.receivers.alertmanager import Alertmanager
from alerting.notifications.receivers.apprise import Apprise
from alerting.notifications.receivers.email import Email
from alerting.notifications.receivers.kafka_topic import KafkaTopic
from alerting.notifications.receivers.pagerduty import PagerDuty
from alerting.notifications.receivers.receiver import Receiver
from alerting.notifications.receivers.receiver_config import (
    AlertmanagerConfig,
    AppriseConfig,
    EmailConfig,
    PagerDutyConfig,
    ReceiverConfig,
    SlackConfig,
)
from alerting.notifications.receivers.receivers_file import secret_of
from alerting.notifications.receivers.slack import Slack
from alerting.notifications.receivers.webhook import Webhook


def build_receivers(
    configs: Iterable[ReceiverConfig],
    *,
    topic: KafkaTopic | None,
    session: aiohttp.ClientSession,
    timeout_seconds: float,
    link: str | None = None,
) -> list[Receiver]:
    """One receiver for each of *configs*, and *topic*. Raises ConfigError when a secret is not set."""
    receivers: list[Receiver] = [] if topic is None else [topic]
    return receivers + [_build(config, session, timeout_seconds, link) for config in configs]


def _build(
    config: ReceiverConfig, session: aiohttp.ClientSession, timeout_seconds: float, link: str | None
) -> Receiver:
    name, least, secret = config.name, config.min_severity, secret_of(config)
    known = secret or SecretStr("")
    if isinstance(config, PagerDutyConfig):
        return PagerDuty(
            name,
            url=str(config.url),
            routing_key=known,
            min_severity=least,
            session=session,
            timeout_seconds=timeout_seconds,
        )
    if isinstance(config, AlertmanagerConfig):
        return Alertmanager(
            name,
            url=str(config.url),
            token=secret,
            labels=config.labels,
            resend_seconds=config.resend_seconds,
            min_severity=least,
            session=session,
            timeout_seconds=timeout_seconds,
            now=lambda: datetime.now(UTC),
            link=link,
        )
    if isinstance(config, SlackConfig):
        return Slack(name, url=known, min_severity=least, session=session, timeout_seconds=timeout_seconds)
    if isinstance(config, EmailConfig):
        return Email(
            name,
            host=config.host,
            port=config.port,
            tls=config.tls,
            sender=config.sender,
            to=config.to,
            username=config.username,
            password=secret,
            min_severity=least,
            timeout_seconds=timeout_seconds,
        )
    if isinstance(config, AppriseConfig):
        return Apprise(name, url=known, min_severity=least, timeout_seconds=timeout_seconds)
    return Webhook(
        name,
        url=str(config.url),
        secret=secret,
        min_severity=least,
        session=session,
        timeout_seconds=timeout_seconds,
    )
