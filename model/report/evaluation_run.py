"""`brandpulse model evaluate`: from the input files to the report files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brandpulse.errors import ConfigError
from brandpulse.text.normalization import normalize
from model.checkpoints.multi_head import read_heads_manifest
from model.checkpoints.weights_folder import kind_of
from model.checkpoints.whole_post import read_manifest
from model.data.gold_labels import GoldRows, read_gold
from model.evaluation.comparison import compare
from model.evaluation.evaluator import Evaluation, evaluate, write_report
from model.evaluation.model_answers import HeadSettings
from model.evaluation.predictions_file import (
    Predictions,
    load_predictions,
    predictions_of,
    predictions_path,
    save_predictions,
)
from model.evaluation.subset_metrics import subset_differences
from model.inputs.target_marking import find_target
from model.loader import load_scorer
from model.report.page import page
from model.spec.options import Engine, ExitPolicy, Precision, TargetWords, Task
from model.spec.weights import MULTI_HEAD

_MIN_ROWS_PER_BRAND = 5
"""On average; with fewer rows per target the targets may be aspects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedModel:
    """The model to evaluate, and how to run it."""

    weights: Path
    engine: Engine = "auto"
    precision: Precision = "auto"
    exit_policy: ExitPolicy = "full"
    threads: int | None = None


def evaluate_file(
    model: EvaluatedModel,
    data: Path,
    *,
    task: Task,
    labels: Sequence[str] | None = None,
    target_words: TargetWords = "auto",
    by: str = "",
    against: Path | None = None,
) -> tuple[Evaluation, Predictions]:
    """Evaluates *model* on the rows of *data*, and compares it with the answers of *against*, a report or weights.

    *by* names a field of the rows: each of its values is reported apart. Raises ConfigError that names file, line,
    field and value of unreadable data.
    """
    try:
        gold = read_gold(data, task, labels, by)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    keep_words = keeps_words(gold) if target_words == "auto" else target_words == "keep"
    evaluation, answers = _evaluate(model, gold, keep_words=keep_words)
    if against is None:
        return evaluation, answers
    try:
        other = _other_predictions(against, model, gold, keep_words=keep_words)
        found = compare(answers, other, net=gold.head == "sentiment")
        if by:
            found["by"] = subset_differences(answers.answers, other.answers, gold.subsets, answers.groups)
    except ValueError as error:
        raise ConfigError(f"--against {against}: {error}") from error
    return replace(evaluation, report=evaluation.report | {"against": found}), answers


def write_files(evaluation: Evaluation, answers: Predictions, out: Path, *, texts: bool) -> Path | None:
    """Writes the report to *out*, the answers and the page beside it. Returns the page's path, or None if its packages
    are missing. Without *texts* the page contains no posts. Raises ConfigError if *out* cannot be written.
    """
    place = out.with_suffix(".html")
    try:
        write_report(evaluation.report, out)
        save_predictions(answers, predictions_path(out))
        place.write_text(page(evaluation, texts=texts), encoding="utf-8")
    except ImportError:
        return None
    except OSError as error:
        raise ConfigError(f"--json {out}: {error}") from error
    return place


def keeps_words(gold: GoldRows) -> bool:
    """Whether the targets of *gold* are aspects, whose words have meaning, rather than brands.

    Files about brands repeat few targets, mostly capitalized or as handles; aspects are many and in lower case. (Rows
    per target and share with capitals: MAMS 2.6 and .07, laptops 1.4 and .20; SemEval's topics 100 and .95, Twitter
    celebrities 9 and 0.) Keeping words raised MAMS from .789 to .818 and changed SemEval's topics by .002.
    """
    targets = [target for target in gold.targets if target]
    if len(targets) >= _MIN_ROWS_PER_BRAND * len(set(targets)):
        return False
    mentions = [
        text[span[0] : span[1]]
        for text, target in zip((normalize(text, keep_handles=True) for text in gold.texts), gold.targets, strict=True)
        for span in find_target(text, target)[:1]
    ]
    proper = sum(mention[:1] in ("@", "#") or not mention.islower() for mention in mentions)
    return 2 * proper < len(mentions)


def head_settings(model: EvaluatedModel, head: str) -> HeadSettings:
    """The calibration of *head* in the manifest of *model*."""
    if model.engine in ("keyword", "null"):
        return HeadSettings()
    if kind_of(model.weights) == MULTI_HEAD:
        manifest = read_heads_manifest(model.weights)
        return HeadSettings(manifest.temperature(head), manifest.thresholds.get(head, {}))
    return HeadSettings(read_manifest(model.weights).temperature) if head == "sentiment" else HeadSettings()


def summary(report: dict[str, Any]) -> str:
    """One line for a terminal: the task's main metric with its interval, then the others."""
    main = _MAIN_METRIC[report["task"]]
    low, high = report["ci"][main]
    rest = [
        f"{_display_name(name)} {report[name]:.3f}"
        for name in _SUMMARY_METRICS
        if name != main and report.get(name) is not None
    ]
    return ", ".join([f"{report['n']} rows: {_display_name(main)} {report[main]:.3f} [{low:.3f}, {high:.3f}]", *rest])


_MAIN_METRIC: dict[Task, str] = {
    "sentiment": "macro_recall",
    "target_sentiment": "macro_recall",
    "emotion": "macro_f1",
    "complaint": "macro_f1",
    "crisis": "average_precision",
    "sarcasm": "f1",
}
"""The usual metric of each task."""

_SUMMARY_METRICS = (
    *("accuracy", "macro_recall", "macro_f1", "micro_f1", "f1", "average_precision", "macro_average_precision", "ece"),
    *("net_bias", "net_rmse_200", "swap_rate", "irrelevant_rate", "second_target_accuracy"),
    *("irrelevant_recall_at_precision_80", "irrelevant_called_negative"),
)


def _display_name(name: str) -> str:
    return name.replace("_", " ").replace("f1", "F1").replace("ece", "ECE")


def _evaluate(model: EvaluatedModel, gold: GoldRows, *, keep_words: bool) -> tuple[Evaluation, Predictions]:
    scorer = load_scorer(
        model.engine, model.weights, model.threads, precision=model.precision, exit_policy=model.exit_policy
    )
    evaluation = evaluate(scorer, gold, head_settings(model, gold.head), keep_words=keep_words)
    return evaluation, predictions_of(f"{scorer.name} {scorer.version}", gold, evaluation.answers)


def _other_predictions(against: Path, model: EvaluatedModel, gold: GoldRows, *, keep_words: bool) -> Predictions:
    if against.is_dir():
        return _evaluate(replace(model, weights=against), gold, keep_words=keep_words)[1]
    return load_predictions(predictions_path(against))
