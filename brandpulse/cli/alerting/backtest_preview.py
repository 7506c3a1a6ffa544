"""`brandpulse backtest preview`: replay rules over the stored history before they go live."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from alerting.rules.models import RuleSet
    from brandpulse.schema.episodes import Episode


def run(*, rules: Path | None, days: int, picture: Path | None) -> None:
    """Print the pages of each rule. Raises ConfigError for a wrong rules file, TransientError without Redis."""
    from alerting.rules.live_brands import LiveBrands
    from alerting.rules.loader import facet_names_of, load_rules
    from alerting.rules.models import DEFAULT_RULES
    from alerting.settings import AlerterSettings
    from brandpulse.backtest.rule_preview import preview_history
    from brandpulse.config.settings import Settings, load_settings
    from brandpulse.redis.client import connect
    from brandpulse.state.keys import HOUR_MS
    from brandpulse.state.pane_reader import PaneReader

    settings = load_settings(Settings)
    wanted = DEFAULT_RULES if rules is None else load_rules(rules, facets=facet_names_of(settings.brands_file))
    reader = PaneReader(connect(settings.redis_address(), timeout_seconds=30), settings.namespace)
    newest = max((status.clock_ms for status in reader.partitions()), default=0)
    if newest <= 0:
        typer.echo("No post is counted yet, so there is no history to replay.")
        return
    last_hour = newest // HOUR_MS - 1
    found = preview_history(
        reader,
        wanted,
        policies=load_settings(AlerterSettings).policies(),
        zones=LiveBrands(settings.brands_file).zones(),
        last_hour=last_hour,
        days=days,
        charts=picture,
    )
    _print(wanted, found, days=days, until=datetime.fromtimestamp((last_hour + 1) * HOUR_MS / 1_000, UTC))


def _print(rules: "RuleSet", found: "dict[str, list[Episode]]", *, days: int, until: datetime) -> None:
    from rich.table import Table

    from brandpulse.backtest.rule_preview import pages_by_rule
    from brandpulse.runtime.console import Console

    console = Console()
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
    console.print(
        f"{len(found)} brands, {days} days until {until:%Y-%m-%d %H:%M} UTC, hour by hour: a page comes at the "
        "end of its hour, and a rise shorter than an hour may be missed.",
        soft_wrap=True,
    )
