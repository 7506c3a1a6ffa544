"""A brand's days as a drawing: negative share by the hour, and its episodes. SVG by hand: no plotting library."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from alerting.backtest import PastEpisode
from brandpulse.keys import HOUR_MS
from brandpulse.panes import Pane

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 1_200, 320, 50, 40, 30


def draw(brand: str, hours: Mapping[int, Pane], episodes: Sequence[PastEpisode]) -> str:
    """The SVG text. Hours without posts leave gaps; the bars below are posts an hour."""
    if not hours:
        return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"/>\n'
    first, last = min(hours), max(hours) + 1
    most = max(pane.posts for pane in hours.values())
    step = (WIDTH - LEFT) / (last - first)

    def x(hour: float) -> float:
        return LEFT + (hour - first) * step

    def y(share: float) -> float:
        return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)

    shapes = [
        f'<text x="{LEFT}" y="22" font-size="16">{escape(brand)}: negative share of posts by the hour, UTC</text>'
    ]
    for one in episodes:
        begin, end = _hour(one.fired_at), _hour(one.resolved_at) if one.resolved_at else last
        shapes.append(
            f'<rect x="{x(begin):.1f}" y="{TOP}" width="{max(1.5, x(end) - x(begin)):.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}" fill="#d62728" fill-opacity=".25">'
            f"<title>{escape(one.episode.key)}: {escape(one.episode.first.reason)}</title></rect>"
        )
    for hour, pane in sorted(hours.items()):
        tall = 60 * pane.posts / most
        shapes.append(
            f'<rect x="{x(hour):.1f}" y="{HEIGHT - BOTTOM - tall:.1f}" width="{step:.2f}" height="{tall:.1f}" '
            'fill="#bbb" fill-opacity=".6"/>'
        )
    for run in _runs(sorted(hours)):
        points = " ".join(f"{x(hour + 0.5):.1f},{y(hours[hour].negative_share):.1f}" for hour in run)
        shapes.append(f'<polyline points="{points}" fill="none" stroke="#333" stroke-width="1"/>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        shapes.append(f'<text x="4" y="{y(share) + 4:.1f}" font-size="11">{share:.0%}</text>')
        shapes.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="#ddd"/>')
    days = range(-(-first // 24) * 24, last, 24 * max(1, (last - first) // (24 * 14)))
    for hour in days:
        day = datetime.fromtimestamp(hour * HOUR_MS / 1_000, UTC)
        shapes.append(f'<text x="{x(hour):.1f}" y="{HEIGHT - 8}" font-size="11">{day:%d %b}</text>')
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _hour(at: datetime) -> float:
    return at.timestamp() * 1_000 / HOUR_MS


def _runs(hours: Sequence[int]) -> list[list[int]]:
    """*hours*, rising, cut where one is missing."""
    runs: list[list[int]] = []
    for hour in hours:
        if runs and runs[-1][-1] == hour - 1:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    return runs
