"""The labelled rows of a file for one task: texts, targets, and the gold label of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from model.data.training_examples import numbered_rows, parse_bit, parse_emotions, parse_label
from model.spec.heads import EMOTIONS, MOODS, SENTIMENT, TARGET
from model.spec.options import Task

Kind = Literal["one", "bit", "many"]
"""`one`: one of several labels; `bit`: yes or no; `many`: any number of labels."""

BITS = ("0", "1")
"""The labels of a field of kind `bit`."""


@dataclass(frozen=True, slots=True)
class GoldField:
    """The field of a row that contains the gold label, and the head that predicts it."""

    name: str
    head: str
    kind: Kind = "one"
    label: str = ""
    """For kind `bit`: the head's label whose probability is evaluated."""
    yes: str | None = None
    """For kind `bit`: the value that means yes. None: the field contains 0 or 1."""


TASKS: dict[Task, tuple[GoldField, ...]] = {
    "sentiment": (GoldField("sentiment", "sentiment"),),
    "target_sentiment": (GoldField("target_sentiment", "target"),),
    "emotion": (GoldField("emotion", "emotion"), GoldField("emotions", "emotion", "many")),
    "complaint": (GoldField("complaint", "risk", "bit", "complaint"),),
    "crisis": (
        GoldField("disaster", "risk", "bit", "crisis"),
        GoldField("info", "risk", "bit", "informative", yes="informative"),
    ),
    "sarcasm": (GoldField("irony", "sarcasm", "bit", "sarcasm"), GoldField("sarcasm", "sarcasm", "bit", "sarcasm")),
}
"""Fields that may contain the label of a task; the first one in the file's first row is read in all rows."""


@dataclass(frozen=True, slots=True)
class GoldRows:
    """n labelled rows."""

    path: Path
    task: Task
    field: GoldField
    head: str
    labels: tuple[str, ...]
    """The evaluated labels, in the head's order: those in the file, or the requested ones."""
    texts: tuple[str, ...]
    targets: tuple[str, ...]
    """An empty string for rows without a target."""
    lines: tuple[int, ...]
    values: npt.NDArray[np.int64]
    """(n,) columns of `labels`; for kind `many` (n, labels) of 0 and 1."""
    left_out: int
    """Number of rows without a label, or with one that was not requested."""
    by: str = ""
    """The field that divides the rows into subsets; empty if none does."""
    subsets: tuple[str, ...] = ()
    """For each row its value of `by`."""

    def rows(self, chosen: Sequence[int]) -> "GoldRows":
        """Only the rows with the indexes *chosen*."""
        return replace(
            self,
            texts=tuple(self.texts[at] for at in chosen),
            targets=tuple(self.targets[at] for at in chosen),
            lines=tuple(self.lines[at] for at in chosen),
            values=self.values[list(chosen)],
            subsets=tuple(self.subsets[at] for at in chosen) if self.subsets else (),
        )


def read_gold(path: Path, task: Task, labels: Sequence[str] | None = None, by: str = "") -> GoldRows:
    """The rows of a `.jsonl` or `.jsonl.gz` file.

    *labels* restricts the evaluated labels, in long or short form (`neg`): rows with another gold label are left out,
    as are rows whose label is null. *by* names a field that divides the rows into subsets. Raises ValueError that
    names the file and, if a row is wrong, line, field and value.
    """
    texts: list[str] = []
    targets: list[str] = []
    lines: list[int] = []
    found: list[frozenset[str]] = []
    subsets: list[str] = []
    unlabelled = 0
    field: GoldField | None = None
    for number, row in numbered_rows(path):
        if _is_unlabelled(task, row):
            unlabelled += 1
            continue
        field = field or _field_of(task, row)
        try:
            if by:
                subsets.append(_subset(by, row))
            found.append(_labels(field, row))
            targets.append(_target(row) if task == "target_sentiment" else "")
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        texts.append(row["text"])
        lines.append(number)
    if field is None:
        raise ValueError(f"{path}: no labelled rows")
    evaluated = _evaluated_labels(field, found, labels)
    chosen = [at for at, names in enumerate(found) if field.kind == "many" or names <= set(evaluated)]
    if not chosen or not evaluated:
        raise ValueError(f"{path}: no row with a label among {', '.join(evaluated)}")
    return GoldRows(
        path=path,
        task=task,
        field=field,
        head="mood" if field.name == "emotion" and set(evaluated) <= set(MOODS) else field.head,
        labels=evaluated,
        texts=tuple(texts[at] for at in chosen),
        targets=tuple(targets[at] for at in chosen),
        lines=tuple(lines[at] for at in chosen),
        values=_values(field.kind, [found[at] for at in chosen], evaluated),
        left_out=unlabelled + len(found) - len(chosen),
        by=by,
        subsets=tuple(subsets[at] for at in chosen) if by else (),
    )


