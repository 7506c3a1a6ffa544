"""One row of a file, and a row that cannot become a post."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from brandpulse.errors import ConfigError

MISSING = msgspec.UNSET
"""What stands for a cell that the row does not have."""


class InputError(ConfigError):
    """The file, or what was said about it, is wrong; nothing more of it is sent."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot become a post, and why."""

    line: int
    field: str | None
    value: str
    reason: str
    last_line: int | None = None
    """Where the row ends, if that is another line."""
    cause: str = ""
    """The reason without what differs from row to row; empty: the reason itself."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """The wanted cells of one row, in the wanted order; *line* is where it begins, from 1."""

    line: int
    cells: Sequence[Any]
