"""A file's rows as one task asks about them: texts, targets, and the gold label of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from model.data.training_examples import numbered_rows, parse_bit, parse_emotions, parse_label
from model.spec.heads import EMOTIONS, MOODS, SENTIMENT, TARGET
from model.spec.options import Task

Kind = Literal["one", "bit", "many"]
"""One label of several; yes or no; any number of labels."""

BITS = ("0", "1")
"""The labels of a yes-or-no task."""


@dataclass(frozen=True, slots=True)
class GoldField:
    """Where a task's gold label stands in a row, and which answer of the model it is held against."""

    name: str
    head: str
    kind: Kind = "one"
    label: str = ""
    """Of a yes-or-no field: the head's label whose probability is judged."""
    yes: str | None = None
    """Of a yes-or-no field in words: the word that means yes. None: it holds 0 or 1."""


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
"""The fields in which a task's label may stand; the first one that the file's first row has is read in all rows."""


@dataclass(frozen=True, slots=True)
class GoldRows:
    """n labelled rows."""

    path: Path
    task: Task
    field: GoldField
    head: str
    labels: tuple[str, ...]
    """What is judged, in the head's order: the labels that occur as gold, or those asked for."""
    texts: tuple[str, ...]
    targets: tuple[str, ...]
    """Empty where the row names none."""
    lines: tuple[int, ...]
    values: npt.NDArray[np.int64]
    """(n,) columns of `labels`; for a field of many labels (n, labels) of 0 and 1."""
    left_out: int
    """Rows of the file with another label than those asked for."""


def read_gold(path: Path, task: Task, labels: Sequence[str] | None = None) -> GoldRows:
    """The rows of a `.jsonl` or `.jsonl.gz` file.

    *labels* restricts what is judged, in long or short form (`neg`): rows with another gold label are left out.
    Raises ValueError naming the file and, where one is at fault, line, field and value.
    """
    texts: list[str] = []
    targets: list[str] = []
    lines: list[int] = []
    found: list[frozenset[str]] = []
    field: GoldField | None = None
    for number, row in numbered_rows(path):
        field = field or _field_of(task, row)
        try:
            found.append(_labels(field, row))
            targets.append(_target(row) if task == "target_sentiment" else "")
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        texts.append(row["text"])
        lines.append(number)
    if field is None:
        raise ValueError(f"{path}: no labelled rows")
    judged = _evaluated_labels(field, found, labels)
    kept = [at for at, names in enumerate(found) if field.kind == "many" or names <= set(judged)]
    if not kept or not judged:
        raise ValueError(f"{path}: no row with a label among {', '.join(judged)}")
    return GoldRows(
        path=path,
        task=task,
        field=field,
        head="mood" if field.name == "emotion" and set(judged) <= set(MOODS) else field.head,
        labels=judged,
        texts=tuple(texts[at] for at in kept),
        targets=tuple(targets[at] for at in kept),
        lines=tuple(lines[at] for at in kept),
        values=_values(field.kind, [found[at] for at in kept], judged),
        left_out=len(found) - len(kept),
    )


def _field_of(task: Task, row: dict[str, Any]) -> GoldField:
    """The task's field that *row* has; its first one where it has none, so that the row's error names it."""
    return next((field for field in TASKS[task] if row.get(field.name) is not None), TASKS[task][0])


def _labels(field: GoldField, row: dict[str, Any]) -> frozenset[str]:
    value = row.get(field.name)
    if value is None:
        raise ValueError(f"{field.name}: missing; the row has {', '.join(row)}")
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
    """Raises ValueError for a label in *asked* that the task does not have, or fewer than two."""
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