def _field_of(task: Task, row: dict[str, Any]) -> GoldField:
    """The first field of the task in *row*; if there is none, the task's first field, which the error then names."""
    return next((field for field in TASKS[task] if row.get(field.name) is not None), TASKS[task][0])


def _is_unlabelled(task: Task, row: dict[str, Any]) -> bool:
    """Whether *row* has fields of the task and all of them are null."""
    values = [row[field.name] for field in TASKS[task] if field.name in row]
    return bool(values) and all(value is None for value in values)


def _subset(by: str, row: dict[str, Any]) -> str:
    value = row.get(by)
    if not isinstance(value, str | int) or value == "":
        raise ValueError(f"{by}: expected a word or a number, got {value!r}; the row's fields are {', '.join(row)}")
    return str(value)


def _labels(field: GoldField, row: dict[str, Any]) -> frozenset[str]:
    value = row.get(field.name)
    if value is None:
        raise ValueError(f"{field.name}: missing; the row's fields are {', '.join(row)}")
    if field.kind == "many":
        return parse_emotions(value)
    if field.kind == "one":
        return frozenset({parse_label(field.name, value, _names(field))})
    if field.yes is None:
        return frozenset({BITS[parse_bit(field.name, value)]})
    if not isinstance(value, str):
        raise ValueError(f"{field.name}: expected a word, {field.yes!r} for yes, got {value!r}")  # noqa: TRY004
    return frozenset({BITS[value == field.yes]})


def _target(row: dict[str, Any]) -> str:
    target = row.get("target")
    if target is None:
        return ""
    if not isinstance(target, str):
        raise ValueError(f"target: expected a name, got {target!r}")  # noqa: TRY004
    return target.strip()


def _names(field: GoldField) -> tuple[str, ...]:
    return BITS if field.kind == "bit" else {"sentiment": SENTIMENT, "target": TARGET, "emotion": EMOTIONS}[field.head]


def _evaluated_labels(
    field: GoldField, found: Sequence[frozenset[str]], asked: Sequence[str] | None
) -> tuple[str, ...]:
    """Raises ValueError if *asked* contains an unknown label or fewer than two labels."""
    names = _names(field)
    if asked is not None:
        wanted = {parse_label("--labels", label, names) for label in asked}
    else:
        wanted = set(BITS) if field.kind == "bit" else set().union(*found)
    if asked is not None and len(wanted) < 2 and field.kind != "many":
        raise ValueError(f"--labels: expected at least two of {', '.join(names)}, got {','.join(asked)!r}")
    return tuple(name for name in names if name in wanted)


def _values(kind: Kind, found: Sequence[frozenset[str]], labels: tuple[str, ...]) -> npt.NDArray[np.int64]:
    if kind == "many":
        return np.array([[label in names for label in labels] for names in found], dtype=np.int64)
    column = {label: at for at, label in enumerate(labels)}
    return np.array([column[next(iter(names))] for names in found], dtype=np.int64)
