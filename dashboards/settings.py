"""Settings of the live page, and of publishing to Grafana."""

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from brandpulse.exposure import is_loopback


class PageSettings(BaseSettings):
    """Read by `brandpulse dashboards page`. Prefix `BRANDPULSE_PAGE_`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_PAGE_", frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    host: str = Field(default="127.0.0.1", min_length=1, examples=["127.0.0.1"])
    port: int = Field(default=0, ge=0, le=65_535, examples=[8080])
    """0 takes any free port; `brandpulse.runtime.running(home, "page")` tells which."""
    token: SecretStr | None = Field(default=None, min_length=16, examples=["at least 16 random characters"])
    """Who shows it may read. Required when `host` is reachable from other machines."""
    max_open_pages: int = Field(default=500, ge=1, examples=[500])
    """Event streams held open at a time; further pages are told to come back later."""

    @field_validator("token")
    @classmethod
    def _guarded_when_reachable(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        host = info.data.get("host", "")
        if token is None and host and not is_loopback(host):
            raise ValueError(f"is required, because other machines can reach BRANDPULSE_PAGE_HOST={host}")
        return token


class GrafanaSettings(BaseSettings):
    """Read by `brandpulse dashboards publish`. Prefix `BRANDPULSE_GRAFANA_`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_GRAFANA_", frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    url: str = Field(default="http://127.0.0.1:3000", pattern=r"^https?://", examples=["http://127.0.0.1:3000"])
    user: str | None = Field(default=None, examples=["admin"])
    token: SecretStr | None = Field(default=None, examples=["a service account token with the role Editor"])
    """A service account's token; or, with `user` set, that user's password."""
    folder: str = Field(default="brandpulse", min_length=1, examples=["brandpulse"])
    timeout_seconds: float = Field(default=10.0, gt=0, examples=[10.0])

    @field_validator("token")
    @classmethod
    def _given(cls, token: SecretStr | None) -> SecretStr:
        if token is None:
            raise ValueError("is required: Grafana lets nobody write without one")
        return token
