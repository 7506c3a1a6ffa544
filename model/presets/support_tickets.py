"""The preset `tickets`: sentiment, emotion, complaint and urgency of support tickets, from one pass."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.evaluation.urgency_evaluation import (
    evidence,
    intervals,
    marked_text,
    read_labelled_texts,
    split_halves,
    urgency_metrics,
)
from model.loader import load_scorer
from model.presets.preset import Preset, data_file
from model.presets.result_table import Row, rows_of, show_table
from model.report.evaluation_run import EvaluatedModel, evaluate_file
from model.spec.heads import EMOTIONS, SENTIMENT, TARGET
from model.urgency.rule import LEVELS, THRESHOLDS, levels_of, urgency

if TYPE_CHECKING:
    from model.evaluation.urgency_evaluation import LabelledText
    from model.inference.scorer import Scorer
    from model.spec.options import Task

_TASKS: "tuple[tuple[int, str, Task, dict[str, str]], ...]" = (
    (1, "complaint", "complaint", {"macro_f1": "macro F1", "average_precision": "average precision"}),
    (2, "emotion", "emotion", {"micro_f1": "micro F1", "macro_f1": "macro F1"}),
    (3, "sentiment", "sentiment", {"macro_recall": "macro recall", "accuracy": "accuracy"}),
)
"""Index of the data set in the preset, name of the task, task, and the displayed metrics."""


def run(chosen: Preset, data: Path, model: EvaluatedModel, *, json_out: Path | None = None) -> dict[str, Any]:
    """Evaluates *model* on each label; prints and returns the results, and the first tickets with all labels."""
    scorer = load_scorer(model.engine, model.weights, model.threads, precision=model.precision)
    _, judging = split_halves(read_labelled_texts())
    found = [*_urgency(scorer, judging, "posts and tickets")]
    found += _urgency(scorer, [row for row in judging if row.kind == "ticket"], "tickets")
    for place, what, task, figures in _TASKS:
        one = chosen.data[place]
        report = evaluate_file(model, data_file(data, one.files[-1]), task=task)[0].report
        found += rows_of(what, report, figures, data=one.name)
    examples = label_texts([row for row in judging if row.kind == "ticket"][:5], scorer)
    return show_table(chosen, found, json_out=json_out, examples=examples, engine=scorer.name, version=scorer.version)


def label_texts(rows: "Sequence[LabelledText]", scorer: "Scorer") -> list[dict[str, Any]]:
    """Each text with its sentiment (of the whole text and towards its target), emotion and urgency."""
    posts = [marked_text(row) for row in rows]
    scores = scorer.score(posts)
    levels = urgency(scores, posts)
    return [
        {
            "text": row.text,
            "target": row.target,
            "sentiment": SENTIMENT[int(scores.heads["sentiment"][at].argmax())],
            "target_sentiment": TARGET[int(scores.target[at].argmax())],
            "emotion": EMOTIONS[int(scores.heads["emotion"][at].argmax())],
            "urgency": LEVELS[levels[at]],
            "judged": LEVELS[row.level],
        }
        for at, row in enumerate(rows)
    ]


def _urgency(scorer: "Scorer", rows: "Sequence[LabelledText]", data: str) -> list[Row]:
    seen = evidence(scorer, rows)
    gold = np.array([row.level for row in rows], dtype=np.int64)
    said = levels_of(seen.concern, seen.alarm, THRESHOLDS)
    values, bounds = urgency_metrics(gold, said), intervals(gold, said)
    shown = {
        "precision_high": "precision of high",
        "recall_high": "recall of high",
        "expected_cost": "cost of a post in a stream",
    }
    return [
        Row(f"urgency, {data}", "judged texts", len(rows), name, values[key], (bounds[key][0], bounds[key][1]))
        for key, name in shown.items()
    ]
