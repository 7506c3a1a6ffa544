"""Checks of `brandpulse doctor` for the alerter: receivers, rules and the outbox."""

import socket
from collections import Counter

from alerting.notifications.plain_text import one_line
from alerting.notifications.receivers.receiver_config import ReceiverConfig
from alerting.notifications.receivers.receivers_file import load_receivers
from alerting.rules.loader import facet_names_of, load_rules
from alerting.rules.models import DEFAULT_RULES
from alerting.settings import AlerterSettings
from alerting.store.redis_store import RedisAlertStore
from brandpulse.config.settings import Settings, load_settings
from brandpulse.ops.doctor.finding import Finding
from brandpulse.redis.client import connect

CONNECT_SECONDS = 3.0


def check_receivers() -> list[Finding]:
    """Each receiver of the file, and whether it is reachable. Raises ConfigError for a wrong file or secret."""
    path = load_settings(AlerterSettings).receivers_file
    if path is None:
        return [
            Finding(
                "receivers",
                "none: alerts go only to the store, the alerts topic and the log",
                "set BRANDPULSE_RECEIVERS_FILE=./receivers.yaml to a file of receivers",
                warning=True,
            )
        ]
    return [_check_receiver(config) for config in load_receivers(path)]


def check_rules() -> list[Finding]:
    """The rules in force. Raises ConfigError for a wrong file."""
    settings = load_settings(AlerterSettings)
    if settings.rules_file is None:
        return [Finding("rules", f"{DEFAULT_RULES.rules[0].name} for every brand, sent to all receivers")]
    configs = [] if settings.receivers_file is None else load_receivers(settings.receivers_file)
    facets = facet_names_of(load_settings(Settings).brands_file)
    rules = load_rules(settings.rules_file, receivers={config.name for config in configs}, facets=facets)
    return [Finding("rules", f"{settings.rules_file}: {', '.join(rule.name for rule in rules.rules)}")]


def check_outbox() -> list[Finding]:
    """Notifications that a receiver refused for good, by receiver. Raises TransientError."""
    settings = load_settings(Settings)
    store = RedisAlertStore(connect(settings.redis_address(), timeout_seconds=5), settings.namespace)
    refused = store.quarantined()
    if not refused:
        return [Finding("outbox", "no notification was refused")]
    numbers = Counter(delivery.notification.receiver for delivery in refused)
    answers = {delivery.notification.receiver: delivery.answer for delivery in refused}
    return [
        Finding(
            "outbox",
            f"{name} refused {number} notifications; last answer: {one_line(answers[name])[:200]}",
            f"repair the receiver, then run `brandpulse outbox retry --all --receiver {name}`",
            warning=True,
        )
        for name, number in sorted(numbers.items())
    ]


def _check_receiver(config: ReceiverConfig) -> Finding:
    """Whether a server listens at the receiver's address; nothing is sent."""
    if config.address is None:
        return Finding("receivers", f"{config.name}: {config.kind}, from {config.min_severity} up")
    host, port = config.address
    observation = f"{config.name}: {config.kind} at {host}, from {config.min_severity} up"
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS):
            return Finding("receivers", observation)
    except OSError as error:
        # A warning: posts flow, and notifications wait in the outbox.
        remedy = f"no server answers there ({error}); check url, network and firewall. Alerts wait in the outbox"
        return Finding("receivers", observation, remedy, warning=True)
