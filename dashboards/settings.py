"""Settings of the live page and of publishing to Grafana."""

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from brandpulse.config.advanced import ADVANCED
from brandpulse.runtime.http_security import is_loopback

MIN_TOKEN_LENGTH = 16
MAX_NAME_LENGTH = 40


class PageSettings(BaseSettings):
    """Read by `brandpulse dashboards page`. Prefix `BRANDPULSE_PAGE_`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_PAGE_", frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    host: str = Field(default="127.0.0.1", min_length=1, examples=["127.0.0.1"])
    """Address on which the page listens."""
    port: int = Field(default=0, ge=0, le=65_535, examples=[8080])
    """Port of the page. 0: any free port, which is recorded under BRANDPULSE_HOME."""
    token: SecretStr | None = Field(
        default=None, min_length=MIN_TOKEN_LENGTH, examples=["at least 16 random characters"]
    )
    """Read-only token of the page. Required when other machines can reach `host`."""
    operator_tokens: SecretStr | None = Field(default=None, examples=["kim=16-or-more-characters,lee=another-one"])
    """Operators as `name=token`, separated by commas. They can read, acknowledge and silence; their names are
    recorded. If only `token` is set, the page is read-only. If neither is set, everyone on this machine can act."""
    max_open_pages: int = Field(default=500, ge=1, examples=[500], json_schema_extra=ADVANCED)
    """Maximum number of open event streams. Further pages get status 503."""

    @field_validator("token")
    @classmethod
    def _required_unless_loopback(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        host = info.data.get("host", "")
        if token is None and host and not is_loopback(host):
            raise ValueError(f"is required, because other machines can reach BRANDPULSE_PAGE_HOST={host}")
        return token

    @field_validator("operator_tokens")
    @classmethod
    def _names_and_tokens(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        pairs = [] if value is None else [_name_and_token(part) for part in value.get_secret_value().split(",")]
        read_only: SecretStr | None = info.data.get("token")
        names, tokens = [name for name, _ in pairs], [token for _, token in pairs]
        if read_only is not None:
            tokens.append(read_only.get_secret_value())
        if len(set(names)) < len(names):
            raise ValueError("names an operator twice")
        if len(set(tokens)) < len(tokens):
            raise ValueError(
                "repeats a token, or contains the one of BRANDPULSE_PAGE_TOKEN. Give each operator a different token"
            )
        return value

    def operators(self) -> dict[str, str]:
        """Name -> token of each operator."""
        tokens = self.operator_tokens
        return {} if tokens is None else dict(_name_and_token(part) for part in tokens.get_secret_value().split(","))


def _name_and_token(part: str) -> tuple[str, str]:
    name, separator, token = (piece.strip() for piece in part.partition("="))
    if not separator or not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise ValueError("must be name=token pairs, separated by commas; a name has 1 to 40 printable characters")
    if len(token) < MIN_TOKEN_LENGTH:
        raise ValueError(f"the token of {name!r} must have at least {MIN_TOKEN_LENGTH} characters")
    return name, token


class GrafanaSettings(BaseSettings):
    """Read by `brandpulse dashboards publish`. Prefix `BRANDPULSE_GRAFANA_`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_GRAFANA_", frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    url: str = Field(default="http://127.0.0.1:3000", pattern=r"^https?://", examples=["http://127.0.0.1:3000"])
    """Address of Grafana."""
    user: str | None = Field(default=None, examples=["admin"], json_schema_extra=ADVANCED)
    """User name, if `token` is a password."""
    token: SecretStr | None = Field(default=None, examples=["a service account token with the role Editor"])
    """Token of a service account with the role Editor, or the password of `user`."""
    folder: str = Field(default="brandpulse", min_length=1, examples=["brandpulse"], json_schema_extra=ADVANCED)
    """Folder of the dashboards in Grafana."""
    timeout_seconds: float = Field(default=10.0, gt=0, examples=[10.0], json_schema_extra=ADVANCED)
    """Time limit of a request to Grafana."""

    @field_validator("token")
    @classmethod
    def _required(cls, token: SecretStr | None) -> SecretStr:
        if token is None:
            raise ValueError("is required: Grafana rejects writes without one")
        return token
