"""`brandpulse model figures`: the figures of weights on known sets, for `report.json` and the model card."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import read_heads_manifest
from model.evaluation.comparison import compare
from model.evaluation.predictions_file import Predictions
from model.report.evaluation_run import EvaluatedModel, evaluate_file
from model.spec.options import Precision, Task

SETS: tuple[tuple[str, Task, tuple[str, ...]], ...] = (
    ("sentiment_newest", "sentiment", ("macro_recall", "net_bias", "net_rmse_200", "ece")),
    ("sentiment_semeval", "sentiment", ("macro_recall", "net_bias", "net_rmse_200", "ece")),
    ("airline", "sentiment", ("macro_recall",)),
    ("target_newest", "target_sentiment", ("macro_recall",)),
    ("target_topics", "target_sentiment", ("macro_recall",)),
    ("target_semeval", "target_sentiment", ("macro_recall",)),
    ("target_acl14", "target_sentiment", ("macro_recall",)),
    ("aspect_mams", "target_sentiment", ("accuracy",)),
    ("entity", "target_sentiment", ("macro_recall",)),
    ("apple_dfe", "target_sentiment", ("macro_recall",)),
    ("airline", "target_sentiment", ("macro_recall",)),
    ("targets", "target_sentiment", ("macro_recall",)),
    ("kinds", "sentiment", ("macro_recall",)),
    ("emotion_tweeteval", "emotion", ("macro_f1",)),
    ("goemotions", "emotion", ("macro_f1", "micro_f1")),
    ("complaints", "complaint", ("macro_f1",)),
    ("disaster", "crisis", ("average_precision",)),
    ("crisislex_t26", "crisis", ("average_precision",)),
    ("irony_tweeteval", "sarcasm", ("f1",)),
    ("isarcasm", "sarcasm", ("f1",)),
)
"""Name, task and the figures of the card. `targets` and `kinds` are the shipped gold sets."""

_GOLD = Path(__file__).parents[1] / "gold"
_GOLD_SETS = ("targets", "kinds")
_LEFT_OUT = ("task", "data", "labels", "left_out", "slices", "confusion", "net_windows", "engine", "version")
"""Parts of an evaluation that would make the file ten times longer."""


def weights_figures(
    data: Path,
    model: EvaluatedModel,
    *,
    precisions: Sequence[Precision] = ("int8", "fp32"),
    against: Path | None = None,
) -> dict[str, Any]:
    """The report: `version`, `command`, `sets` (set and task -> precision -> figures), `missing` (sets without a file).

    *data* holds `{set}.val.jsonl.gz`. With other weights *against*, each entry of the first precision has a paired
    comparison on the same rows, `against`. Raises ConfigError if *data* has none of the sets, or a file is unreadable.
    """
    found: dict[str, dict[str, Any]] = {}
    missing: list[str] = []
    for name, task, _ in SETS:
        file = _GOLD / f"{name}.jsonl" if name in _GOLD_SETS else data / f"{name}.val.jsonl.gz"
        if not file.is_file():
            missing.append(name)
            continue
        answers: list[Predictions] = []
        entry = found.setdefault(f"{name} {task}", {})
        for precision in precisions:
            evaluation, said = evaluate_file(replace(model, precision=precision), file, task=task)
            entry[precision] = {key: value for key, value in evaluation.report.items() if key not in _LEFT_OUT}
            answers.append(said)
        if against is not None:
            other = replace(model, weights=against, precision=precisions[0])
            compared = evaluate_file(other, file, task=task)[1]
            entry["against"] = compare(answers[0], compared, net=task == "sentiment")
    if set(found) <= {f"{name} {task}" for name, task, _ in SETS if name in _GOLD_SETS}:
        raise ConfigError(f"--data {data}: no file of a known set, such as {SETS[0][0]}.val.jsonl.gz")
    command = "brandpulse model figures --data PARTS --weights WEIGHTS --json OUT"
    report: dict[str, Any] = {"version": read_heads_manifest(model.weights).version, "command": command, "sets": found}
    return report | ({"missing": list(dict.fromkeys(missing))} if missing else {})


def figures_table(report: Mapping[str, Any]) -> str:
    """The card's table in Markdown: a row for each set and figure, a column for each precision."""
    sets: Mapping[str, Mapping[str, Any]] = report["sets"]
    precisions = list(dict.fromkeys(way for entry in sets.values() for way in entry if way != "against"))
    lines = [f"| set and task | n | figure | {' | '.join(precisions)} |", "|---|---|---|" + "---|" * len(precisions)]
    for name, task, figures in SETS:
        if (entry := sets.get(f"{name} {task}")) is None:
            continue
        for figure in figures:
            cells = [_cell(entry[way], figure) for way in precisions]
            rows = entry[precisions[0]]["n"]
            lines.append(f"| {name} {task} | {rows:,} | {figure.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figures: Mapping[str, Any], name: str) -> str:
    value = figures[name]
    low, high = figures["ci"].get(name, (None, None))
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
