"""Settings common to all services, and how a wrong one is told. Each service has its own class beside it.

Every setting is an environment variable; `.env` files are the shell's business.
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
"""Of the Apache Kafka that `brandpulse kafka fetch` downloads."""
TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Namespace = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def _jars() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "brandpulse" / f"apache-kafka-{KAFKA_VERSION}"


class Settings(KafkaAccess, RedisAccess):
    """Read by every command. Prefix `BRANDPULSE_`."""

    model_config = SettingsConfigDict(env_prefix="BRANDPULSE_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default=Path(".brandpulse"), examples=["./.brandpulse"])
    """Where `up` keeps data, logs and the addresses of what it started."""
    kafka_jars: Path = Field(
        default_factory=_jars, examples=["~/.cache/brandpulse/apache-kafka-4.3.0"], json_schema_extra=ADVANCED
    )
    """Where `brandpulse kafka fetch` puts Apache Kafka, and `up --broker kafka` finds it."""
    brands_file: Path = Field(default=Path("brands.yaml"), examples=["./brands.yaml"])
    namespace: Namespace = Field(default="main", examples=["main"])
    """Keeps two installations apart in one Redis."""
    posts_topic: TopicName = Field(default="posts", examples=["posts"])
    scored_topic: TopicName = Field(default="posts.scored", examples=["posts.scored"], json_schema_extra=ADVANCED)
    dlq_topic: TopicName = Field(default="posts.dlq", examples=["posts.dlq"], json_schema_extra=ADVANCED)
    alerts_topic: TopicName = Field(default="alerts", examples=["alerts"], json_schema_extra=ADVANCED)
    worker_group: str | None = Field(
        default=None, min_length=1, max_length=249, examples=["brandpulse-main-workers"], json_schema_extra=ADVANCED
    )
    """The workers' consumer group. Unset: brandpulse-<namespace>-workers. Two groups in one namespace count no post
    twice, but work against each other."""
    partitions: int = Field(default=4, ge=1, le=1024, examples=[4])
    """Of a topic that is missing and gets created. Never changed afterwards: ids would move."""
    replication_factor: int = Field(default=1, ge=1, le=15, examples=[3])
    author_key: SecretStr = Field(default=SecretStr("brandpulse-development-key"), examples=["32 random characters"])
    """Keys the hash under which author ids are stored. Change it and every author becomes somebody else."""
    metrics_token: SecretStr | None = Field(default=None, min_length=16, examples=["at least 16 random characters"])
    """Who shows it may read /metrics. Required where worker or alerter listen beyond loopback."""
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", examples=["INFO"])

    @property
    def consumer_group(self) -> str:
        """The workers' group in Kafka."""
        return self.worker_group or f"brandpulse-{self.namespace}-workers"

    def bootstrap_servers(self) -> str:
        """Kafka's address and how to be let in: the settings', else what `up` started. Raises ConfigError."""
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
)
"""Variables that begin like this belong to the settings of one service; all other ones of ours are common."""
_ALSO_COMMON = ("BRANDPULSE_RECEIVERS_FILE", "BRANDPULSE_RULES_FILE")
"""Of the alerter's settings, without the alerter's prefix."""
_ALIKE = 0.85
"""From this similarity on (difflib's ratio) an unknown variable is taken for a misspelt one."""


def variables_of(kind: type[BaseSettings]) -> set[str]:
    """Every environment variable that *kind* reads, in capitals."""
    prefix = kind.model_config.get("env_prefix", "")
    names = set()
    for name, field in kind.model_fields.items():
        choices = getattr(field.validation_alias, "choices", None)
        names |= {str(choice).upper() for choice in choices} if choices else {f"{prefix}{name}".upper()}
    return names


def misspelt(kind: type[BaseSettings], environment: Mapping[str, str]) -> dict[str, str]:
    """Variables in *environment* that nothing reads and that look like one of *kind* -> that one.

    A variable with a typing error would else be ignored, and the default would be used without a word.
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
    """*kind* from the environment. Raises ConfigError that names each wrong variable and shows a right value, and each
    that is misspelt."""
    if wrong := misspelt(kind, os.environ):
        raise ConfigError(
            "\n".join(f"{name} is no setting. Did you mean {right}?" for name, right in sorted(wrong.items()))
        )
    try:
        return kind()
    except ValidationError as error:
        raise ConfigError(_explain(kind, error)) from None


def _explain(kind: type[BaseSettings], error: ValidationError) -> str:
    prefix = kind.model_config.get("env_prefix", "")
    lines = []
    for problem in error.errors():
        if not problem["loc"]:  # of several fields together: the message names them
            lines.append(sentence(problem))
            continue
        name = str(problem["loc"][0])
        field = kind.model_fields.get(name)
        variable = f"{prefix}{name}".upper()
        example = field.examples[0] if field is not None and field.examples else None
        secret = field is not None and "SecretStr" in str(field.annotation)
        got = "" if secret or problem["type"] == "missing" else f", got {str(problem['input'])[:80]!r}"
        shown = "" if example is None else f". A right one: {variable}={example}"
        lines.append(f"{variable}: {sentence(problem)}{got}{shown}")
    return "\n".join(lines)
