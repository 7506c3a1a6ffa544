"""Settings of `brandpulse model serve`. Prefix `BRANDPULSE_SERVE_`."""

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from brandpulse.config.advanced import ADVANCED
from brandpulse.runtime.http_security import is_loopback
from model.spec.options import ExitPolicy


class ServeSettings(BaseSettings):
    """Read once, in `model/serve/run.py`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_SERVE_", frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    host: str = Field(default="127.0.0.1", min_length=1, examples=["127.0.0.1"])
    """Address on which the server listens."""
    port: int = Field(default=8080, ge=0, le=65_535, examples=[8080])
    """Port of the server. 0: any free port, which is recorded under BRANDPULSE_HOME."""
    token: SecretStr | None = Field(default=None, min_length=16, examples=["at least 16 random characters"])
    """Token that requests for scores must show. Mandatory if other machines can reach `host`."""

    max_batch_texts: int = Field(default=64, ge=1, le=4_096, examples=[64], json_schema_extra=ADVANCED)
    """Most texts, of several requests, that the model scores together."""
    max_batch_wait_seconds: float = Field(default=0.002, ge=0, le=1, examples=[0.002], json_schema_extra=ADVANCED)
    """How long a text waits for others while the model is idle. Adds directly to latency."""
    max_waiting_texts: int = Field(default=2_048, ge=1, le=1_000_000, examples=[2_048], json_schema_extra=ADVANCED)
    """Most texts that may wait. Further requests are refused with 503 and Retry-After. A text of 10,000 characters
    takes up to 40 kB."""

    tiers: ExitPolicy = Field(default="full", examples=["full"], json_schema_extra=ADVANCED)
    """early: half the layers score the texts whose sentiment is certain, twice as fast; other labels of those texts
    are worse."""
    overload_waiting_texts: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        # The second name is deprecated.
        validation_alias=AliasChoices(
            "BRANDPULSE_SERVE_OVERLOAD_WAITING_TEXTS", "BRANDPULSE_SERVE_HURRY_WAITING_TEXTS", "overload_waiting_texts"
        ),
        examples=[500],
        json_schema_extra=ADVANCED,
    )
    """When this many texts wait, low-confidence texts keep the early-exit prediction: faster, slightly less accurate.
    Their results have `degraded`, and brandpulse_posts_degraded_total counts them. Unset: never."""
    cached_texts: int = Field(default=50_000, ge=0, le=10_000_000, examples=[50_000], json_schema_extra=ADVANCED)
    """Texts whose scores are cached; about 500 bytes each."""

    max_body_bytes: int = Field(
        default=1_048_576, ge=64, le=67_108_864, examples=[1_048_576], json_schema_extra=ADVANCED
    )
    """Largest body of a request."""
    max_texts: int = Field(default=128, ge=1, le=10_000, examples=[128], json_schema_extra=ADVANCED)
    """Most texts of one request."""
    max_text_characters: int = Field(default=10_000, ge=1, le=1_000_000, examples=[10_000], json_schema_extra=ADVANCED)
    """Longest text; longer ones are refused. The model reads the beginning
    (`brandpulse.text.normalization.MAX_CHARACTERS`)."""
    max_targets: int = Field(default=16, ge=0, le=64, examples=[16], json_schema_extra=ADVANCED)
    """Most targets of one text."""
    max_target_characters: int = Field(default=120, ge=1, le=1_000, examples=[120], json_schema_extra=ADVANCED)
    """Longest target."""
    max_connections: int = Field(default=1_000, ge=1, le=100_000, examples=[1_000], json_schema_extra=ADVANCED)
    """Most open connections."""
    body_timeout_seconds: float = Field(default=20, gt=0, le=600, examples=[20], json_schema_extra=ADVANCED)
    """Time limit for a client to send its request's body."""

    drain_seconds: float = Field(default=2, ge=0, le=300, examples=[2], json_schema_extra=ADVANCED)
    """After SIGTERM `/readyz` answers 503 for this time before the port closes, so that a load balancer sends no
    more requests."""
    grace_seconds: int = Field(default=30, ge=1, le=3_600, examples=[30], json_schema_extra=ADVANCED)
    """Time limit for open requests after that."""

    @field_validator("token")
    @classmethod
    def _guarded_when_reachable(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        host = info.data.get("host", "")
        if token is None and host and not is_loopback(host):
            raise ValueError(f"is required, because other machines can reach BRANDPULSE_SERVE_HOST={host}")
        return token

    @field_validator("max_texts")
    @classmethod
    def _fits_the_queue(cls, texts: int, info: ValidationInfo) -> int:
        waiting = info.data.get("max_waiting_texts", texts)
        if texts > waiting:
            raise ValueError(
                f"is more than BRANDPULSE_SERVE_MAX_WAITING_TEXTS={waiting}: such a request could never be taken"
            )
        return texts
