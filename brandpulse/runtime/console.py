"""The one console of every command: it prints plain text, never markup, emoji codes or terminal codes.

Names, ids and posts come from files and strangers. A rule named `bank` between colons, a brand `acme [beta]` or a post
with an escape sequence is printed as written. Styles are arguments, or `Text` made by `styled`.
"""

import re
import sys
from collections.abc import Iterable
from typing import Any

import rich.console
from rich.table import Column
from rich.text import Text

PIPE_WIDTH = 200
"""Columns where no terminal sets the width: a pipe, a file."""
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """*text* with control and direction characters escaped (`\\x1b`); line breaks and tabs stay."""
    return _UNSHOWN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def styled(*parts: str | tuple[str, str]) -> Text:
    """One text of *parts*, each a string or a string with its style."""
    return Text.assemble(*(visible(one) if isinstance(one, str) else (visible(one[0]), one[1]) for one in parts))


def id_column(heading: str, ids: Iterable[str], *, width: int) -> Column:
    """A column of ids to copy: on one line if half the *width* holds the longest, else folded; never cut off."""
    longest = max((len(one) for one in ids), default=0)
    return Column(heading, no_wrap=longest <= width // 2, overflow="fold")


def echo(text: str, *, err: bool = False) -> None:
    """Print *text* unchanged, in one piece, to standard output or standard error."""
    print(visible(text), file=sys.stderr if err else sys.stdout)


class Console(rich.console.Console):
    """A console without markup, emoji codes and highlighting, whatever a caller prints."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"markup": False, "emoji": False, "highlight": False} | options))
        if options.get("width") is None and not self.is_terminal and "COLUMNS" not in self._environ:
            self.width = PIPE_WIDTH

    def render_str(self, text: str, **options: Any) -> Text:
        """The text of a print, a cell or a title, unchanged."""
        return super().render_str(visible(text), **(options | {"markup": False, "emoji": False}))
