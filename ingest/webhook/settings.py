"""The key `webhook` of the sources file: where the receiver listens, and who may send."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from brandpulse.config.yaml_file import YamlFile, read_yaml
from brandpulse.errors import ConfigError
from ingest.sources.sources_file import VARIABLE
from ingest.webhook.signatures import SenderKind, key_of

KEY = "webhook"
MIN_SECRET_CHARS = 16
EXAMPLE = """webhook:
  senders:
    - name: helpdesk
      kind: bearer                     # or standard-webhooks, github, stripe
      secret_env: HELPDESK_SECRET      # the environment variable that holds the secret
"""

Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class SenderSettings(BaseModel):
    """A program that may send posts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$", examples=["helpdesk"])]
    """Name in logs and metrics, and the `source` of its posts that name none."""
    kind: SenderKind
    """How its requests are verified."""
    secret_env: Annotated[
        tuple[Variable, ...],
        BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
        Field(min_length=1, max_length=2),
    ]
    """Name of the environment variable that holds the secret; a list of two while a secret is replaced."""
    posts_per_second: Annotated[float, Field(gt=0, le=100_000)] = 2_000
    """Most posts that it may send per second, with five seconds' worth at once."""


class WebhookSettings(BaseModel):
    """The receiver."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 9_104
    senders: Annotated[tuple[SenderSettings, ...], Field(min_length=1, max_length=32)]
    max_body_bytes: Annotated[int, Field(ge=1_024, le=16_777_216)] = 1_048_576
    max_posts: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """Of one request."""


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """The settings, and the secrets of each sender in the same order."""

    settings: WebhookSettings
    secrets: tuple[tuple[SecretStr, ...], ...]


def load_webhook(path: Path, environment: Mapping[str, str] = os.environ) -> WebhookConfig | None:
    """The receiver of the sources file at *path*; None if it has none. Raises ConfigError: line, key, value, sender."""
    read = read_yaml(path, what="sources file", variable=VARIABLE, example=EXAMPLE)
    if not isinstance(read.content, dict) or KEY not in read.content:
        return None
    content = read.content[KEY]
    if not isinstance(content, dict):
        raise _wrong(f"  {path}:{read.line_of((KEY,))}: {KEY}: must be fields with values, or delete it")

    def name(place: Sequence[str | int]) -> str:
        entry: Any = None
        senders = content.get("senders")
        if len(place) > 1 and isinstance(place[1], int) and isinstance(senders, list):
            entry = senders[place[1]]
        return f" (sender {entry.get('name')!r})" if isinstance(entry, dict) else ""

    try:
        settings = WebhookSettings.model_validate(content)
    except ValidationError as error:
        raise _wrong(read.explain(error, name=name, under=(KEY,))) from None
    return WebhookConfig(settings, _secrets(read, settings.senders, environment))


def _secrets(
    read: YamlFile, senders: Sequence[SenderSettings], environment: Mapping[str, str]
) -> tuple[tuple[SecretStr, ...], ...]:
    problems: list[str] = []
    owners: dict[bytes, str] = {}
    found: list[tuple[SecretStr, ...]] = []
    for number, sender in enumerate(senders):
        line = read.line_of((KEY, "senders", number))
        at = f"  {read.path}:{line}: sender {sender.name!r}"
        if sender.name in (one.name for one in senders[:number]):
            problems.append(f"{at}: another sender has this name")
        for variable in sender.secret_env:
            value = environment.get(variable, "")
            if (fault := _secret_fault(sender, value, owners)) is not None:
                problems.append(f"{at}: the environment variable {variable} {fault}")
        found.append(tuple(SecretStr(environment.get(variable, "")) for variable in sender.secret_env))
    if problems:
        raise _wrong("\n".join(problems))
    return tuple(found)


def _secret_fault(sender: SenderSettings, value: str, owners: dict[bytes, str]) -> str | None:
    """Why *value* cannot be a secret of *sender*; *owners*: key -> sender, filled."""
    if not value:
        return "is not set: it must hold the secret, for example from `openssl rand -hex 24`"
    if len(value) < MIN_SECRET_CHARS:
        return f"must hold at least {MIN_SECRET_CHARS} characters, for example from `openssl rand -hex 24`"
    try:
        key = key_of(sender.kind, value)
    except ValueError as error:
        return str(error)
    if owners.setdefault(key, sender.name) != sender.name:
        return f"holds the secret of sender {owners[key]!r}, too: each sender needs its own"
    return None


def _wrong(problems: str) -> ConfigError:
    return ConfigError(f"the webhook of the sources file is wrong:\n{problems}\nFor example:\n{EXAMPLE}")
