"""Definition of a preset: its data sets with their terms, and its training recipe."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from brandpulse.errors import ConfigError
from model.training.fit.recipe import Settings, read_recipe

RECIPES = Path(__file__).parent / "recipes"


class Data(Settings):
    """One data set of a preset."""

    name: str
    files: tuple[str, ...] = ()
    """Paths in the data folder or in one of its subfolders."""
    what: str
    terms: str
    publish: bool = False
    """Whether weights trained on it may be redistributed."""


class Preset(Settings):
    """A preset, read from its YAML file."""

    name: str
    title: str
    data: tuple[Data, ...] = Field(min_length=1)
    recipe: dict[str, Any] | None = None
    """Settings of the training run; None if the shipped weights are used unchanged."""
    notes: tuple[str, ...] = ()
    """Notes below the table."""


def preset(name: str) -> Preset:
    """The preset *name*. Raises ConfigError that lists the presets."""
    path = RECIPES / f"{name}.yaml"
    if not path.exists():
        raise ConfigError(f"Unknown preset {name!r}; the presets are {', '.join(one.name for one in presets())}.")
    return read_recipe(path, Preset)


def presets() -> Iterator[Preset]:
    """All presets, ordered by name."""
    for path in sorted(RECIPES.glob("*.yaml")):
        yield read_recipe(path, Preset)


def data_file(folder: Path, name: str) -> Path:
    """The file *name* in *folder* or in one of its subfolders. Raises ConfigError that names both."""
    for found in (folder / name, *sorted(folder.glob(f"*/{name}"))):
        if found.is_file():
            return found
    raise ConfigError(f"--data {folder}: {name} is neither there nor in a subfolder.")
