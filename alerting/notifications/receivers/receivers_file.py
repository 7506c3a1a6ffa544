"""The receivers file: where notifications go, and from which severity."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr, TypeAdapter, ValidationError

from alerting.notifications.receivers.receiver_config import PagerDutyConfig, ReceiverConfig
from brandpulse.config.yaml_file import read_yaml
from brandpulse.errors import ConfigError

VARIABLE = "BRANDPULSE_RECEIVERS_FILE"
KAFKA = "kafka"
"""Name of the built-in receiver: topic `alerts`."""

EXAMPLE = """receivers:
  - name: on-call
    kind: pagerduty
    routing_key_env: PAGERDUTY_ROUTING_KEY
    min_severity: error
  - name: chat
    kind: webhook
    url: https://example.org/hooks/brandpulse
    secret_env: CHAT_SECRET
"""

_RECEIVERS = TypeAdapter(list[ReceiverConfig])


def load_receivers(path: Path, environment: Mapping[str, str] = os.environ) -> list[ReceiverConfig]:
    """The receivers of the YAML file at *path*. Raises ConfigError: file, line, receiver, field and value."""
    read = read_yaml(path, what="receivers file", variable=VARIABLE, example=EXAMPLE)
    inside = isinstance(read.content, dict)
    entries = read.content.get("receivers") if inside else read.content

    def name(place: Sequence[str | int]) -> str:
        entry: Any = entries[place[0]] if place and isinstance(place[0], int) and isinstance(entries, list) else None
        return f" (receiver {entry.get('name')!r})" if isinstance(entry, dict) else ""

    try:
        receivers = _RECEIVERS.validate_python(entries)
    except ValidationError as error:
        problems = read.explain(error, name=name, under=("receivers",) if inside else ())
        raise ConfigError(f"the receivers file is invalid:\n{problems}\nA valid file:\n{EXAMPLE}") from None
    seen = {KAFKA}
    for receiver in receivers:
        if receiver.name in seen:
            raise ConfigError(f"the receivers file {path} is invalid:\n  two receivers have the name {receiver.name!r}")
        seen.add(receiver.name)
        _secret_of(receiver, environment, path)
    return receivers


def secret_of(receiver: ReceiverConfig, environment: Mapping[str, str] = os.environ) -> SecretStr | None:
    """The routing key, signing key, token, password or secret URL of *receiver*; None if it has none."""
    return _secret_of(receiver, environment, None)


def _secret_of(receiver: ReceiverConfig, environment: Mapping[str, str], path: Path | None) -> SecretStr | None:
    if isinstance(receiver, PagerDutyConfig) and receiver.routing_key is not None:
        return receiver.routing_key
    variable = receiver.secret_variable
    if variable is None:
        return None
    value = environment.get(variable)
    if not value:
        raise ConfigError(
            f"receiver {receiver.name!r}{f' of {path}' if path else ''} needs its secret in the environment variable "
            f"{variable}, which is not set"
        )
    return SecretStr(value)
