"""Builds receivers from the receivers file. A new kind is one module, its config model, and one entry in the table."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiohttp
from pydantic import SecretStr

from alerting.notifications.receivers.alertmanager import Alertmanager
from alerting.notifications.receivers.apprise import Apprise
from alerting.notifications.receivers.email import Email
from alerting.notifications.receivers.kafka_topic import KafkaTopic
from alerting.notifications.receivers.pagerduty import PagerDuty
from alerting.notifications.receivers.receiver import Receiver, ReceiverContext
from alerting.notifications.receivers.receiver_config import (
    AlertmanagerConfig,
    AppriseConfig,
    CommonConfig,
    EmailConfig,
    PagerDutyConfig,
    ReceiverConfig,
    SlackConfig,
    WebhookConfig,
)
from alerting.notifications.receivers.receivers_file import secret_of
from alerting.notifications.receivers.slack import Slack
from alerting.notifications.receivers.webhook import Webhook

RECEIVER_KINDS: Mapping[type[CommonConfig], Callable[[Any, SecretStr | None, ReceiverContext], Receiver]] = {
    AlertmanagerConfig: Alertmanager.from_config,
    AppriseConfig: Apprise.from_config,
    EmailConfig: Email.from_config,
    PagerDutyConfig: PagerDuty.from_config,
    SlackConfig: Slack.from_config,
    WebhookConfig: Webhook.from_config,
}


def build_receivers(
    configs: Iterable[ReceiverConfig],
    *,
    topic: KafkaTopic | None,
    session: aiohttp.ClientSession,
    timeout_seconds: float,
    link: str | None = None,
) -> list[Receiver]:
    """One receiver for each of *configs*, after *topic*. Raises ConfigError if a secret is not set."""
    context = ReceiverContext(session, timeout_seconds, link)
    receivers: list[Receiver] = [] if topic is None else [topic]
    return receivers + [RECEIVER_KINDS[type(config)](config, secret_of(config), context) for config in configs]
