"""The models of the receivers file, one for each kind. Secrets come from environment variables."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, model_validator

from brandpulse.schema.episodes import Severity

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Address = Annotated[str, Field(pattern=r"^[^@\s,<>]+@[^@\s,<>]+$", max_length=254)]


class CommonConfig(BaseModel):
    """Fields of every receiver."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    min_severity: Severity = "info"

    @property
    def secret_variable(self) -> str | None:
        """Name of the environment variable that holds the secret."""
        return None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port for a connection check; None if the secret URL holds them."""
        return None


class UrlConfig(CommonConfig):
    url: HttpUrl

    @property
    def address(self) -> tuple[str, int] | None:
        return self.url.host or "", self.url.port or 443


class PagerDutyConfig(UrlConfig):
    """A PagerDuty service, or another service with the Events API v2."""

    kind: Literal["pagerduty"]
    url: HttpUrl = HttpUrl(PAGERDUTY_URL)
    routing_key: SecretStr | None = None
    routing_key_env: Variable | None = None
    """Name of the environment variable that holds the routing key, to keep it out of the file."""

    @model_validator(mode="after")
    def _has_one_key(self) -> "PagerDutyConfig":
        if (self.routing_key is None) == (self.routing_key_env is None):
            raise ValueError("needs exactly one of routing_key and routing_key_env")
        return self

    @property
    def secret_variable(self) -> str | None:
        return self.routing_key_env


class WebhookConfig(UrlConfig):
    """An HTTP endpoint that accepts notifications as JSON."""

    kind: Literal["webhook"]
    secret_env: Variable | None = None
    """Name of the environment variable that holds the key of the signature header. Without it, requests are
    unsigned."""

    @property
    def secret_variable(self) -> str | None:
        return self.secret_env


class AlertmanagerConfig(UrlConfig):
    """Prometheus Alertmanager, 0.22 or newer. *url* is its root, such as http://alertmanager:9093."""

    kind: Literal["alertmanager"]
    token_env: Variable | None = None
    """Name of the environment variable that holds a bearer token, for an Alertmanager behind a proxy."""
    labels: dict[Label, str] = Field(default={}, max_length=20)
    """Added to every alert, beside alertname, brand and severity."""
    resend_seconds: Annotated[float, Field(ge=1, le=3_600)] = 60.0
    """An alert that is not repeated for four intervals expires. Four intervals should stay below `resolve_timeout`."""

    @property
    def secret_variable(self) -> str | None:
        return self.token_env


class SlackConfig(CommonConfig):
    """An incoming webhook of Slack, Mattermost or Rocket.Chat. Its URL is the secret."""

    kind: Literal["slack"]
    url_env: Variable

    @property
    def secret_variable(self) -> str | None:
        return self.url_env


class EmailConfig(CommonConfig):
    """Email through an SMTP server."""

    kind: Literal["email"]
    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    sender: Address
    to: tuple[Address, ...] = Field(min_length=1, max_length=50)
    username: str | None = None
    password_env: Variable | None = None

    @model_validator(mode="after")
    def _has_both(self) -> "EmailConfig":
        if (self.username is None) != (self.password_env is None):
            raise ValueError("username and password_env go together")
        if self.username is not None and self.tls == "none":
            raise ValueError("would send the password unencrypted; valid example: tls: starttls")
        return self

    @property
    def secret_variable(self) -> str | None:
        return self.password_env

    @property
    def address(self) -> tuple[str, int] | None:
        return self.host, self.port


class AppriseConfig(CommonConfig):
    """Any service that apprise supports, by its URL: Telegram, Teams, Matrix, SMS, and others."""

    kind: Literal["apprise"]
    url_env: Variable

    @property
    def secret_variable(self) -> str | None:
        return self.url_env


ReceiverConfig = Annotated[
    PagerDutyConfig | WebhookConfig | AlertmanagerConfig | SlackConfig | EmailConfig | AppriseConfig,
    Field(discriminator="kind"),
]
