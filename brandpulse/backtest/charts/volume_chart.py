"""Draws a series of counts: the counts, their usual value, the range up to an alarm, and the surges."""

import math
from collections.abc import Sequence

from brandpulse.backtest.charts.svg_chart import USUAL, Chart
from brandpulse.backtest.volume_backtest import ScoredCount, Surge


def draw_volume_chart(
    title: str, scored: Sequence[ScoredCount], surges: Sequence[Surge], *, step_seconds: float
) -> str:
    """The chart as SVG. Its scale is logarithmic: a surge may have a thousand times the posts of a night."""
    highest = max([10.0, *(one.count.value for one in scored)])

    def height_of(value: float) -> float:
        return math.log1p(max(value, 0.0)) / math.log1p(highest)

    powers = [10.0**power for power in range(math.ceil(math.log10(highest)) + 1)]
    chart = Chart(
        title=f"{title}: posts in {step_seconds:g} s; blue: usual number, and range up to an alarm; UTC",
        first=scored[0].count.at,
        last=scored[-1].count.at + step_seconds,
        height_of=height_of,
        levels=[(0.0, "0"), *((power, f"{power:g}") for power in powers if power <= highest)],
    )
    for surge in surges:
        onset = surge.onset
        tooltip = f"{onset.count.timestamp}: {onset.finding.reason} Score {onset.finding.score:.2f}."
        chart.span(onset.count.at, surge.end + step_seconds, tooltip, label=f"{onset.finding.score:.2f}")
    stride = max(1, len(scored) // 2_400)
    chart.band(
        (one.count.at, one.finding.expected, one.alarm_rate) for one in scored[::stride] if one.alarm_rate is not None
    )
    chart.line(((one.count.at, one.count.value) for one in scored), gap=3 * step_seconds)
    chart.line(((one.count.at, one.finding.expected) for one in scored), colour=USUAL)
    return chart.svg()
