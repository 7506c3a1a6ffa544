"""What `brandpulse doctor` asks of the alerter."""

from alerting.receivers.config import PagerDutyConfig, load_receivers
from alerting.settings import AlerterSettings
from brandpulse.settings import load_settings

Checked = tuple[str, str, str, bool]
"""Subject, what was seen, the remedy (empty when all is well), and whether it is only a warning."""


def check_receivers() -> list[Checked]:
    """Each receiver of the file. Raises ConfigError if the file, or a secret it names, is wrong."""
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
    return [
        (
            "receivers",
            f"{config.name}: {'PagerDuty' if isinstance(config, PagerDutyConfig) else 'webhook'} at {config.url.host}, "
            f"from {config.min_severity} up",
            "",
            False,
        )
        for config in load_receivers(path)
    ]
