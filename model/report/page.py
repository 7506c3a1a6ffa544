"""The page beside a report: one self-contained HTML file without external requests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.evaluation.bootstrap_metrics import RESAMPLES
from model.evaluation.evaluator import WINDOWS, Evaluation
from model.report import charts, curves
from model.report.metric_names import METRICS, SWAP_CHECKS
from model.report.mistakes import mistakes

HERE = Path(__file__).parent


def page(evaluation: Evaluation, *, texts: bool) -> str:
    """The page as HTML; without *texts* it contains no posts. Raises ImportError without the extra `evaluate`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("page.html.jinja")
    return template.render(page=_content(evaluation, texts=texts), css=_trusted((HERE / "page.css").read_text("utf-8")))


def _content(evaluation: Evaluation, *, texts: bool) -> dict[str, Any]:
    report, answers = evaluation.report, evaluation.answers
    return {
        "task": report["task"].replace("_", " "),
        "data": report["data"],
        "facts": _facts(report),
        "figures": _rows(report, METRICS),
        "resamples": RESAMPLES,
        "against": _comparison(report.get("against")),
        "labels": answers.labels,
        "per_class": report["per_class"],
        "confusion": [] if answers.kind == "many" else _confusion(report),
        "charts": _charts(evaluation),
        "windows": _windows(report.get("net_windows")),
        "swaps": _rows(report, SWAP_CHECKS),
        "slices": _slices(report),
        "mistakes": mistakes(evaluation.gold, answers),
        "has_targets": any(evaluation.gold.targets) and texts,
        "texts": texts,
    }


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("model", f"{report['engine']}, weights {report['version']}"),
        ("rows", f"{report['n']:,}"),
        ("labels", ", ".join(report["labels"]) if len(report["labels"]) < 8 else f"{len(report['labels'])} of them"),
    ]
    if report["left_out"]:
        facts.append(("rows with other labels (left out)", f"{report['left_out']:,}"))
    if words := report.get("target_words"):
        facts.append(("words of the target", "kept after its marker" if words == "keep" else "replaced by its marker"))
    return facts


def _rows(report: Mapping[str, Any], named: Mapping[str, tuple[str, str]]) -> list[dict[str, str]]:
    rows = []
    for key, (name, says) in named.items():
        if (value := report.get(key)) is None:
            continue
        rows.append({"name": name, "value": _number(key, value), "interval": _interval(key, report), "says": says})
    return rows


def _number(key: str, value: float) -> str:
    return f"{value:+.3f}" if key == "net_bias" else f"{value:.3f}"


def _interval(key: str, report: Mapping[str, Any]) -> str:
    if key not in report["ci"]:
        return ""
    low, high = report["ci"][key]
    return f"{_number(key, low)} to {_number(key, high)}"


def _confusion(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "cells": [{"count": count, "percent": round(100 * count / max(sum(counts), 1))} for count in counts],
        }
        for label, counts in zip(report["labels"], report["confusion"], strict=True)
    ]


def _charts(evaluation: Evaluation) -> list[dict[str, Any]]:
    answers, report = evaluation.answers, evaluation.report
    found = []
    for name, title, x, y, lines, note in (
        (
            "roc",
            "ROC",
            "false alarms",
            "hits",
            curves.roc(answers),
            "Each label against the rest; the area in the legend.",
        ),
        (
            "pr",
            "Precision and recall",
            "recall",
            "precision",
            curves.precision_recall(answers),
            "Each label against the rest; the average precision in the legend.",
        ),
    ):
        if not lines:
            continue
        areas = ", ".join(f"{line.label} {line.area:.3f}" for line in lines)
        svg = charts.curves(name, lines, x=x, y=y, diagonal=name == "roc", alternative=f"{title}, areas: {areas}")
        found.append({"id": f"{name}-chart", "title": title, "svg": _trusted(svg), "note": note})
    after = curves.reliability(answers, answers.probabilities)
    before = None if evaluation.before is None else curves.reliability(answers, evaluation.before)
    summary = f"Calibration error {report['ece']:.3f}"
    if "ece_before_temperature" in report:
        summary += f", {report['ece_before_temperature']:.3f} before the temperature"
    svg = charts.reliability("reliability", after, before, alternative=f"Reliability. {summary}.")
    note = f"{summary}. Below the diagonal the model is overconfident; larger dots represent more answers."
    return [*found, {"id": "reliability-chart", "title": "Reliability", "svg": _trusted(svg), "note": note}]


def _windows(errors: Mapping[str, Mapping[str, float]] | None) -> dict[str, Any] | None:
    if errors is None:
        return None
    summary = "; ".join(
        f"{way} answers: bias {found['bias']:+.3f}, "
        + ", ".join(f"{found[f'rmse_{size}']:.3f} at {size} posts" for size in WINDOWS)
        for way, found in errors.items()
    )
    names = {"hard": "labels counted", "soft": "probabilities summed"}
    return {
        "chart": _trusted(
            charts.windows("windows", errors, WINDOWS, alternative=f"Error of net sentiment, {summary}.")
        ),
        "sizes": WINDOWS,
        "by_label": ", ".join(
            f"{key.removeprefix('bias_')} {value:+.2f}"
            for key, value in errors["hard"].items()
            if key.startswith("bias_")
        ),
        "rows": [
            {
                "name": names[way],
                "bias": f"{found['bias']:+.3f}",
                "errors": [f"{found[f'rmse_{size}']:.3f}" for size in WINDOWS],
            }
            for way, found in errors.items()
        ],
    }


def _slices(report: Mapping[str, Any]) -> dict[str, Any] | None:
    found: Mapping[str, Mapping[str, Any]] = report["slices"]
    if not found:
        return None
    drawn = [(name, part["accuracy"], *part["ci"]) for name, part in found.items()]
    summary = ", ".join(f"{name} {value:.3f}" for name, value, *_ in drawn)
    svg = charts.whiskers(
        "slices", drawn, mark=report["accuracy"], x="accuracy", alternative=f"Accuracy by kind of post: {summary}."
    )
    rows = [
        {
            "name": name,
            "n": part["n"],
            "value": f"{part['accuracy']:.3f}",
            "interval": "{:.3f} to {:.3f}".format(*part["ci"]),
            "recall": f"{part.get('macro_recall', 0):.3f}",
        }
        for name, part in found.items()
    ]
    recalls = all("macro_recall" in part for part in found.values())
    return {"title": "Accuracy", "chart": _trusted(svg), "rows": rows, "recalls": recalls}


def _comparison(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    named = {key: METRICS[key][0] for key in METRICS if key in found["differences"]}
    drawn = [(name, *found["differences"][key]) for key, name in named.items()]
    summary = ", ".join(f"{name} {value:+.3f}" for name, value, *_ in drawn)
    test = found["mcnemar"]
    return {
        "model": found["model"],
        "chart": _trusted(
            charts.whiskers("against", drawn, mark=0.0, x="difference", alternative=f"Differences: {summary}.")
        ),
        "rows": [
            {"name": name, "value": f"{value:+.3f}", "interval": f"{low:+.3f} to {high:+.3f}"}
            for name, value, low, high in drawn
        ],
        "mcnemar": f"Only this model is correct on {test['only_this_right']:,} rows, only the other one on "
        f"{test['only_the_other_right']:,}. McNemar's exact test: p = {test['p']:.3g}.",
    }


def _trusted(markup: str) -> Any:
    """Marks *markup* as safe for the template; only for our own markup."""
    from markupsafe import Markup

    return Markup(markup)  # noqa: S704 - contains no post: charts show label names only
