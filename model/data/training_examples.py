"""Labelled posts from many sources in one form: a text, its marked targets, and all known labels."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brandpulse.config.validation import reason_of
from model.inputs.target_marking import MarkedText, mark, plain
from model.spec.heads import BY_NAME, EMOTIONS

LONG_LABELS = {"neg": "negative", "neu": "neutral", "pos": "positive", "irr": "irrelevant"}
"""Short labels of the data sets -> long labels."""

_BITS = {
    "complaint": ("risk", "complaint"),
    "disaster": ("risk", "crisis"),
    "irony": ("sarcasm", "sarcasm"),
    "sarcasm": ("sarcasm", "sarcasm"),
}


@dataclass(frozen=True, slots=True)
class Example:
    """One text and its labels. Heads without a label in `gold` are not trained on it."""

    marked: MarkedText
    gold: Mapping[str, tuple[float, ...] | int]
    """Head -> column of its label; for a head of kind `many` 1, 0 or -1 (unknown) for each label."""
    mentions: tuple[int, ...] = ()
    """For each target the column of its label in the head `target`, or -1."""


@dataclass(slots=True)
class _TextLabels:
    text: str
    gold: dict[str, tuple[float, ...] | int] = field(default_factory=dict)
    targets: dict[str, int] = field(default_factory=dict)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a `.jsonl` or `.jsonl.gz` file. Raises ValueError that names file and line."""
    return [row for _, row in numbered_rows(path)]


def numbered_rows(path: Path, *, text: bool = True) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each non-blank line. With *text*, each object must have one.

    Raises ValueError that names file and line.
    """
    for number, line in _numbered_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: not JSON: {error}") from error
        if not isinstance(row, dict) or (text and not isinstance(row.get("text"), str)):
            raise ValueError(
                f"{path}, line {number}: expected an object{' with a text' * text}, got {line.strip()[:80]!r}"
            )
        yield number, row


def labels_of(row: Mapping[str, Any]) -> dict[str, tuple[float, ...] | int]:
    """The labels of *row* for its whole post. Raises ValueError that names an unreadable field and value."""
    gold: dict[str, tuple[float, ...] | int] = {}
    if (label := row.get("sentiment")) is not None:
        gold["sentiment"] = _column("sentiment", "sentiment", label)
    if (label := row.get("emotion")) is not None:
        gold["mood"] = _column("mood", "emotion", label)
    if (names := row.get("emotions")) is not None:
        gold["emotion"] = tuple(float(emotion in parse_emotions(names)) for emotion in EMOTIONS)
    risk = list(gold.get("risk", (-1.0,) * len(BY_NAME["risk"].labels)))  # type: ignore[arg-type]
    for name, (head, label) in _BITS.items():
        if (value := row.get(name)) is None:
            continue
        if head == "risk":
            risk[BY_NAME["risk"].labels.index(label)] = float(parse_bit(name, value))
        else:
            gold[head] = (float(parse_bit(name, value)),)
    if (info := row.get("info")) is not None:
        risk[BY_NAME["risk"].labels.index("informative")] = float(info == "informative")
        if info == "unrelated":
            risk[BY_NAME["risk"].labels.index("crisis")] = 0.0
    if any(value >= 0 for value in risk):
        gold["risk"] = tuple(risk)
    return gold


def merge_by_text(rows: Iterable[Mapping[str, Any]], *, keep_words: bool = False) -> list[Example]:
    """*rows* as examples, one per distinct text: rows with the same text are merged.

    With *keep_words* the words of a target follow its marker (aspects).
    """
    by_text: dict[str, _TextLabels] = {}
    for row in rows:
        found = by_text.setdefault(row["text"], _TextLabels(row["text"]))
        found.gold.update(labels_of(row))
        if row.get("target") and row.get("target_sentiment"):
            found.targets[row["target"]] = _column("target", "target_sentiment", row["target_sentiment"])
    return [
        Example(
            mark(found.text, list(found.targets), keep_words=keep_words, addressed=True)
            if found.targets
            else plain(found.text),
            found.gold,
            tuple(found.targets.values()),
        )
        for found in by_text.values()
    ]


def parse_label(name: str, label: object, labels: Sequence[str]) -> str:
    """The label in the field *name*, in long form, one of *labels*. Raises ValueError that names field and value."""
    long = LONG_LABELS.get(label, label) if isinstance(label, str) else label
    if not isinstance(long, str) or long not in labels:
        raise ValueError(f"{name}: expected one of {', '.join(labels)}, got {label!r}")
    return long


def parse_bit(name: str, value: object) -> int:
    """0 or 1 from the field *name*. Raises ValueError that names field and value."""
    if not isinstance(value, int | float) or value not in (0, 1):
        raise ValueError(f"{name}: expected 0 or 1, got {value!r}")
    return int(value)


def parse_emotions(names: object) -> frozenset[str]:
    """The labels in the field `emotions`. Raises ValueError that names an unknown label."""
    if not isinstance(names, list):
        raise ValueError(f"emotions: expected a list of GoEmotions labels, got {names!r}")  # noqa: TRY004
    return frozenset(parse_label("emotions", name, EMOTIONS) for name in names)


def _column(head: str, name: str, label: object) -> int:
    labels = BY_NAME[head].labels
    return labels.index(parse_label(name, label, labels))


def _numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ValueError(f"{path}, line {number + 1}: cannot be read: {reason_of(error)}") from error
