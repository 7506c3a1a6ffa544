"""The receivers file: who is told, where, and from which severity on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, TypeAdapter, ValidationError, model_validator

from brandpulse.episodes import Severity
from brandpulse.errors import ConfigError

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
KAFKA = "kafka"
"""Name of the receiver that is always there: topic `alerts`."""

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

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class PagerDutyConfig(BaseModel):
    """A service of PagerDuty, or of anything that speaks its Events API v2."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    kind: Literal["pagerduty"]
    url: HttpUrl = HttpUrl(PAGERDUTY_URL)
    routing_key: SecretStr | None = None
    routing_key_env: Variable | None = None
    """Name of the environment variable that holds the routing key: keeps it out of the file."""
    min_severity: Severity = "info"

    @model_validator(mode="after")
    def _has_one_key(self) -> "PagerDutyConfig":
        if (self.routing_key is None) == (self.routing_key_env is None):
            raise ValueError("needs one of routing_key and routing_key_env")
        return self


class WebhookConfig(BaseModel):
    """Any HTTP endpoint that takes our JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    kind: Literal["webhook"]
    url: HttpUrl
    secret_env: Variable | None = None
    """Name of the environment variable that holds the key of the signature header; without it nothing is signed."""
    min_severity: Severity = "info"


ReceiverConfig = Annotated[PagerDutyConfig | WebhookConfig, Field(discriminator="kind")]
_RECEIVERS = TypeAdapter(list[ReceiverConfig])


def load_receivers(path: Path, environment: Mapping[str, str] = os.environ) -> list[PagerDutyConfig | WebhookConfig]:
    """The receivers of the YAML file at *path*. Raises ConfigError that names file, receiver, field and value."""
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"cannot read the receivers file {path}: {reason}. "
            f"Name one with BRANDPULSE_RECEIVERS_FILE, for example:\n{EXAMPLE}"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"the receivers file {path} is not YAML: {error}\nA right one:\n{EXAMPLE}") from error
    entries = content.get("receivers") if isinstance(content, dict) else content
    try:
        receivers = _RECEIVERS.validate_python(entries)
    except ValidationError as error:
        raise ConfigError(
            f"the receivers file {path} is wrong:\n{_explain(error, entries)}\nA right one:\n{EXAMPLE}"
        ) from None
    seen = {KAFKA}
    for receiver in receivers:
        if receiver.name in seen:
            raise ConfigError(f"the receivers file {path} is wrong:\n  name {receiver.name!r} is taken already")
        seen.add(receiver.name)
        _secret_of(receiver, environment, path)
    return receivers


def secret_of(
    receiver: PagerDutyConfig | WebhookConfig, environment: Mapping[str, str] = os.environ
) -> SecretStr | None:
    """The routing key or signing key of *receiver*; None for an unsigned webhook."""
    return _secret_of(receiver, environment, None)


def _secret_of(
    receiver: PagerDutyConfig | WebhookConfig, environment: Mapping[str, str], path: Path | None
) -> SecretStr | None:
    if isinstance(receiver, PagerDutyConfig):
        if receiver.routing_key is not None:
            return receiver.routing_key
        variable = receiver.routing_key_env
    else:
        variable = receiver.secret_env
    if variable is None:
        return None
    value = environment.get(variable)
    if not value:
        raise ConfigError(
            f"receiver {receiver.name!r}{f' of {path}' if path else ''} wants its secret in the environment variable "
            f"{variable}, which is not set"
        )
    return SecretStr(value)


def _explain(error: ValidationError, entries: Any) -> str:
    lines = []
    for problem in error.errors():
        place = [part for part in problem["loc"] if part not in ("pagerduty", "webhook")]
        named = ""
        if place and isinstance(place[0], int) and isinstance(entries, list) and isinstance(entries[place[0]], dict):
            named = f" (receiver {entries[place[0]].get('name')!r})"
        where = ".".join(str(part) for part in place) or "the file"
        hidden = (
            problem["type"] == "missing" or "key" in where or "secret" in where or isinstance(problem["input"], dict)
        )
        value = "" if hidden else f", got {str(problem['input'])[:80]!r}"
        lines.append(f"  {where}{named}: {problem['msg'].removeprefix('Value error, ')}{value}")
    return "\n".join(lines)
