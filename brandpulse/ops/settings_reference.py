"""Writes docs/reference/settings.md from the settings classes: `python -m brandpulse.ops.settings_reference`."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from alerting.settings import AlerterSettings
from brandpulse.config.advanced import is_advanced
from brandpulse.config.settings import Settings, field_variables
from dashboards.settings import GrafanaSettings, PageSettings
from ingest.settings import IngestSettings
from model.serve.settings import ServeSettings
from model.settings import ModelSettings
from stream_workers.settings import WorkerSettings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
CLASSES: dict[str, type[BaseSettings]] = {
    "All commands": Settings,
    "`brandpulse worker`": WorkerSettings,
    "`brandpulse alerter`": AlerterSettings,
    "`brandpulse ingest run`": IngestSettings,
    "`brandpulse dashboards page`": PageSettings,
    "`brandpulse dashboards publish`": GrafanaSettings,
    "`brandpulse model serve`": ServeSettings,
    "Any command that loads a model": ModelSettings,
}
_HEAD = """# Settings

Every setting is an environment variable. An empty variable counts as unset. A wrong or misspelt one stops the command
with the variable's name and a right value. `python -m brandpulse.ops.settings_reference` writes this page.
"""
_UNITS = ("seconds", "minutes", "hours", "days", "bytes", "characters", "ms")


def render() -> str:
    """The page: settings that operators set first, advanced ones below."""
    parts = [_HEAD, "\n## Settings for operators\n", *_tables(advanced=False), "\n## Advanced settings\n"]
    return "".join([*parts, "\nThe defaults suit almost every installation.\n", *_tables(advanced=True)])


def _tables(*, advanced: bool) -> Iterator[str]:
    for heading, kind in CLASSES.items():
        descriptions = _descriptions(kind)
        rows = [
            f"| {_variables(kind, name)} | {_default(field)} | {_unit(name)} | {descriptions.get(name, '')} |"
            for name, field in kind.model_fields.items()
            if is_advanced(field) is advanced
        ]
        if rows:
            yield (
                f"\n### {heading}\n\n| Variable | Default | Unit | Meaning |\n|---|---|---|---|\n"
                + "\n".join(rows)
                + "\n"
            )


def _variables(kind: type[BaseSettings], name: str) -> str:
    """The variable of the field *name*, with its former names."""
    first, *former = (one for one in field_variables(kind, name) if one.startswith("BRANDPULSE_"))
    return f"`{first}`" + "".join(f" (formerly `{one}`)" for one in former)


def _unit(name: str) -> str:
    unit = name.rsplit("_", 1)[-1]
    return unit if unit in _UNITS else ""


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        example = field.examples[0] if field.examples else ""
        return f"`{example}`"
    value: Any = field.default
    if value is None:
        return "unset"
    if isinstance(value, SecretStr):
        return "a key for development"
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "empty"


def _descriptions(kind: type[BaseSettings]) -> dict[str, str]:
    """Field -> the string below it in the source, on one line."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if not issubclass(owner, BaseSettings) or owner is BaseSettings:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)  # noqa: S101 - the source of a class
        for field, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
