"""The format of a file: from its name's ending, else from its first lines."""

from pathlib import Path
from typing import Literal

from ingest.files.forms.json_values import is_json_document
from ingest.files.forms.opening import FormError

Format = Literal["jsonl", "csv", "tsv", "json", "xlsx"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "tsv", "json", "xlsx")

_BY_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".ndjson": "jsonl",
    ".js": "json",
    ".xlsx": "xlsx",
}
_PACKED_SUFFIXES = {".gz": "gzip", ".zst": "zstd"}
PACKINGS = {"gzip": "gzip", "zstd": "Zstandard"}
"""Names of the packings for the user."""


def check_packing(path: Path, packing: str | None) -> None:
    """Raises FormError if the name promises another packing than the first bytes show."""
    expected = _PACKED_SUFFIXES.get(path.suffix.lower())
    if expected is not None and packing != expected:
        raise FormError(f"is not a {PACKINGS[expected]} file, although its name ends in {path.suffix.lower()}")


def text_format(path: Path, head: str, *, named: Format | None) -> Format:
    """The format of a file that is no workbook and starts with *head*; *named*: the user's choice. Raises FormError."""
    if named == "xlsx":
        raise FormError("is not an XLSX workbook; leave --format away, or save it again")
    found = named or _BY_SUFFIX.get(_plain_suffix(path)) or _sniff(head)
    if found == "xlsx":
        raise FormError("is not an XLSX workbook, although its name ends in .xlsx; give its true ending")
    return "json" if found == "jsonl" and is_json_document(head) else found


def usual_delimiter(head: str) -> str:
    """The delimiter that is most frequent in the first line."""
    header = head.lstrip("\r\n").split("\n", 1)[0]
    return max(",;\t|", key=header.count)


def _plain_suffix(path: Path) -> str:
    """The suffix before .gz or .zst, which gives the format."""
    name = path.name.lower()
    return Path(name.removesuffix(".gz").removesuffix(".zst")).suffix


def _sniff(head: str) -> Format:
    text = head.lstrip("\ufeff \t\r\n")
    if is_json_document(text):
        return "json"
    if text[:1] == "{":
        return "jsonl"
    first = text.split("\n", 1)[0]
    if "\t" in first:
        return "tsv"
    if any(character in first for character in ",;|"):
        return "csv"
    raise FormError("has no known format. Set it with --format jsonl, json, csv or tsv")
