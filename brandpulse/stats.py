"""`brandpulse stats`: totals over all hour panes, and what did not become part of them."""

from typing import Any

from rich.console import Console
from rich.table import Table

from brandpulse.pane_reader import PaneReader
from brandpulse.redis_client import connect
from brandpulse.settings import Settings, load_settings


def collect(settings: Settings | None = None) -> dict[str, Any]:
    """`{"brands": {NAME: {"posts": n, "negative": n, ..., "irrelevant": n}}, "late": n, ...}`.

    `posts` is the sum of the four. A post that names two brands stands under both, with a verdict for each. Raises
    ConfigError, TransientError.
    """
    settings = settings or load_settings(Settings)
    client = connect(settings.redis_address(), timeout_seconds=30)
    reader = PaneReader(client, settings.namespace)
    partitions = reader.partitions()
    return {
        "brands": {
            brand: {
                "posts": pane.posts,
                "negative": pane.negative,
                "neutral": pane.neutral,
                "positive": pane.positive,
                "irrelevant": pane.irrelevant,
            }
            for brand, pane in sorted(reader.totals().items())
        },
        "late": sum(p.late for p in partitions),
        "repeated": sum(p.repeated for p in partitions),
        "dead": sum(p.dead for p in partitions),
        "unmatched": sum(p.unmatched for p in partitions),
        "lag": sum(p.lag for p in partitions),
    }


def render(totals: dict[str, Any]) -> None:
    """The same as a table."""
    console = Console()
    if not totals["brands"]:
        console.print("No posts counted yet. Bring some: `brandpulse ingest file PATH`.")
    kinds = ("posts", "negative", "neutral", "positive", "irrelevant")
    table = Table("brand", *(f"[right]{name}[/]" for name in (*kinds, "share")))
    for name, row in totals["brands"].items():
        relevant = row["posts"] - row["irrelevant"]
        share = row["negative"] / relevant if relevant else 0.0
        table.add_row(name, *(f"{row[kind]:,}" for kind in kinds), f"{share:.0%}")
    console.print(table)
    console.print("  ".join(f"{name} {totals[name]:,}" for name in ("late", "repeated", "dead", "unmatched", "lag")))
