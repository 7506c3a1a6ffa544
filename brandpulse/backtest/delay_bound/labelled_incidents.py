"""Known incidents of a recording: a file of truth, and which of its incidents a run of episodes told."""

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
"""An episode that fires so long after an incident's end still tells of it."""


class Incident(BaseModel):
    """What happened to one brand, and whether somebody had to be paged."""

    model_config = ConfigDict(frozen=True)

    brand: Annotated[str, Field(min_length=1)]
    kind: str = "incident"
    alert: bool
    start: AwareDatetime
    end: AwareDatetime

    @model_validator(mode="after")
    def _ends_after_it_began(self) -> "Incident":
        if self.end <= self.start:
            raise ValueError(f"end {self.end.isoformat()} is not after start {self.start.isoformat()}")
        return self

    @property
    def first_minute(self) -> int:
        """Event-time minutes since 1970; so is `end_minute`, which is not part of it."""
        return int(self.start.timestamp() // 60)

    @property
    def end_minute(self) -> int:
        return max(int(-(-self.end.timestamp() // 60)), self.first_minute + 1)


class _Truth(BaseModel):
    """The file. Other keys are somebody else's."""

    incidents: Annotated[list[Incident], Field(min_length=1)]


def read_incidents(path: Path) -> list[Incident]:
    """The incidents of *path*, JSON. Raises ConfigError that names file, line, field and value."""
    # JSON is YAML, and YAML knows its lines.
    file = read_yaml(path, what="file of incidents", variable="--truth", example=EXAMPLE)
    try:
        return _Truth.model_validate(file.content).incidents
    except ValidationError as error:
        raise ConfigError(f"the file of incidents is wrong:\n{file.explain(error)}\nA right one:\n{EXAMPLE}") from error


class _Fired(BaseModel):
    """The part of an episode that is needed here."""

    brand: str
    fired_at: AwareDatetime


def read_fired(path: Path) -> dict[str, list[datetime]]:
    """When the episodes of *path* (JSON lines, as `backtest posts` writes them) fired, by brand."""
    fired: dict[str, list[datetime]] = {}
    for line, row in json_rows(path, what="file of episodes"):
        try:
            one = _Fired.model_validate(row)
        except ValidationError as error:
            place = YamlFile(Path(f"{path}:{line}"), row, None)
            raise ConfigError(f"no episode:\n{place.explain(error)}\nA right line:\n{EPISODE_EXAMPLE}") from error
        fired.setdefault(one.brand, []).append(one.fired_at)
    return fired


def json_rows(path: Path, *, what: str) -> Iterator[tuple[int, Any]]:
    """Number and content of each line of *path* that is not blank. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the {what} {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{path}:{number} is no JSON: {error}") from error


def told_after(incident: Incident, fired: Mapping[str, Sequence[datetime]]) -> float | None:
    """Minutes from the start of *incident* to the first page about it; None if there was none."""
    after = [(at - incident.start).total_seconds() / 60 for at in fired.get(incident.brand, ())]
    lasted = (incident.end - incident.start).total_seconds() / 60
    return min((minutes for minutes in after if 0 <= minutes <= lasted + GRACE_MINUTES), default=None)
