"""Secrets of sources: never in the file, always in an environment variable that the file names."""

import os
from typing import Annotated

from pydantic import Field, SecretStr

from brandpulse.errors import ConfigError

SecretName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{2,63}$", examples=["MASTODON_TOKEN"])]
"""Name of an environment variable."""


def secret(variable: str, *, source: str) -> SecretStr:
    """The secret in *variable*. Raises ConfigError that names the *source* and the variable."""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise ConfigError(
            f"source {source!r} needs its secret in the environment variable {variable}, which is not set"
        )
    return SecretStr(value)
