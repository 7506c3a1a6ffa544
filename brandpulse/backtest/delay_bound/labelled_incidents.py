"""Reads the known incidents of a recording, and finds which of them the episodes of a backtest detected."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from brandpulse.config.yaml_file import YamlFile, read_yaml
from brandpulse.errors import ConfigError

EXAMPLE = """{"incidents": [
  {"brand": "Acme Air", "kind": "step", "alert": true, "start": "2026-03-02T12:00Z", "end": "2026-03-02T15:00Z"}
]}
"""
EPISODE_EXAMPLE = """{"brand": "Acme Air", "fired_at": "2026-03-02T12:40:00Z"}"""
GRACE_MINUTES = 30
"""An episode that fires up to so long after an incident's end still counts as its detection."""


class Incident(BaseModel):
    """One incident of a brand, and whether it should be paged (`alert`)."""

    model_config = ConfigDict(frozen=True)

    brand: Annotated[str, Field(min_length=1)]
    kind: str = "incident"
    alert: bool
    start: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def _check_end(self) -> "Incident":
        if self.end <= self.start:
            raise ValueError(f"end {self.end.isoformat()} is not after start {self.start.isoformat()}")
        return self

    @property
    def first_minute(self) -> int:
        """Event-time minutes since 1970."""
        return int(self.start.timestamp() // 60)

    @property
    def end_minute(self) -> int:
        """The minute after the last one."""
        return max(int(-(-self.end.timestamp() // 60)), self.first_minute + 1)


class _IncidentFile(BaseModel):
    """Other keys are ignored."""

    incidents: Annotated[list[Incident], Field(min_length=1)]


def read_incidents(path: Path) -> list[Incident]:
    """The incidents of *path*, JSON. Raises ConfigError with file, line, field and value."""
    # Every JSON file is YAML, and the YAML reader knows line numbers.
    file = read_yaml(path, what="file of incidents", variable="--truth", example=EXAMPLE)
    try:
        return _IncidentFile.model_validate(file.content).incidents
    except ValidationError as error:
        raise ConfigError(
            f"the file of incidents is not valid:\n{file.explain(error)}\nA valid file:\n{EXAMPLE}"
        ) from error


class _EpisodeRow(BaseModel):
    """The fields of an episode that are needed here."""

    brand: str
    fired_at: AwareDatetime


def read_fired_times(path: Path) -> dict[str, list[datetime]]:
    """The times at which the episodes of *path* fired, by brand. *path*: JSON lines from `backtest posts`."""
    fired: dict[str, list[datetime]] = {}
    for line, row in json_rows(path, what="file of episodes"):
        try:
            one = _EpisodeRow.model_validate(row)
        except ValidationError as error:
            place = YamlFile(Path(f"{path}:{line}"), row, None)
            raise ConfigError(f"not an episode:\n{place.explain(error)}\nA valid line:\n{EPISODE_EXAMPLE}") from error
        fired.setdefault(one.brand, []).append(one.fired_at)
    return fired


def json_rows(path: Path, *, what: str) -> Iterator[tuple[int, Any]]:
    """Number and content of each line of *path* but blank ones. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the {what} {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{path}:{number} is not JSON: {error}") from error


def detection_delay(incident: Incident, fired: Mapping[str, Sequence[datetime]]) -> float | None:
    """Minutes from the start of *incident* to its first page; None if there is none."""
    after = [(at - incident.start).total_seconds() / 60 for at in fired.get(incident.brand, ())]
    lasted = (incident.end - incident.start).total_seconds() / 60
    return min((minutes for minutes in after if 0 <= minutes <= lasted + GRACE_MINUTES), default=None)
