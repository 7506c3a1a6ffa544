"""The part of `Settings` about reaching Redis: its address, TLS, user."""

from typing import Any, Self

from pydantic import Field, FilePath, SecretStr, model_validator
from pydantic_settings import BaseSettings

from brandpulse.config.advanced import ADVANCED
from brandpulse.redis.address import parse_address, tls_options


class RedisAccess(BaseSettings):
    """Without a user and TLS, the defaults are for loopback only."""

    redis_url: SecretStr | None = Field(default=None, examples=["redis://127.0.0.1:6379/0"])
    """Address of Redis: one server, a cluster (redis+cluster://a:7000,b:7000), or the primary that Sentinels name
    (redis+sentinel://a:26379,b:26379/main); rediss for TLS. It may hold user and password and is never logged.
    Unset: the Redis that `brandpulse up` started under `BRANDPULSE_HOME`; the other Redis settings are then
    ignored."""
    redis_username: str | None = Field(default=None, min_length=1, examples=["brandpulse-worker"])
    """User name. Overrides the one in the address."""
    redis_password: SecretStr | None = Field(default=None, min_length=1, examples=["the user's password"])
    """Password. Overrides the one in the address."""
    redis_sentinel_password: SecretStr | None = Field(
        default=None, min_length=1, examples=["the Sentinels' password"], json_schema_extra=ADVANCED
    )
    """Password of the Sentinels, if they require one."""
    redis_ca_file: FilePath | None = Field(default=None, examples=["/etc/brandpulse/redis-ca.pem"])
    """PEM file of the CA that signed the server's certificate. Unset: the CAs that the system trusts."""
    redis_cert_file: FilePath | None = Field(
        default=None, examples=["/etc/brandpulse/redis-client.pem"], json_schema_extra=ADVANCED
    )
    """PEM file of the client certificate, if the server requires one."""
    redis_key_file: FilePath | None = Field(
        default=None, examples=["/etc/brandpulse/redis-client.key"], json_schema_extra=ADVANCED
    )
    """PEM file of the client certificate's key."""

    @model_validator(mode="after")
    def _fit_together_for_redis(self) -> Self:
        if (self.redis_cert_file is None) != (self.redis_key_file is None):
            raise ValueError(
                "BRANDPULSE_REDIS_CERT_FILE and BRANDPULSE_REDIS_KEY_FILE go together: set both or neither"
            )
        if self.redis_username is not None and self.redis_password is None:
            raise ValueError("BRANDPULSE_REDIS_USERNAME is set without BRANDPULSE_REDIS_PASSWORD")
        if self.redis_url is not None:
            tls = parse_address(self.redis_url.get_secret_value()).tls
            if not tls and (self.redis_ca_file or self.redis_cert_file):
                raise ValueError(
                    "BRANDPULSE_REDIS_CA_FILE and BRANDPULSE_REDIS_CERT_FILE have no effect while BRANDPULSE_REDIS_URL "
                    "begins with redis. Right: BRANDPULSE_REDIS_URL=rediss://redis.example:6379/0"
                )
        return self

    def redis_client_options(self) -> dict[str, Any]:
        """redis-py's names. Holds secrets: do not log it."""
        options: dict[str, Any] = dict(tls_options(self.redis_ca_file, self.redis_cert_file, self.redis_key_file))
        if self.redis_username is not None:
            options["username"] = self.redis_username
        if self.redis_password is not None:
            options["password"] = self.redis_password.get_secret_value()
        return options

    def redis_sentinel_options(self) -> dict[str, Any]:
        if self.redis_sentinel_password is None:
            return {}
        return {"password": self.redis_sentinel_password.get_secret_value()}
