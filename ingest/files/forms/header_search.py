"""Finds the line that names the columns, behind lines about the report."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SEARCHED_LINES = 20
_DELIMITERS = ",;\t|"
_MIN_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Header:
    """Where the header is."""

    line: int
    """From 0."""
    delimiter: str


def find_header(lines: Sequence[str], delimiter: str, is_header: Callable[[Sequence[str]], bool]) -> Header:
    """The header among the first *lines* of a text file (with their ends).

    The first line is the header unless a later one has the columns that *is_header* looks for, or unless the first
    lines have at most two cells, and a later one names at least four columns and is followed by a row as wide.
    *delimiter* is the one of the first line.
    """
    shown = lines[:SEARCHED_LINES]
    if not shown or is_header(_cells(lines, 0, delimiter)):
        return Header(0, delimiter)
    for line in range(len(shown)):
        for sign in _DELIMITERS:
            if sign in shown[line] and is_header(_cells(lines, line, sign)):
                return Header(line, sign)
    first = _cells(lines, 0, delimiter)
    second = _cells(lines, 1, delimiter)
    if sum(map(bool, first)) > 2 or len(first) == len(second) == 2:
        return Header(0, delimiter)
    for sign in _DELIMITERS:
        rows = [_cells(lines, line, sign) for line in range(len(shown))]
        if (found := first_wide_row(rows)) is not None:
            return Header(found, sign)
    return Header(0, delimiter)


def find_header_row(rows: Sequence[Sequence[str]], is_header: Callable[[Sequence[str]], bool]) -> int | None:
    """The same for the first rows of a sheet. None if no row looks like a header."""
    shown = rows[:SEARCHED_LINES]
    found = next((number for number, row in enumerate(shown) if is_header(row)), None)
    return first_wide_row(rows) if found is None else found


def first_wide_row(rows: Sequence[Sequence[str]]) -> int | None:
    """The first row that looks like a header: four names or more, all different, and as wide a row behind it.

    None if a row before it is already a table, or if there is none.
    """
    for number, row in enumerate(rows[:SEARCHED_LINES]):
        names = [cell.strip() for cell in row if cell.strip()]
        if len(names) < 3:
            continue
        following = next((other for other in rows[number + 1 :] if any(other)), None)
        is_wide = len(names) >= _MIN_COLUMNS and len(set(names)) == len(names) and not any(map(_is_number, names))
        return number if is_wide and following is not None and len(following) == len(row) else None
    return None


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace(",", "").isdigit()


def _cells(lines: Sequence[str], begin: int, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(lines[begin:], delimiter=delimiter), [])
    except csv.Error:
        return []
