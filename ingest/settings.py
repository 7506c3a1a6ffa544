"""Settings of `brandpulse ingest run`."""

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class IngestSettings(BaseSettings):
    """Prefix `BRANDPULSE_INGEST_`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_INGEST_", frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    sources_file: Path = Field(
        default=Path("sources.yaml"),
        validation_alias=AliasChoices("BRANDPULSE_SOURCES_FILE", "sources_file"),
        examples=["./sources.yaml"],
    )
    """YAML file of the live sources. It is read again when it changes; if it is wrong, the sources before go on."""
    host: str = Field(default="127.0.0.1", min_length=1, examples=["127.0.0.1"])
    """Address of the metrics and health port."""
    port: int = Field(default=0, ge=0, le=65_535, examples=[9_103])
    """Port of /metrics, /healthz and /readyz. 0: any free port, which is recorded under BRANDPULSE_HOME."""
