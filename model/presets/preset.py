"""What a preset is: its data with their terms, what is trained on them, and what is held against what."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from brandpulse.errors import ConfigError
from model.training.fit.recipe import Settings, read_recipe

RECIPES = Path(__file__).parent / "recipes"


class Data(Settings):
    """One data set that a preset reads."""

    name: str
    files: tuple[str, ...] = ()
    """Paths below the data folder, or below one of its own folders."""
    what: str
    terms: str
    publish: bool = False
    """Whether weights trained on it may be passed on."""


class Preset(Settings):
    """A preset as its YAML file gives it."""

    name: str
    title: str
    data: tuple[Data, ...] = Field(min_length=1)
    recipe: dict[str, Any] | None = None
    """Settings of the training run; none where the shipped weights answer as they are."""
    notes: tuple[str, ...] = ()
    """What a reader of the table must know."""


def preset(name: str) -> Preset:
    """The preset *name*. Raises ConfigError naming those there are."""
    path = RECIPES / f"{name}.yaml"
    if not path.exists():
        raise ConfigError(f"no preset {name!r}; there are {', '.join(one.name for one in presets())}")
    return read_recipe(path, Preset)


def presets() -> Iterator[Preset]:
    """All presets, by name."""
    for path in sorted(RECIPES.glob("*.yaml")):
        yield read_recipe(path, Preset)


def data_file(folder: Path, name: str) -> Path:
    """The file *name* in *folder* or in one of its own folders. Raises ConfigError naming both."""
    for found in (folder / name, *sorted(folder.glob(f"*/{name}"))):
        if found.is_file():
            return found
    raise ConfigError(f"--data {folder}: no {name} there, nor one folder below.")
