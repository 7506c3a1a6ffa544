"""Charts as SVG for a page: the page's colours (light and dark) and font, and a text alternative."""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from model.report.curves import Curve, Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Placeholders for the page's colours, because matplotlib does not support CSS variables.
_PLACEHOLDER_COLOURS = {
    name: f"#0a0b{number:02x}"
    for number, name in enumerate(
        ("ink", "soft", "line", "accent", "negative", "neutral", "positive", "one", "two", "three", "four"), start=16
    )
}
_BY_LABEL = {"negative": "negative", "neutral": "neutral", "positive": "positive", "irrelevant": "accent"}
_SERIES = ("one", "two", "three", "four")
_WIDTH, _NARROW, _HEIGHT = 5.4, 4.0, 3.2
"""Inches of 72 points; on the page a chart fills its column, one of two or three."""
_MIN_DOT, _ALL_DOTS = 6, 250
"""Area of a dot without answers, and of all dots together, in square points."""


def curves(name: str, found: Sequence[Curve], *, x: str, y: str, diagonal: bool, alternative: str) -> str:
    """Lines from 0 to 1 on both axes."""

    def draw(axes: "Axes") -> None:
        if diagonal:
            axes.plot([0, 1], [0, 1], color=_PLACEHOLDER_COLOURS["line"], linestyle="dashed")
        for number, curve in enumerate(found):
            colour = _PLACEHOLDER_COLOURS[_BY_LABEL.get(curve.label, _SERIES[number % len(_SERIES)])]
            axes.plot(curve.x, curve.y, color=colour, label=f"{curve.label}, {curve.area:.3f}")
        _unit_square(axes, x, y)
        axes.legend(loc="lower right" if diagonal else "lower left")

    return _render(draw, name, alternative, width=_NARROW)


def reliability(name: str, after: Reliability, before: Reliability | None, *, alternative: str) -> str:
    """Accuracy against confidence; larger dots represent more answers."""

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=_PLACEHOLDER_COLOURS["line"], linestyle="dashed")
        for found, colour, style, label in (
            (before, _PLACEHOLDER_COLOURS["two"], "dotted", "before the temperature"),
            (after, _PLACEHOLDER_COLOURS["one"], "solid", "as served"),
        ):
            if found is not None:
                x, y = found.confidence, found.accuracy
                axes.plot(x, y, color=colour, linestyle=style, label=label)
                axes.scatter(x, y, s=_MIN_DOT + _ALL_DOTS * found.share, color=colour, alpha=0.6, linewidths=0)
        _unit_square(axes, "confidence", "accuracy")
        axes.legend(loc="upper left")

    return _render(draw, name, alternative, width=_NARROW)


def windows(name: str, found: Mapping[str, Mapping[str, float]], sizes: Sequence[int], *, alternative: str) -> str:
    """The error of net sentiment by window size, and the bias, its lower limit."""
    names = {"hard": "labels counted", "soft": "probabilities summed"}

    def draw(axes: "Axes") -> None:
        for number, (way, errors) in enumerate(found.items()):
            colour = _PLACEHOLDER_COLOURS[_SERIES[number]]
            values = [errors[f"rmse_{size}"] for size in sizes]
            axes.plot(range(len(sizes)), values, marker="o", color=colour, label=names[way])
            axes.axhline(
                abs(errors["bias"]), color=colour, linestyle="dotted", label=f"its bias, {errors['bias']:+.3f}"
            )
        axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
        most = max(errors[f"rmse_{size}"] for errors in found.values() for size in sizes)
        axes.set_ylim(0, 1.15 * most or 1)
        axes.set_xlabel("posts in the window")
        axes.set_ylabel("root mean square error")
        axes.legend(loc="best")

    return _render(draw, name, alternative)


def whiskers(
    name: str, rows: Sequence[tuple[str, float, float, float]], *, mark: float, x: str, alternative: str
) -> str:
    """(label, value, low, high) from top to bottom as a dot with its interval, and a line at *mark*."""

    def draw(axes: "Axes") -> None:
        axes.axvline(mark, color=_PLACEHOLDER_COLOURS["soft"], linestyle="dashed", linewidth=1)
        for place, (_, value, low, high) in enumerate(reversed(rows)):
            axes.plot([low, high], [place, place], color=_PLACEHOLDER_COLOURS["one"], alpha=0.55)
            axes.plot([value], [place], color=_PLACEHOLDER_COLOURS["one"], marker="o", markersize=5)
        axes.set_yticks(range(len(rows)), [label for label, *_ in reversed(rows)])
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xlabel(x)
        axes.grid(visible=False, axis="y")
        axes.locator_params(axis="x", nbins=5)

    return _render(draw, name, alternative, height=0.75 + 0.27 * len(rows))


def _unit_square(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _render(
    draw: "Callable[[Axes], None]", name: str, alternative: str, *, width: float = _WIDTH, height: float = _HEIGHT
) -> str:
    # The object interface: pyplot would keep every figure and need a display.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    written = StringIO()
    with rc_context(_style() | {"svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return _element(written.getvalue(), name, alternative)


def _style() -> Any:
    soft, line = _PLACEHOLDER_COLOURS["soft"], _PLACEHOLDER_COLOURS["line"]
    return {
        "axes.axisbelow": True,
        "axes.edgecolor": line,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.labelcolor": soft,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.facecolor": "none",
        "font.size": 10.5,
        "grid.color": line,
        "grid.linewidth": 0.6,
        "legend.fontsize": 10,
        "legend.frameon": False,
        "legend.labelcolor": _PLACEHOLDER_COLOURS["ink"],
        "lines.linewidth": 1.8,
        "svg.fonttype": "none",  # text stays text, in the page's font
        "text.color": _PLACEHOLDER_COLOURS["ink"],
        "xtick.color": line,
        "xtick.labelcolor": soft,
        "ytick.color": line,
        "ytick.labelcolor": soft,
    }


def _element(drawn: str, name: str, alternative: str) -> str:
    """A rendered chart as an element of the page; ids get the prefix *name*, so that they are unique on the page."""
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"font-family: [^;\"]*;? ?", "", drawn)
    drawn = re.sub(r'\bid="', f'id="{name}-', drawn)
    drawn = re.sub(r'(url\(|href=")#', rf"\g<1>#{name}-", drawn)
    for colour, stand_in in _PLACEHOLDER_COLOURS.items():
        drawn = drawn.replace(stand_in, f"var(--{colour})")
    attributes = f'role="img" aria-label="{html.escape(alternative)}"'
    return re.sub(r'<svg\b[^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" {attributes}>', drawn, count=1)
