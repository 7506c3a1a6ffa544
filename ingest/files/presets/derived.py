"""Columns that are computed from columns of the file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Refused:
    """Instead of a value: why the row is no post."""

    reason: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Derived:
    """A column that is computed row by row."""

    field: str
    """The post's field, for rejects."""
    columns: tuple[str, ...]
    """Columns of the file, in the order of *make*'s argument. A field inside an object has dots."""
    make: Callable[[Sequence[Any]], Any]
    """The cells of *columns* (MISSING if the row has none) to the value, or Refused."""
