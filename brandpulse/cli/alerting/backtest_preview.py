"""`brandpulse backtest preview`: replay rules over the stored history before they go live."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from alerting.detection.hour_history import HourHistory
from alerting.evaluation.facet_rules import facet_history
from alerting.rules.brand_zones import Zones
from alerting.rules.live_brands import LiveBrands
from alerting.rules.loader import facet_names_of, load_rules
from alerting.rules.models import DEFAULT_RULES, RuleSet
from alerting.settings import AlerterSettings
from brandpulse.backtest.backtest import PastEpisode
from brandpulse.backtest.charts.brand_chart import draw_brand_chart
from brandpulse.backtest.charts.hourly_series import hour_points
from brandpulse.backtest.rule_preview import hourly_policy, pages_by_rule, preview_rules, watched_facet_series
from brandpulse.config.settings import Settings, load_settings
from brandpulse.redis.client import connect
from brandpulse.runtime.local_hours import UTC as UTC_ZONE
from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import HOUR_MS
from brandpulse.state.pane_reader import PaneReader

if TYPE_CHECKING:
    from brandpulse.runtime.console import Console


def run(*, rules: Path | None, days: int, picture: Path | None) -> None:
    """Print the pages of each rule. Raises ConfigError for a wrong rules file, TransientError without Redis."""
    settings = load_settings(Settings)
    wanted = DEFAULT_RULES if rules is None else load_rules(rules, facets=facet_names_of(settings.brands_file))
    reader = PaneReader(connect(settings.redis_address(), timeout_seconds=30), settings.namespace)
    newest = max((status.clock_ms for status in reader.partitions()), default=0)
    if newest <= 0:
        typer.echo("No post is counted yet, so there is no history to replay.")
        return
    last_hour = newest // HOUR_MS - 1
    zones = LiveBrands(settings.brands_file).zones()
    report(reader, wanted, last_hour=last_hour, days=days, picture=picture, zones=zones)


def report(
    reader: PaneReader, rules: RuleSet, *, last_hour: int, days: int, picture: Path | None, zones: Zones
) -> None:
    """Replay *rules* for every brand of *reader* over the *days* that end with *last_hour*."""
    from brandpulse.runtime.console import Console

    policies = load_settings(AlerterSettings).policies()
    brands = reader.brands()
    history = HourHistory(reader, policies.baseline, zones=lambda brand: zones.get(brand, UTC_ZONE))
    since = last_hour - (days + policies.baseline.days) * 24
    history.read(brands, before_hour=last_hour + 1, since_hour=since)
    facets = facet_history(reader, history, policies.baseline)
    facets.read(watched_facet_series(rules, brands), before_hour=last_hour + 1, since_hour=since)
    found: dict[str, list[Episode]] = {}
    for brand in brands:
        found[brand] = preview_rules(
            history,
            facets,
            brand,
            first_hour=last_hour - days * 24 + 1,
            last_hour=last_hour,
            rules=rules,
            policies=policies,
        )
        if picture is not None:
            picture.mkdir(parents=True, exist_ok=True)
            hours = reader.hours([brand], last_hour - days * 24 + 1, last_hour)[brand]
            shown = [PastEpisode(episode, episode.fired_at, episode.resolved_at) for episode in found[brand]]
            points = hour_points(history, brand, hours, policy=hourly_policy(policies.detect), episodes=found[brand])
            name = "".join(c if c.isalnum() else "-" for c in brand)
            (picture / f"{name}.svg").write_text(draw_brand_chart(brand, points, shown), encoding="utf-8")
    _print(Console(), rules, found, days=days, last_hour=last_hour)


def _print(console: "Console", rules: RuleSet, found: dict[str, list[Episode]], *, days: int, last_hour: int) -> None:
    from rich.table import Table

    every = [episode for episodes in found.values() for episode in episodes]
    pages = Table("fired", "rule", "brand", "severity", "reason")
    for episode in sorted(every, key=lambda one: one.fired_at):
        pages.add_row(
            f"{episode.fired_at:%Y-%m-%d %H:%M}", episode.rule, episode.brand, episode.severity, episode.first.reason
        )
    if every:
        console.print(pages)
    summary = Table("rule", "pages", "per brand in four weeks")
    for name, count, rate in pages_by_rule(rules, every, brands=len(found), days=days):
        summary.add_row(name, str(count), f"{rate:.2f}")
    console.print(summary)
    until = datetime.fromtimestamp((last_hour + 1) * HOUR_MS / 1_000, UTC)
    console.print(
        f"{len(found)} brands, {days} days until {until:%Y-%m-%d %H:%M} UTC, hour by hour: a page comes at the "
        "end of its hour, and a rise shorter than an hour may be missed.",
        soft_wrap=True,
    )
