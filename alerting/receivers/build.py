"""From the receivers file to receivers."""

from collections.abc import Iterable

import aiohttp
from pydantic import SecretStr

from alerting.receivers.config import PagerDutyConfig, WebhookConfig, secret_of
from alerting.receivers.kafka import KafkaTopic
from alerting.receivers.pagerduty import PagerDuty
from alerting.receivers.receiver import Receiver
from alerting.receivers.webhook import Webhook


def build_receivers(
    configs: Iterable[PagerDutyConfig | WebhookConfig],
    *,
    topic: KafkaTopic | None,
    session: aiohttp.ClientSession,
    timeout_seconds: float,
) -> list[Receiver]:
    """One receiver for each of *configs*, and *topic*. Raises ConfigError when a secret is not set."""
    receivers: list[Receiver] = [] if topic is None else [topic]
    for config in configs:
        secret = secret_of(config)
        if isinstance(config, PagerDutyConfig):
            receivers.append(
                PagerDuty(
                    config.name,
                    url=str(config.url),
                    routing_key=secret or SecretStr(""),
                    min_severity=config.min_severity,
                    session=session,
                    timeout_seconds=timeout_seconds,
                )
            )
        else:
            receivers.append(
                Webhook(
                    config.name,
                    url=str(config.url),
                    secret=secret,
                    min_severity=config.min_severity,
                    session=session,
                    timeout_seconds=timeout_seconds,
                )
            )
    return receivers
