"""One row of a file, and a row that cannot become a post."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from brandpulse.errors import ConfigError

MISSING = msgspec.UNSET
"""Placeholder for a cell that the row does not have."""


class InputError(ConfigError):
    """The file or an option is wrong. The rest of the file is not sent."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot become a post, with the reason."""

    line: int
    field: str | None
    value: str
    reason: str
    last_line: int | None = None
    """Last line of the row, if different."""
    cause: str = ""
    """The reason without details of the row, for counting; empty: the reason itself."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """The requested cells of one row, in the requested order; *line* is its first line, from 1."""

    line: int
    cells: Sequence[Any]
