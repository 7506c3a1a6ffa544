"""Settings common to all services, and the errors of wrong ones. Each service has its own settings class.

Every setting is an environment variable. `.env` files are not read.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from brandpulse.config.advanced import ADVANCED
from brandpulse.config.kafka_settings import KafkaAccess
from brandpulse.config.redis_settings import RedisAccess
from brandpulse.config.validation import sentence
from brandpulse.errors import ConfigError
from brandpulse.kafka.address import KafkaServers
from brandpulse.redis.address import RedisAddress
from brandpulse.runtime.service_registry import read_addresses

KAFKA_VERSION = "4.3.0"
"""Version of Apache Kafka that `brandpulse kafka fetch` downloads."""
TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Namespace = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def _jars() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "brandpulse" / f"apache-kafka-{KAFKA_VERSION}"


class Settings(KafkaAccess, RedisAccess):
    """Read by every command. Prefix `BRANDPULSE_`."""

    model_config = SettingsConfigDict(env_prefix="BRANDPULSE_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default=Path(".brandpulse"), examples=["./.brandpulse"])
    """Folder for data, logs and the addresses of running services."""
    kafka_jars: Path = Field(
        default_factory=_jars, examples=["~/.cache/brandpulse/apache-kafka-4.3.0"], json_schema_extra=ADVANCED
    )
    """Folder of Apache Kafka: `brandpulse kafka fetch` writes it, `brandpulse up --broker kafka` reads it."""
    brands_file: Path = Field(default=Path("brands.yaml"), examples=["./brands.yaml"])
    """YAML file of the brands and facets."""
    namespace: Namespace = Field(default="main", examples=["main"])
    """Prefix of all keys in Redis. It separates installations that share one Redis."""
    posts_topic: TopicName = Field(default="posts", examples=["posts"])
    """Topic that workers read."""
    scored_topic: TopicName = Field(default="posts.scored", examples=["posts.scored"], json_schema_extra=ADVANCED)
    """Topic to which workers write scored posts."""
    dlq_topic: TopicName = Field(default="posts.dlq", examples=["posts.dlq"], json_schema_extra=ADVANCED)
    """Topic of dead letters."""
    alerts_topic: TopicName = Field(default="alerts", examples=["alerts"], json_schema_extra=ADVANCED)
    """Topic to which the alerter writes notifications."""
    worker_group: str | None = Field(
        default=None, min_length=1, max_length=249, examples=["brandpulse-main-workers"], json_schema_extra=ADVANCED
    )
    """Consumer group of the workers. Unset: brandpulse-<namespace>-workers. Two groups in one namespace count no
    post twice, but each undoes the other's progress."""
    partitions: int = Field(default=4, ge=1, le=1024, examples=[4])
    """Partitions of topics that brandpulse creates. Do not change them later: ids would move to other partitions."""
    replication_factor: int = Field(default=1, ge=1, le=15, examples=[3])
    """Replicas of topics that brandpulse creates."""
    author_key: SecretStr = Field(default=SecretStr("brandpulse-development-key"), examples=["32 random characters"])
    """Secret key of the hash under which author ids are stored. After a change every author counts as a new one."""
    former_author_keys: SecretStr | None = Field(default=None, examples=["the former key"], json_schema_extra=ADVANCED)
    """Author keys that were replaced, separated by commas: `brandpulse erase --author` also finds their hashes."""
    metrics_token: SecretStr | None = Field(default=None, min_length=16, examples=["at least 16 random characters"])
    """Token that /metrics of worker and alerter requires. Mandatory if they listen beyond loopback."""
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", examples=["INFO"])
    """Lowest level that is logged."""

    @property
    def consumer_group(self) -> str:
        """The workers' consumer group in Kafka."""
        return self.worker_group or f"brandpulse-{self.namespace}-workers"

    def author_keys(self) -> list[str]:
        """The author key in use, and the former ones."""
        former = self.former_author_keys.get_secret_value().split(",") if self.former_author_keys is not None else []
        return [self.author_key.get_secret_value(), *(key.strip() for key in former if key.strip())]

    def bootstrap_servers(self) -> str:
        """Kafka's address and login: from the settings, else of the broker that `up` started. Raises ConfigError."""
        if self.kafka_bootstrap_servers is not None:
            return KafkaServers(self.kafka_bootstrap_servers, self.kafka_client())
        return _started(self.home, "kafka_bootstrap_servers", "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092")

    def redis_address(self) -> str:
        """Redis's URL, password and all, for `redis.client.connect`: do not log it. Raises ConfigError."""
        if self.redis_url is not None:
            return RedisAddress(
                self.redis_url.get_secret_value(), self.redis_client_options(), self.redis_sentinel_options()
            )
        return _started(self.home, "redis_url", "BRANDPULSE_REDIS_URL=redis://127.0.0.1:6379/0")


