"""`brandpulse model split`: reads a data folder, and writes one with validation parts and their manifest."""

import gzip
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from brandpulse.errors import ConfigError
from brandpulse.version import VERSION
from model.data.labelled_posts import leak_key
from model.data.parts_manifest import (
    MANIFEST,
    FileFacts,
    PartsManifest,
    file_hash,
    read_parts_manifest,
    write_parts_manifest,
)
from model.data.training_examples import numbered_rows
from model.training.data.custom_file import custom_rows, table_rows
from model.training.fit.recipe import CustomFile
from model.training.parts.rule import SplitRule, SplitSet
from model.training.parts.split import SetRow, SplitRows, part_facts, part_keys, set_facts, set_row, split_rows

_TRAIN, _VALIDATION = ".train.jsonl.gz", ".val.jsonl.gz"


def split_folder(data: Path, out: Path, rule: SplitRule) -> PartsManifest:
    """Writes the sets of *data* to *out*, divided by *rule*, and returns the content of `parts.json`.

    Sets that the rule does not name are copied. Equal input gives files with equal bytes. The files of an earlier
    result in *out* are removed. Raises ConfigError for invalid input, and if *out* contains files but no earlier
    result.
    """
    earlier = _check_folders(data, out)
    read = {name: _read_set(data, name, names) for name, names in rule.sets.items()}
    found = split_rows(rule, read)
    keys = part_keys(found.parts)
    held_out: set[str] = set().union(*keys.values())
    _check_names(data, rule)
    out.mkdir(parents=True, exist_ok=True)
    for path in [path for path in out.iterdir() if path.name in earlier]:
        path.unlink()
    (out / MANIFEST).unlink(missing_ok=True)  # without it an interrupted folder is not taken for a complete one
    for name, rows in found.parts.items():
        _write(out / f"{name}{_VALIDATION}", (row.row for row in rows))
    copied = _write_training(data, out, rule, found, held_out)
    files = {path.name: _file_facts(path) for path in sorted(out.glob("*.jsonl.gz"))}
    return write_parts_manifest(
        out,
        rule=rule.model_dump(mode="json", exclude_defaults=True) | {"seed": rule.seed},
        version=VERSION,
        sets={name: set_facts(len(read[name]), rows, rule.sets[name]) for name, rows in found.training.items()},
        parts={part.name: part_facts(part, found.parts[part.name], rule.sets[part.of], keys) for part in rule.parts},
        other_sets=rule.other_sets,
        copies=rule.copies,
        copied_texts=copied,
        files=files,
    )


def _check_folders(data: Path, out: Path) -> set[str]:
    """Names of the files of an earlier result in *out*."""
    if out.resolve() == data.resolve():
        raise ConfigError(f"--out {out}: it is the folder of --data, whose files it would overwrite. Set another.")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: it is a file. Set a folder.")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).exists():
        raise ConfigError(f"--out {out}: it holds files but no {MANIFEST}. Set an empty folder, or one with parts.")
    # A part of an earlier rule would stay beside training files that hold its rows again.
    return set(read_parts_manifest(out).files) if (out / MANIFEST).exists() else set()


def _check_names(data: Path, rule: SplitRule) -> None:
    for part in rule.parts:
        if (data / f"{part.name}{_VALIDATION}").exists():
            raise ConfigError(f"parts.{part.name}: {data} already has {part.name}{_VALIDATION}. Set another name.")
    for name in rule.other_sets:
        if not (data / f"{name}{_VALIDATION}").exists():
            raise ConfigError(f"other_sets: {data / (name + _VALIDATION)} does not exist")


def _read_set(data: Path, name: str, names: SplitSet) -> list[SetRow]:
    path = data / (names.file or f"{name}{_TRAIN}")
    if names.file is None:
        try:
            return [set_row(row, row, f"{path}, line {line}", names) for line, row in numbered_rows(path)]
        except ValueError as error:
            raise ConfigError(f"--data {data}: {error}") from error
    own = CustomFile(file=names.file, text=names.text, target=names.target, labels=names.labels, values=names.values)
    given = dict(table_rows(path))
    return [
        set_row(given[line], _with_time(row, given[line], names), f"{path}, line {line}", names)
        for line, row in custom_rows(path, own)
    ]


def _with_time(row: dict[str, Any], given: dict[str, Any], names: SplitSet) -> dict[str, Any]:
    return row | {"ts": given[names.time]} if names.time and given.get(names.time) else row


def _write_training(data: Path, out: Path, rule: SplitRule, found: SplitRows, held_out: set[str]) -> dict[str, int]:
    """Writes or copies the files of all sets. Returns the training rows of each set whose text is in a part."""
    copied: dict[str, int] = {}
    own = {names.file for names in rule.sets.values()}
    for name, rows in found.training.items():
        kept = [row.row for row in rows if not _is_copy(row.row, held_out)]
        copied[name] = len(rows) - len(kept)
        if rows:  # A set that the parts took as a whole has no training file: a recipe that names it fails at once.
            _write(out / f"{name}{_TRAIN}", kept if rule.copies == "removed" else [row.row for row in rows])
    for path in sorted(data.glob("*.jsonl.gz")):
        name = path.name.removesuffix(_TRAIN)
        if name in found.training or path.name in own:
            continue
        if not path.name.endswith(_TRAIN):
            shutil.copyfile(path, out / path.name)
            continue
        try:
            given = [row for _, row in numbered_rows(path)]
        except ValueError as error:
            raise ConfigError(f"--data {data}: {error}") from error
        kept = [row for row in given if not _is_copy(row, held_out)]
        copied[name] = len(given) - len(kept)
        if copied[name] and rule.copies == "removed":
            _write(out / path.name, kept)
        else:
            shutil.copyfile(path, out / path.name)
    return copied


def _is_copy(row: Mapping[str, Any], held_out: set[str]) -> bool:
    return leak_key(row["text"]) in held_out


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    # No name and no time in the header: equal rows give equal bytes.
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass"))


def _file_facts(path: Path) -> FileFacts:
    with gzip.open(path, "rb") as lines:
        return FileFacts(rows=sum(1 for line in lines if line.strip()), sha256=file_hash(path))
