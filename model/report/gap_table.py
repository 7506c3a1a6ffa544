"""The report of `brandpulse model gap` as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

NAMES = {"target": "target head", "whole_post": "whole post"}

CLEAR_DIFFERENCE, SEEDS = 0.015, 3
"""A smaller difference of macro recall needs this number of seeds on both sides."""


def tables(report: Mapping[str, Any]) -> str:
    """Figures of each part, differences from the other model if there is one, gaps, and warnings."""
    blocks = [_figures(report), _gaps(report)]
    if report["against"]:
        blocks.insert(1, _differences(report))
    return "\n\n".join(block for block in [*blocks, *_warnings(report)] if block)


def _figures(report: Mapping[str, Any]) -> str:
    lines = [
        f"{'macro recall':24} {'posts':>7} {'topics':>6} {'target head':>11} {'whole post':>10} "
        f"{'target - whole post':>23} {'ECE':>5} {'net bias':>8} {'RMSE 200':>8}"
    ]
    for name, part in report["parts"].items():
        heads, between = part["heads"], part.get("target_minus_whole_post")
        main = heads.get("target", heads["whole_post"])
        recall = {head: _number(heads[head]["macro_recall"]["value"]) if head in heads else "-" for head in NAMES}
        lines.append(
            f"{_marked(name, part):24} {part['rows']:>7,} {part['topics'] or '-':>6} {recall['target']:>11} "
            f"{recall['whole_post']:>10} {_signed(between['macro_recall']) if between else '-':>23} "
            f"{_number(main['ece']['value']):>5} {main['net_bias']['value']:>+8.3f} "
            f"{_number(main['net_rmse_200']['value']):>8}"
        )
    lines.append("ECE, net bias and RMSE of 200 posts are the target head's where it has figures.")
    if len(report["models"]) > 1:
        spread = max(
            head["macro_recall"]["spread"] for part in report["parts"].values() for head in part["heads"].values()
        )
        lines.append(f"Means of {len(report['models'])} weights; largest spread of a macro recall: {spread:.3f}.")
    return "\n".join(lines)


def _differences(report: Mapping[str, Any]) -> str:
    lines = [f"{'minus the other model':24} {'target head':>24} {'whole post':>24}"]
    for name, part in report["parts"].items():
        other = part["against"]
        shown = [_signed(found["macro_recall"]) if (found := other["difference"].get(head)) else "-" for head in NAMES]
        lines.append(f"{_marked(name, other):24} {shown[0]:>24} {shown[1]:>24}")
    return "\n".join(lines)


def _gaps(report: Mapping[str, Any]) -> str:
    gaps, parts = report["gaps"], report["parts"]
    rows: list[tuple[str, Any]] = [
        *(
            (f"random part - {_marked(name, parts[name])}", found)
            for name, found in (gaps["time"] | gaps["columns"]).items()
        ),
        *((f"known topics - {_marked(name, parts[name])}", found) for name, found in gaps["topics"].items()),
    ]
    if gaps["sources"] is not None:
        rows.append((f"known sources - {', '.join(gaps['sources']['unseen'])}", gaps["sources"]))
    lines = [f"{'gap: familiar - new':40} {'target head':>24} {'whole post':>24}"]
    for name, found in rows:
        if isinstance(found, str):
            lines.append(f"{name:40} {found}")
            continue
        shown = [_signed(found[head]) if head in found else "-" for head in NAMES]
        lines.append(f"{name:40} {shown[0]:>24} {shown[1]:>24}")
    return "\n".join(lines) if rows else ""


def _warnings(report: Mapping[str, Any]) -> list[str]:
    found = []
    parts = report["parts"].values()
    if any(_is_marked(part) or _is_marked(part.get("against", {})) for part in parts):
        found.append(
            "* The recipe of these weights does not name this part in `held_out`. If they were trained on its posts, "
            "the figure is too good and must not be compared."
        )
    if report["against"] and min(len(report["models"]), len(report["against"])) < SEEDS:
        small = [
            name
            for name, part in report["parts"].items()
            if any(abs(head["macro_recall"][0]) < CLEAR_DIFFERENCE for head in part["against"]["difference"].values())
        ]
        if small:
            found.append(
                f"Differences below {CLEAR_DIFFERENCE} need {SEEDS} seeds on both sides (repeat --weights and "
                f"--against): {', '.join(small)}."
            )
    return found


def _marked(name: str, part: Mapping[str, Any]) -> str:
    return f"{name}*" if _is_marked(part) else name


def _is_marked(part: Mapping[str, Any]) -> bool:
    return any(part.get("may_be_trained_on", ()))


def _number(value: float) -> str:
    return f"{value:.3f}"


def _signed(values: Sequence[float]) -> str:
    value, low, high = values
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
