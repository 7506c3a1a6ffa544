"""Draws a brand: negative share by the hour, its usual value, the range up to an alarm, and the episodes."""

from collections.abc import Sequence
from pathlib import Path

from brandpulse.backtest.backtest import PastEpisode
from brandpulse.backtest.charts.hourly_series import HourPoint
from brandpulse.backtest.charts.svg_chart import USUAL, Chart

HOUR_SECONDS = 3_600
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)


def write_brand_chart(folder: Path, brand: str, hours: Sequence[HourPoint], episodes: Sequence[PastEpisode]) -> None:
    """Write the chart of *brand* into *folder*, which is created if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(character if character.isalnum() else "-" for character in brand)
    (folder / f"{name}.svg").write_text(draw_brand_chart(brand, hours, episodes), encoding="utf-8")


def draw_brand_chart(brand: str, hours: Sequence[HourPoint], episodes: Sequence[PastEpisode]) -> str:
    """The chart as SVG. Hours without posts are gaps; the band has gaps where the baseline was not known yet."""
    chart = Chart(
        title=f"{brand}: negative share of authors by the hour; blue: usual share, and range up to an alarm; UTC",
        first=hours[0].hour * HOUR_SECONDS if hours else 0.0,
        last=(hours[-1].hour + 1) * HOUR_SECONDS if hours else 1.0,
        height_of=lambda share: share,
        levels=[(share, f"{share:.0%}") for share in LEVELS],
    )
    for one in sorted(episodes, key=lambda one: one.fired_at):
        end = chart.last if one.resolved_at is None else one.resolved_at.timestamp()
        tooltip = f"{one.episode.key}: {one.episode.first.reason}"
        chart.span(one.fired_at.timestamp(), end, tooltip, label=one.episode.severity)
    max_posts = max((one.posts for one in hours), default=1)
    chart.bars(((one.hour * HOUR_SECONDS, one.posts) for one in hours), seconds=HOUR_SECONDS, full=max_posts)
    known = [(_middle(one), one.usual, one.alarm) for one in hours if one.usual is not None]
    gap = 1.5 * HOUR_SECONDS
    chart.band(((at, usual, alarm) for at, usual, alarm in known if alarm is not None), gap=gap)
    chart.line(((_middle(one), one.share) for one in hours), gap=gap)
    chart.line(((at, usual) for at, usual, _ in known), colour=USUAL, gap=gap)
    return chart.svg()


def _middle(one: HourPoint) -> float:
    return (one.hour + 0.5) * HOUR_SECONDS
