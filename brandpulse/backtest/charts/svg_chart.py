"""Draws a chart over time as SVG, without a plotting library."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import TypeVar

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 1_200, 320, 50, 40, 30
DAY_SECONDS = 86_400
MAX_DAY_LABELS = 14
LABEL_WIDTH = 24
"""Pixels. A label that would overlap the previous one is omitted."""
ALARM, USUAL, OBSERVED = "#d62728", "#1f77b4", "#333"

Point = tuple[float, float]
"""Seconds since 1970, and a value."""
Timed = TypeVar("Timed", Point, tuple[float, float, float])


@dataclass(slots=True)
class Chart:
    """Shapes over the time from *first* to *last* (seconds since 1970). `svg` returns the chart."""

    title: str
    first: float
    last: float
    height_of: Callable[[float], float]
    """Height of a value: 0 at the bottom, 1 at the top. Values outside are clipped."""
    levels: Sequence[tuple[float, str]] = ()
    """Values with a horizontal line, and its label."""
    _shapes: list[str] = field(init=False, default_factory=list)
    _label_ends: float = field(init=False, default=0.0)

    def span(self, begin: float, end: float, tooltip: str, *, label: str = "") -> None:
        """Add an episode: a red area with *tooltip*, and *label* above it. Call in order of *begin*."""
        x, wide = self._x(begin), max(1.5, self._x(end) - self._x(begin))
        self._shapes.append(
            f'<rect x="{x:.1f}" y="{TOP}" width="{wide:.1f}" height="{HEIGHT - TOP - BOTTOM}" fill="{ALARM}" '
            f'fill-opacity=".25"><title>{escape(tooltip)}</title></rect>'
        )
        if label and x >= self._label_ends:
            self._label_ends = x + LABEL_WIDTH
            self._shapes.append(f'<text x="{x:.1f}" y="{TOP - 4}" font-size="9" fill="{ALARM}">{escape(label)}</text>')

    def band(
        self, points: Iterable[tuple[float, float, float]], *, colour: str = USUAL, gap: float = float("inf")
    ) -> None:
        """Add the area between two values per time. It has a gap between points over *gap* seconds apart."""
        for run in _runs(points, gap):
            corners = [(self._x(at), self._y(low), self._y(high)) for at, low, high in run]
            edge = [f"{x:.1f},{low:.1f}" for x, low, _ in corners]
            edge += [f"{x:.1f},{high:.1f}" for x, _, high in reversed(corners)]
            self._shapes.append(f'<polygon points="{" ".join(edge)}" fill="{colour}" fill-opacity=".15"/>')

    def bars(self, points: Iterable[Point], *, seconds: float, full: float) -> None:
        """Add grey bars, each *seconds* wide, along the bottom quarter; the value *full* fills it."""
        wide = max(0.5, seconds / (self.last - self.first) * (WIDTH - LEFT))
        for at, value in points:
            tall = (HEIGHT - TOP - BOTTOM) / 4 * value / full
            self._shapes.append(
                f'<rect x="{self._x(at):.1f}" y="{HEIGHT - BOTTOM - tall:.1f}" width="{wide:.2f}" '
                f'height="{tall:.1f}" fill="#bbb" fill-opacity=".6"/>'
            )

    def line(self, points: Iterable[Point], *, colour: str = OBSERVED, gap: float = float("inf")) -> None:
        """Add a line through *points*. It has a gap between points over *gap* seconds apart."""
        for run in _runs(points, gap):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in _thinned([(self._x(t), self._y(v)) for t, v in run]))
            self._shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1"/>')

    def svg(self) -> str:
        grid = []
        for value, name in self.levels:
            y = self._y(value)
            grid.append(f'<text x="4" y="{y + 4:.1f}" font-size="11">{escape(name)}</text>')
            grid.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        body = "\n".join([*grid, *self._shapes, *self._days()])
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n'
            f'<text x="{LEFT}" y="18" font-size="16">{escape(self.title)}</text>\n{body}\n</svg>\n'
        )

    def _days(self) -> list[str]:
        days = max(1, round((self.last - self.first) / DAY_SECONDS))
        step = DAY_SECONDS * -(-days // MAX_DAY_LABELS)
        begins = range(int(-(-self.first // DAY_SECONDS)) * DAY_SECONDS, int(self.last) + 1, step)
        named = [(self._x(at), datetime.fromtimestamp(at, UTC)) for at in begins]
        return [f'<text x="{x:.1f}" y="{HEIGHT - 8}" font-size="11">{day:%d %b}</text>' for x, day in named]

    def _x(self, at: float) -> float:
        part = (at - self.first) / max(1.0, self.last - self.first)
        return LEFT + min(max(part, 0.0), 1.0) * (WIDTH - LEFT)

    def _y(self, value: float) -> float:
        return TOP + (1 - min(max(self.height_of(value), 0.0), 1.0)) * (HEIGHT - TOP - BOTTOM)


def _runs(points: Iterable[Timed], gap: float) -> list[list[Timed]]:
    runs: list[list[Timed]] = []
    for point in points:
        if runs and point[0] - runs[-1][-1][0] <= gap:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Of the points in one column of pixels only the highest and the lowest: the chart looks the same and is small."""
    if len(points) <= 2 * WIDTH:
        return list(points)
    kept: list[Point] = []
    column: list[Point] = []
    for point in points:
        if column and int(point[0]) != int(column[0][0]):
            kept += _ends(column)
            column = []
        column.append(point)
    return kept + _ends(column)


def _ends(column: Sequence[Point]) -> list[Point]:
    return sorted({min(column, key=lambda p: p[1]), max(column, key=lambda p: p[1])})