def _started(home: Path, name: str, example: str) -> str:
    address = read_addresses(home).get(name)
    if not address:
        variable = example.split("=", 1)[0]
        raise ConfigError(
            f"{variable} is not set, and no stack of `brandpulse up` runs under {home.absolute()}. Run this command in "
            f"the folder where `up` runs, or set BRANDPULSE_HOME to the folder .brandpulse there. Without a running "
            f"stack, start one with `brandpulse up`, or name your own server, for example {example}"
        )
    return address


AnySettings = TypeVar("AnySettings", bound=BaseSettings)


SERVICE_PREFIXES = (
    "BRANDPULSE_WORKER_",
    "BRANDPULSE_ALERTER_",
    "BRANDPULSE_PAGE_",
    "BRANDPULSE_GRAFANA_",
    "BRANDPULSE_SERVE_",
    "BRANDPULSE_INGEST_",
)
"""Variables with these prefixes belong to one service; all others that begin with BRANDPULSE_ are common."""
_ALSO_COMMON = ("BRANDPULSE_RECEIVERS_FILE", "BRANDPULSE_RULES_FILE", "BRANDPULSE_SOURCES_FILE")
"""Settings of the alerter and of `ingest run` without their prefix."""
_ALIKE = 0.85
"""Smallest similarity (difflib's ratio) at which an unknown variable counts as misspelt."""


def variables_of(kind: type[BaseSettings]) -> set[str]:
    """Every environment variable that *kind* reads, in upper case."""
    return {variable for name in kind.model_fields for variable in field_variables(kind, name)}


def field_variables(kind: type[BaseSettings], name: str) -> list[str]:
    """The variables that set the field *name*, in upper case: the current name first, former ones after it."""
    choices = getattr(kind.model_fields[name].validation_alias, "choices", None)
    prefix = kind.model_config.get("env_prefix", "")
    return [str(choice).upper() for choice in choices] if choices else [f"{prefix}{name}".upper()]


def misspelt(kind: type[BaseSettings], environment: Mapping[str, str]) -> dict[str, str]:
    """Unknown variables of *environment* -> the variable of *kind* that each resembles.

    Otherwise a misspelt variable would be ignored and its default used silently.
    """
    prefix = str(kind.model_config.get("env_prefix", ""))
    known = variables_of(kind)
    if prefix not in SERVICE_PREFIXES:
        known |= set(_ALSO_COMMON)
    found = {}
    for name in environment:
        upper = name.upper()
        owned = next((other for other in SERVICE_PREFIXES if upper.startswith(other)), "BRANDPULSE_")
        if owned != prefix or not upper.startswith(prefix) or upper in known:
            continue
        for close in difflib.get_close_matches(upper, known, n=1, cutoff=_ALIKE):
            found[name] = close
    return found


def load_settings(kind: type[AnySettings]) -> AnySettings:
    """*kind* from the environment. Raises ConfigError with each wrong variable and a right value, and each misspelt
    one."""
    if wrong := misspelt(kind, os.environ):
        raise ConfigError(
            "\n".join(f"{name} is not a setting. Did you mean {right}?" for name, right in sorted(wrong.items()))
        )
    try:
        return kind()
    except ValidationError as error:
        raise ConfigError(_explain(kind, error)) from None


def _explain(kind: type[BaseSettings], error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        if not problem["loc"]:  # about several fields together: the message names them
            lines.append(sentence(problem))
            continue
        name = _field_at(kind, str(problem["loc"][0]))
        field = kind.model_fields[name]
        variables = field_variables(kind, name)
        given = {variable.upper() for variable in os.environ}
        variable = next((one for one in variables if one in given), variables[0])
        example = field.examples[0] if field.examples else None
        secret = "SecretStr" in str(field.annotation)
        got = "" if secret or problem["type"] == "missing" else f", got {str(problem['input'])[:80]!r}"
        shown = "" if example is None else f". For example: {variable}={example}"
        lines.append(f"{variable}: {sentence(problem)}{got}{shown}")
    return "\n".join(lines)


def _field_at(kind: type[BaseSettings], place: str) -> str:
    """The field that a validation error names by its own name or by one of its variables."""
    return next((name for name in kind.model_fields if place.upper() in field_variables(kind, name)), place)
