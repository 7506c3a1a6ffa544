"""`parts.json`: what a folder with validation parts holds. Written by `brandpulse model split`."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from brandpulse.config.validation import reason_of
from brandpulse.errors import ConfigError

MANIFEST = "parts.json"

Kind = Literal["time", "topic", "post", "column", "all"]
"""How the rows of a part were chosen: newest period, topics, random posts, values of a column, or the whole set."""

_FORM = 1


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileFacts(_Entry):
    """One file of the folder."""

    rows: int
    sha256: str


class PartFacts(_Entry):
    """One validation part, `{name}.val.jsonl.gz`."""

    of: str
    """The set whose training file lost these rows."""
    kind: Kind
    use: Literal["choose", "report"]
    rows: int
    topics: int | None
    """Number of distinct topics; None if the set has no topic column."""
    first: str | None
    """Earliest time, as written in the rows; None if the set has no time column."""
    last: str | None
    labels: Mapping[str, int]
    """Label -> rows."""
    shared_texts: Mapping[str, int]
    """Other part -> rows of this part whose text is in that part too."""


class SetFacts(_Entry):
    """One training file that was split."""

    read: int
    kept: int
    topics: int | None
    """Number of distinct topics in the kept rows."""
    without_topic: int
    without_time: int


class PartsManifest(_Entry):
    """The content of `parts.json`."""

    form: int
    rule: Mapping[str, Any]
    """The settings of the rule: the same rule and data give the same rows."""
    version: str
    """Version of brandpulse that wrote the folder."""
    sets: Mapping[str, SetFacts]
    parts: Mapping[str, PartFacts]
    other_sets: tuple[str, ...]
    """Sets with their own validation file that are evaluated beside the parts."""
    copies: Literal["kept", "removed"]
    copied_texts: Mapping[str, int]
    """Training set -> rows whose text is in a part. `kept`: they are in the file, and `model train` drops them if the
    recipe names the parts in `held_out`; `removed`: they were left out of the file."""
    files: Mapping[str, FileFacts]


def write_parts_manifest(folder: Path, **facts: Any) -> PartsManifest:
    """Writes `parts.json` into *folder*; *facts* are the fields of `PartsManifest` but for `form`."""
    manifest = PartsManifest(form=_FORM, **facts)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def read_parts_manifest(folder: Path) -> PartsManifest:
    """Raises ConfigError if *folder* has no readable `parts.json`."""
    path = folder / MANIFEST
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(given, dict) and given.get("form") != _FORM:
            raise ConfigError(f"{path}: form {given.get('form')!r}, expected {_FORM}. Run `brandpulse model split`.")
        return PartsManifest.model_validate(given)
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} has no {MANIFEST}. Make the parts with `brandpulse model split`.") from error
    except (OSError, ValidationError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}. Run `brandpulse model split`.") from error


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
