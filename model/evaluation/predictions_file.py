"""Stores a model's answers beside its report, for row-by-row comparison with another model."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from model.data.gold_labels import GoldRows, Kind
from model.evaluation.bootstrap_metrics import Groups, text_groups
from model.evaluation.model_answers import Answers


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answers of one model."""

    model: str
    """Name of its engine, and version."""
    rows: str
    """`rows_hash` of the evaluated rows."""
    groups: Groups
    """(n,): rows with the same number have the same text."""
    answers: Answers


def predictions_of(model: str, gold: GoldRows, answers: Answers) -> Predictions:
    """The answers of *model* to *gold*."""
    return Predictions(model, rows_hash(gold), text_groups(gold.texts), answers)


def rows_hash(gold: GoldRows) -> str:
    """Hash of texts, targets, labels and gold values."""
    content = [gold.texts, gold.targets, gold.labels, gold.values.tolist()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def predictions_path(report: Path) -> Path:
    """The file with the answers of *report*."""
    return report.with_name(f"{report.stem}.predictions.npz")


def save_predictions(predictions: Predictions, path: Path) -> None:
    """Writes arrays of numbers and strings only, without pickles."""
    answers = predictions.answers
    np.savez_compressed(
        path,
        model=np.array(predictions.model),
        rows=np.array(predictions.rows),
        kind=np.array(answers.kind),
        labels=np.array(answers.labels),
        groups=predictions.groups,
        gold=answers.gold.astype(np.int16),
        probabilities=answers.probabilities.astype(np.float32),
        predicted=answers.predicted.astype(np.int16),
    )


def load_predictions(path: Path) -> Predictions:
    """Raises ValueError that names *path* if it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            kind: Kind = str(stored["kind"])  # type: ignore[assignment]  # checked below
            answers = Answers(
                kind,
                tuple(map(str, stored["labels"])),
                stored["gold"].astype(np.int64),
                stored["probabilities"].astype(np.float64),
                stored["predicted"].astype(np.int64),
            )
            groups = stored["groups"].astype(np.int64)
            found = Predictions(str(stored["model"]), str(stored["rows"]), groups, answers)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a predictions file: {error}") from error
    shapes = {answers.gold.shape, answers.predicted.shape}
    lengths = {len(answers.gold), len(answers.probabilities), len(groups)}
    if kind not in get_args(Kind) or len(shapes) != 1 or len(lengths) != 1:
        raise ValueError(f"{path} is not a predictions file: kind {kind!r}, shapes {shapes}")
    return found
