"""What `brandpulse doctor` asks of the alerter."""

import socket

from alerting.receivers.config import load_receivers
from alerting.receivers.kinds import ReceiverConfig
from alerting.rules import DEFAULT_RULES, facets_in, load_rules
from alerting.settings import AlerterSettings
from brandpulse.settings import Settings, load_settings

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
    facets = facets_in(load_settings(Settings).brands_file)
    rules = load_rules(settings.rules_file, receivers={config.name for config in configs}, facets=facets)
    what = f"{settings.rules_file}: {', '.join(rule.name for rule in rules.rules)}"
    return [("rules", what, "", False)]


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
