"""Reads a sheet of an XLSX workbook once, into lines of JSON in a temporary file."""

import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec
import python_calamine

from ingest.files.forms.header_search import SEARCHED_LINES, find_header_row
from ingest.files.forms.opening import FormError

ZIP = b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MAX_UNPACKED_BYTES = 2**31
"""Size of the parts of a workbook. The library reads a sheet as a whole; 100 bytes a cell were measured."""
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: each line of *lines* is a row, a JSON array of texts."""

    columns: list[str]
    header_row: int
    """From 1, as the spreadsheet counts."""
    lines: IO[bytes]
    size_bytes: int
    note: str | None = None


def is_workbook(head: bytes) -> bool:
    return head.startswith((ZIP, OLE))


def read_sheet(path: Path, is_header: Callable[[Sequence[str]], bool]) -> Sheet:
    """The first sheet whose first rows have the columns that *is_header* looks for, else the first with rows.

    Raises FormError.
    """
    _check(path)
    try:
        with python_calamine.CalamineWorkbook.from_path(path) as book:
            return _read(book, is_header)
    except python_calamine.PasswordError:
        raise FormError(_PASSWORD) from None
    except (python_calamine.CalamineError, zipfile.BadZipFile) as error:
        raise FormError(f"is a damaged workbook: {error}; save it again as XLSX or CSV") from error


_PASSWORD = "is a workbook with a password; save it without the password, or as CSV"  # noqa: S105 - no password


def _check(path: Path) -> None:
    with path.open("rb") as raw:
        head = raw.read(2**16)
    if head.startswith(OLE):
        raw_end = path.read_bytes() if path.stat().st_size < 2**26 else head
        if "EncryptedPackage".encode("utf-16-le") in raw_end:
            raise FormError(_PASSWORD)
        raise FormError("is a workbook of the old kind (.xls) or another Office file; save it as XLSX or CSV")
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            unpacked = sum(part.file_size for part in archive.infolist())
    except zipfile.BadZipFile as error:
        raise FormError(f"is a cut or damaged workbook or zip archive: {error}") from error
    if not any(name.startswith("xl/") for name in names):
        inner = next((name for name in names if name.endswith(("tweets.js", ".csv", ".jsonl", ".json"))), None)
        raise FormError(f"is a zip archive; unpack it and give {inner or 'a file from inside'}")
    if unpacked > MAX_UNPACKED_BYTES:
        raise FormError(f"is a workbook of {unpacked / 2**30:.1f} GiB unpacked; save the sheet as CSV")


def _read(book: python_calamine.CalamineWorkbook, is_header: Callable[[Sequence[str]], bool]) -> Sheet:
    chosen, filled = None, None
    names = [sheet.name for sheet in book.sheets_metadata if sheet.typ == python_calamine.SheetTypeEnum.WorkSheet]
    for name in names:
        sheet = book.get_sheet_by_name(name)
        head = [row for _, row in islice(_rows(sheet), 2 * SEARCHED_LINES)]
        if not head:
            continue
        filled = filled or name
        if any(map(is_header, head[:SEARCHED_LINES])):
            chosen = name
            break
    chosen = chosen or filled
    if chosen is None:
        raise FormError("is a workbook without rows")
    note = None if len(names) == 1 else f"read from sheet {chosen!r}, one of {len(names)}"
    return _written(book.get_sheet_by_name(chosen), is_header, note)


def _written(
    sheet: python_calamine.CalamineSheet, is_header: Callable[[Sequence[str]], bool], note: str | None
) -> Sheet:
    rows = _rows(sheet)
    head = list(islice(rows, 2 * SEARCHED_LINES))
    found = find_header_row([row for _, row in head], is_header) or 0
    row_number, columns = head[found]
    # A sheet can be wider than its header.
    while columns and not columns[-1]:
        columns.pop()
    lines = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - the caller reads it several times
    encode = msgspec.json.Encoder().encode
    for part in (head[found + 1 :], rows):
        for number, row in part:
            lines.write(encode((number, row[: len(columns)])) + b"\n")
    return Sheet([name.strip() for name in columns], row_number, lines, lines.tell(), note)


def _rows(sheet: python_calamine.CalamineSheet) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, with their numbers from 1."""
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = list(map(_text, row))
        if any(cells):
            yield number, cells


def _text(cell: Any) -> str:
    """A cell as text. Numbers keep what a spreadsheet kept of them; an id such as 1.57E+17 stays recognisable."""
    match cell:
        case str():
            return cell
        case bool():
            return "true" if cell else "false"
        case float():
            return str(int(cell)) if cell.is_integer() and abs(cell) <= _EXACT else repr(cell)
        case datetime():
            # Days as floating-point numbers: exact to a millisecond.
            return (cell + timedelta(microseconds=500)).isoformat(timespec="milliseconds")
        case date() | time():
            return cell.isoformat()
        case _:
            return str(cell)
