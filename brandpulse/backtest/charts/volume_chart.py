"""A series of counts as a drawing: what was seen, what was usual, where an alarm lay, and the surges."""

import math
from collections.abc import Sequence

from brandpulse.backtest.charts.svg_chart import USUAL, Chart
from brandpulse.backtest.volume_backtest import Looked, Surge


def draw_counts(title: str, looked: Sequence[Looked], found: Sequence[Surge], *, step_seconds: float) -> str:
    """The SVG text. The scale is logarithmic: a storm is a thousand times a night."""
    most = max([10.0, *(one.count.value for one in looked)])

    def height_of(value: float) -> float:
        return math.log1p(max(value, 0.0)) / math.log1p(most)

    powers = [10.0**power for power in range(math.ceil(math.log10(most)) + 1)]
    chart = Chart(
        title=f"{title}: posts in {step_seconds:g} s, what was usual, and up to an alarm; UTC",
        first=looked[0].count.at,
        last=looked[-1].count.at + step_seconds,
        height_of=height_of,
        levels=[(0.0, "0"), *((power, f"{power:g}") for power in powers if power <= most)],
    )
    for surge in found:
        onset = surge.onset
        told = f"{onset.count.timestamp}: {onset.finding.reason} Score {onset.finding.score:.2f}."
        chart.span(onset.count.at, surge.end + step_seconds, told, label=f"{onset.finding.score:.2f}")
    every = max(1, len(looked) // 2_400)
    chart.band(
        (one.count.at, one.finding.expected, one.alarm_rate) for one in looked[::every] if one.alarm_rate is not None
    )
    chart.line(((one.count.at, one.count.value) for one in looked), gap=3 * step_seconds)
    chart.line(((one.count.at, one.finding.expected) for one in looked), colour=USUAL)
    return chart.svg()
