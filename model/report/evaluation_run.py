"""`brandpulse model evaluate`, from the files it reads to the files it writes."""

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
from model.inputs.target_marking import find_target
from model.loader import load_scorer
from model.report.page import page
from model.spec.options import Engine, ExitPolicy, Precision, TargetWords, Task
from model.spec.weights import MULTI_HEAD

_MIN_ROWS_PER_BRAND = 5
"""On average; a file with fewer rows a target may be about aspects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedModel:
    """The model that is judged."""

    weights: Path
    engine: Engine = "auto"
    precision: Precision = "auto"
    exit_policy: ExitPolicy = "full"
    threads: int | None = None


def evaluate_file(
    subject: EvaluatedModel,
    data: Path,
    *,
    task: Task,
    labels: Sequence[str] | None = None,
    target_words: TargetWords = "auto",
    against: Path | None = None,
) -> tuple[Evaluation, Predictions]:
    """Evaluates *subject* on the rows of *data*, and holds it against another report's or other weights' answers.

    Raises ConfigError that names what cannot be read: file, line, field and value.
    """
    try:
        gold = read_gold(data, task, labels)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    keep_words = keeps_words(gold) if target_words == "auto" else target_words == "keep"
    evaluation, answers = _evaluate(subject, gold, keep_words=keep_words)
    if against is None:
        return evaluation, answers
    try:
        other = _other_predictions(against, subject, gold, keep_words=keep_words)
        found = compare(answers, other, net=gold.head == "sentiment")
    except ValueError as error:
        raise ConfigError(f"--against {against}: {error}") from error
    return replace(evaluation, report=evaluation.report | {"against": found}), answers


def write_files(evaluation: Evaluation, answers: Predictions, out: Path, *, texts: bool) -> Path | None:
    """Writes the report to *out*, the answers and the page beside it; returns the page, None without its packages.

    Without *texts* no post stands in the page. Raises ConfigError when *out* cannot be written.
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
    """Whether the targets of *gold* are aspects, whose words mean something, rather than brands, as the service marks.

    A file about brands names few of them again and again, mostly in capitals or as handles; aspects are many and small.
    (Rows a target and share with capitals: MAMS 2.6 and .07, laptops 1.4 and .20; SemEval's topics 100 and .95,
    Twitter celebrities 9 and 0.) Kept words raised MAMS from .789 to .818, and changed SemEval's topics by .002.
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


def head_settings(subject: EvaluatedModel, head: str) -> HeadSettings:
    """What the manifest of *subject* says of *head*."""
    if subject.engine in ("keyword", "null"):
        return HeadSettings()
    if kind_of(subject.weights) == MULTI_HEAD:
        manifest = read_heads_manifest(subject.weights)
        return HeadSettings(manifest.temperature(head), manifest.thresholds.get(head, {}))
    return HeadSettings(read_manifest(subject.weights).temperature) if head == "sentiment" else HeadSettings()


def summary(report: dict[str, Any]) -> str:
    """One line for a terminal: the main figures, the task's own with its interval first."""
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
"""The figure by which each task's field judges."""

_SUMMARY_METRICS = (
    *("accuracy", "macro_recall", "macro_f1", "micro_f1", "f1", "average_precision", "macro_average_precision", "ece"),
    *("net_bias", "net_rmse_200", "swap_rate", "irrelevant_rate", "second_target_accuracy"),
)


def _display_name(name: str) -> str:
    return name.replace("_", " ").replace("f1", "F1").replace("ece", "ECE")


def _evaluate(subject: EvaluatedModel, gold: GoldRows, *, keep_words: bool) -> tuple[Evaluation, Predictions]:
    scorer = load_scorer(
        subject.engine, subject.weights, subject.threads, precision=subject.precision, exit_policy=subject.exit_policy
    )
    evaluation = evaluate(scorer, gold, head_settings(subject, gold.head), keep_words=keep_words)
    return evaluation, predictions_of(f"{scorer.name} {scorer.version}", gold, evaluation.answers)


def _other_predictions(against: Path, subject: EvaluatedModel, gold: GoldRows, *, keep_words: bool) -> Predictions:
    if against.is_dir():
        return _evaluate(replace(subject, weights=against), gold, keep_words=keep_words)[1]
    return load_predictions(predictions_path(against))
