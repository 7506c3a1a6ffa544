"""Recognises exports of known tools by their columns."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from brandpulse.schema.posts import MAX_ID_CHARS
from ingest.files.presets.derived import Derived, Refused

GONE = {
    "[deleted]": "was deleted by its author",
    "[removed]": "was removed by moderators",
    "[deleted by user]": "was deleted by its author",
    "[ removed by reddit ]": "was removed by Reddit",
}


@dataclass(frozen=True, slots=True)
class First:
    """A field's value: the first of *columns* that is not empty in the row."""

    columns: tuple[str, ...]
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    """A text in two parts. A title that the body repeats is left out."""

    titles: tuple[str, ...]
    bodies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preset:
    """The columns of one tool's export."""

    name: str
    title: str
    needs: tuple[tuple[str, ...], ...]
    """Of each group, the file has at least one column."""
    fields: Mapping[str, First | Joined]
    verified: bool = True
    """Whether the columns come from code or documentation, not from memory alone."""
    rare: tuple[str, ...] = ()
    """Columns that the first objects of a JSON file may not have, but later ones."""
    gone: str = ""
    """A column that is true if the post was deleted later."""
    constants: Mapping[str, str] | None = None
    """Fields that the export does not have."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A preset, applied to a file's columns."""

    preset: Preset
    columns: dict[str, str]
    """Field → column of the file, or derived column."""
    derived: dict[str, Derived]

    @property
    def line(self) -> str:
        """For the user: what was recognised, and the columns."""
        shown = ", ".join(f"{field}={column}" for field, column in self.columns.items())
        doubt = "" if self.preset.verified else " (not verified with real files: check the columns)"
        return f"read as {self.preset.title}{doubt}: {shown}. --map changes a column, --preset none turns this off"


def missing_columns(preset: Preset, columns: Sequence[str]) -> list[str]:
    """The columns that a file needs for *preset* and does not have."""
    known = set(map(_plain, columns))
    return [" or ".join(group) for group in preset.needs if not any(_plain(name) in known for name in group)]


def apply(preset: Preset, columns: Sequence[str], *, is_json: bool = False) -> Recognised:
    """The file's columns for the fields of *preset*; alternatives that the file does not have are left out."""
    by_name = {_plain(name): name for name in reversed([*columns, *(preset.rare if is_json else ())])}
    resolved: dict[str, str] = {}
    derived: dict[str, Derived] = {}
    for field, value in preset.fields.items():
        if isinstance(value, First):
            found = _existing(value.columns, by_name)
            titles: list[str] = []
        else:
            titles, found = _existing(value.titles, by_name), _existing(value.bodies, by_name)
        used = [*titles, *found]
        if not used:
            continue
        prefix = value.prefix if isinstance(value, First) else ""
        gone = by_name.get(_plain(preset.gone)) if preset.gone and field == "text" else None
        has_deleted_authors = bool(preset.gone) and field == "author_id" and "id" in by_name
        is_address = field == "id" and any(_plain(column) in ("url", "permalink") for column in used)
        if len(used) == 1 and not prefix and field != "text" and not is_address and not has_deleted_authors:
            resolved[field] = used[0]
            continue
        name = (" or ".join(titles) + " + " if titles else "") + " or ".join(found)
        name = f"{prefix}{name}" if prefix or len(used) > 1 else f"{name} ({field})"
        resolved[field] = name
        if field == "text":
            make, extra = _text_maker(len(titles), len(used)), [gone] if gone else []
        elif has_deleted_authors:
            make, extra = _author, [by_name["id"]]
        else:
            make, extra = _first_maker(prefix, shortened=field == "id"), []
        derived[name] = Derived(field, (*used, *extra), make)
    for field, constant in (preset.constants or {}).items():
        if field not in resolved:
            source = resolved["id"]
            resolved[field] = f"always {constant}"
            needed = derived[source].columns if source in derived else (source,)
            derived[resolved[field]] = Derived(field, needed, _constant_maker(constant))
    return Recognised(preset, resolved, derived)


def _existing(names: Sequence[str], by_name: Mapping[str, str]) -> list[str]:
    return [by_name[_plain(name)] for name in names if _plain(name) in by_name]


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _first(cells: Sequence[Any]) -> Any:
    """The first cell with a value; else the last one."""
    for cell in cells:
        if cell is not None and cell is not msgspec.UNSET and not (isinstance(cell, str) and not cell.strip()):
            return cell
    return cells[-1] if cells else None


def _first_maker(prefix: str, *, shortened: bool) -> Callable[[Sequence[Any]], Any]:
    def make(cells: Sequence[Any]) -> Any:
        found = _first(cells)
        if shortened and not prefix and isinstance(found, str) and len(found) > MAX_ID_CHARS:
            # An address can be longer than an id.
            return f"sha256:{hashlib.sha256(found.encode(errors='replace')).hexdigest()}"
        if not prefix or not isinstance(found, str | int) or not str(found).strip():
            return found
        return found if isinstance(found, str) and found.startswith(prefix) else f"{prefix}{found}"

    return make


def _author(cells: Sequence[Any]) -> Any:
    """The author. Authors who deleted their accounts are not one person: each of their posts has its own."""
    found = _first(cells[:-1])
    return f"deleted-{cells[-1]}" if found in ("[deleted]", "[removed]") else found


def _constant_maker(constant: str) -> Callable[[Sequence[Any]], Any]:
    return lambda _cells: constant


def _text_maker(titles: int, used: int) -> Callable[[Sequence[Any]], Any]:
    def make(cells: Sequence[Any]) -> Any:
        if any(cell is True for cell in cells[used:]):
            return Refused("was deleted later by its author or by moderators")
        title, body = _first(cells[:titles]), _first(cells[titles:used])
        for part in (body, title):
            if isinstance(part, str) and (reason := gone_reason(part)) is not None:
                return Refused(reason, part)
        return joined(title, body) if titles else body

    return make


def gone_reason(text: str) -> str | None:
    """Why *text* is no longer a post; None if it is one."""
    known = text.strip().casefold()
    if known.startswith("[ removed by reddit"):
        return GONE["[ removed by reddit ]"]
    return GONE.get(known) if known[:1] == "[" else None


def joined(title: Any, body: Any) -> Any:
    """Title and body, with an empty line between; the body alone if it repeats the title."""
    if not isinstance(title, str) or not title.strip():
        return body
    if not isinstance(body, str) or not body.strip():
        return title
    start = title.strip().rstrip("….").strip()
    # A cut title may end inside a word. "UPS" is not in "upset".
    end = "" if title.strip().endswith(("…", "...")) else r"(?!\w)"
    if re.search(rf"(?<!\w){re.escape(start.casefold())}{end}", body.casefold()):
        return body
    return f"{title.strip()}\n\n{body}"
