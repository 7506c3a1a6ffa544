"""What `brandpulse doctor` asks of the alerter."""

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
from brandpulse.redis.client import connect

Checked = tuple[str, str, str, bool]
"""Subject, what was seen, the remedy (empty when all is well), and whether it is only a warning."""


REACH_SECONDS = 3.0


def check_receivers() -> list[Checked]:
    """Each receiver of the file, and whether it can be reached. Raises ConfigError if file or secret is wrong."""
    path = load_settings(AlerterSettings).receivers_file
    if path is None:
        return [
            (
                "receivers",
                "none: alerts go to the store, topic alerts and the log only",
                "name a file with BRANDPULSE_RECEIVERS_FILE=./receivers.yaml",
                True,
            )
        ]
    return [_check(config) for config in load_receivers(path)]


def check_rules() -> list[Checked]:
    """The rules in force. Raises ConfigError if the file is wrong."""
    settings = load_settings(AlerterSettings)
    if settings.rules_file is None:
        return [("rules", f"{DEFAULT_RULES.rules[0].name} for every brand, told to everybody", "", False)]
    configs = [] if settings.receivers_file is None else load_receivers(settings.receivers_file)
    facets = facet_names_of(load_settings(Settings).brands_file)
    rules = load_rules(settings.rules_file, receivers={config.name for config in configs}, facets=facets)
    what = f"{settings.rules_file}: {', '.join(rule.name for rule in rules.rules)}"
    return [("rules", what, "", False)]


def check_outbox() -> list[Checked]:
    """What receivers refused for good, by receiver. Raises TransientError when the store cannot be reached."""
    settings = load_settings(Settings)
    store = RedisAlertStore(connect(settings.redis_address(), timeout_seconds=5), settings.namespace)
    aside = Counter(one.notification.receiver for one in store.quarantined())
    if not aside:
        return [("outbox", "no notification is set aside", "", False)]
    latest = {one.notification.receiver: one.answer for one in store.quarantined()}
    return [
        (
            "outbox",
            f"{number} notifications for {name} are set aside; last answer: {one_line(latest[name])[:200]}",
            f"mend the receiver, then `brandpulse outbox retry --all --receiver {name}`",
            True,
        )
        for name, number in sorted(aside.items())
    ]


def _check(config: ReceiverConfig) -> Checked:
    """Whether somebody listens at the receiver's address. Nothing is sent: a doctor pages nobody."""
    what = f"{config.name}: {config.kind}, from {config.min_severity} up"
    if config.place is None:
        return "receivers", what, "", False
    host, port = config.place
    what = f"{config.name}: {config.kind} at {host}, from {config.min_severity} up"
    try:
        with socket.create_connection((host, port), timeout=REACH_SECONDS):
            return "receivers", what, "", False
    except OSError as error:
        # Posts flow all the same, and notifications wait in the outbox: a warning.
        remedy = f"nobody answers there ({error}); check url, network and firewall. Alerts wait in the outbox"
        return "receivers", what, remedy, True
