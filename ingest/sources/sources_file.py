"""The sources file: which live sources are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from brandpulse.config.yaml_file import YamlFile, read_yaml
from brandpulse.errors import ConfigError
from ingest.sources.kinds import source_kinds
from ingest.sources.source import SourceSettings

VARIABLE = "BRANDPULSE_SOURCES_FILE"

OTHER_KEYS = frozenset({"webhook"})
"""Keys of the file that other packages read."""

EXAMPLE = """sources:
  - name: bluesky
    kind: bluesky
"""


def load_sources(path: Path) -> list[SourceSettings]:
    """The sources of the YAML file at *path*. Raises ConfigError: file, line, source, key, value, and a right file."""
    read = read_yaml(path, what="sources file", variable=VARIABLE, example=EXAMPLE)
    content = read.content
    keys = set(content) if isinstance(content, dict) else set()
    entries = content.get("sources", []) if keys & OTHER_KEYS else content.get("sources") if keys else None
    if not isinstance(entries, list) or keys - OTHER_KEYS - {"sources"}:
        raise ConfigError(
            f"the sources file {path} must hold the key `sources` with a list, the key `webhook`, or both. "
            f"For example:\n{EXAMPLE}"
        )
    problems: list[str] = []
    found: list[SourceSettings] = []
    for number, entry in enumerate(entries):
        settings, problem = _read(read, number, entry)
        problems += problem
        found += [settings] if settings is not None else []
    names = [settings.name for settings in found]
    problems += [
        f"  {path}: two sources have the name {name!r}" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if problems:
        raise ConfigError("the sources file is wrong:\n" + "\n".join(problems) + f"\nFor example:\n{EXAMPLE}")
    return found


def _read(read: YamlFile, number: int, entry: Any) -> tuple[SourceSettings | None, list[str]]:
    place: Sequence[str | int] = ("sources", number)
    line = read.line_of(place)
    at = f"  {read.path}:{line}" if line else f"  {read.path}"
    if not isinstance(entry, dict):
        return None, [f"{at}: sources.{number}: expected `name` and `kind`, got {entry!r}"]
    kinds = source_kinds()
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        return None, [f"{at}: sources.{number}.kind: expected one of {', '.join(sorted(kinds))}, got {kind!r}"]
    try:
        return kinds[kind].settings.model_validate(entry), []
    except ValidationError as error:
        return None, [read.explain(error, name=lambda _: f" (source {entry.get('name')!r})", under=place)]
