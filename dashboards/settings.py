"""Settings of the live page, and of publishing to Grafana."""

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from brandpulse.config.advanced import ADVANCED
from brandpulse.runtime.http_security import is_loopback

LEAST_TOKEN_CHARACTERS = 16
MOST_NAME_CHARACTERS = 40


class PageSettings(BaseSettings):
    """Read by `brandpulse dashboards page`. Prefix `BRANDPULSE_PAGE_`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_PAGE_", frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    host: str = Field(default="127.0.0.1", min_length=1, examples=["127.0.0.1"])
    port: int = Field(default=0, ge=0, le=65_535, examples=[8080])
    """0 takes any free port; `brandpulse.runtime.service_registry.running(home, "page")` tells which."""
    token: SecretStr | None = Field(
        default=None, min_length=LEAST_TOKEN_CHARACTERS, examples=["at least 16 random characters"]
    )
    """A request that shows it may read, and not act. Required when `host` is reachable from other machines."""
    operator_tokens: SecretStr | None = Field(default=None, examples=["kim=16-or-more-characters,lee=another-one"])
    """Operators who may read, acknowledge and silence: `name=token`, separated by commas. What one does is recorded
    under the name. Unset with `token` set: the page only shows. Both unset: everyone on this machine may act."""
    max_open_pages: int = Field(default=500, ge=1, examples=[500], json_schema_extra=ADVANCED)
    """Event streams held open at a time; further pages are told to come back later."""

    @field_validator("token")
    @classmethod
    def _guarded_when_reachable(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        host = info.data.get("host", "")
        if token is None and host and not is_loopback(host):
            raise ValueError(f"is required, because other machines can reach BRANDPULSE_PAGE_HOST={host}")
        return token

    @field_validator("operator_tokens")
    @classmethod
    def _names_and_tokens(cls, given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        found = [] if given is None else [_name_and_token(part) for part in given.get_secret_value().split(",")]
        viewing: SecretStr | None = info.data.get("token")
        names, tokens = [name for name, _ in found], [token for _, token in found]
        if viewing is not None:
            tokens.append(viewing.get_secret_value())
        if len(set(names)) < len(names):
            raise ValueError("names an operator twice")
        if len(set(tokens)) < len(tokens):
            raise ValueError("holds a token twice, or the one of BRANDPULSE_PAGE_TOKEN: each must be another")
        return given

    def operators(self) -> dict[str, str]:
        """Name -> token of each operator."""
        tokens = self.operator_tokens
        return {} if tokens is None else dict(_name_and_token(part) for part in tokens.get_secret_value().split(","))


def _name_and_token(part: str) -> tuple[str, str]:
    name, mark, token = (piece.strip() for piece in part.partition("="))
    if not mark or not name or len(name) > MOST_NAME_CHARACTERS or not name.isprintable():
        raise ValueError("must be name=token pairs, separated by commas; a name has 1 to 40 printable characters")
    if len(token) < LEAST_TOKEN_CHARACTERS:
        raise ValueError(f"the token of {name!r} must have at least {LEAST_TOKEN_CHARACTERS} characters")
    return name, token


class GrafanaSettings(BaseSettings):
    """Read by `brandpulse dashboards publish`. Prefix `BRANDPULSE_GRAFANA_`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_GRAFANA_", frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    url: str = Field(default="http://127.0.0.1:3000", pattern=r"^https?://", examples=["http://127.0.0.1:3000"])
    user: str | None = Field(default=None, examples=["admin"], json_schema_extra=ADVANCED)
    token: SecretStr | None = Field(default=None, examples=["a service account token with the role Editor"])
    """A service account's token; or, with `user` set, that user's password."""
    folder: str = Field(default="brandpulse", min_length=1, examples=["brandpulse"], json_schema_extra=ADVANCED)
    timeout_seconds: float = Field(default=10.0, gt=0, examples=[10.0], json_schema_extra=ADVANCED)

    @field_validator("token")
    @classmethod
    def _given(cls, token: SecretStr | None) -> SecretStr:
        if token is None:
            raise ValueError("is required: Grafana lets nobody write without one")
        return token
