"""`brandpulse stats`: totals over all hour panes, and what did not become part of them."""

import math
import time
from collections.abc import Mapping
from typing import Any

import redis
from rich.box import SIMPLE_HEAD
from rich.table import Table

from brandpulse.config.settings import Settings, load_settings
from brandpulse.redis.client import connect
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.runtime.console import Console
from brandpulse.state.diagnosis import StreamReport, stream_report
from brandpulse.state.keys import AlertingKeys, brand_of, facet_of
from brandpulse.state.outcomes.post_outcomes import shown_source
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.panes import Pane

ALSO = "by the brand's volume and past; watermark and tick add 2 to 3 minutes"


def collect(settings: Settings | None = None) -> dict[str, Any]:
    """`{"brands": {NAME: {"posts": n, "negative": n, ..., "irrelevant": n}}, "late": n, ...}`.

    `"facets"` is the same for each facet of a brand, `{NAME: {FACET: {"posts": n, ...}}}`. `posts` is the sum of the
    four. A post that names two brands stands under both, with a verdict for each.
    `"expected_delay_minutes": {NAME: n}` is how long a rise of the negative share by 25 points goes untold, as an
    alerter last noted it; None: more than a day; a brand that is not there is still learnt, or no alerter ran.
    `"sources"` holds what became of each source's posts of the newest hour, `"problems"` what is wrong with
    them, by `stream_report`. Raises ConfigError, TransientError.
    """
    settings = settings or load_settings(Settings)
    client = connect(settings.redis_address(), timeout_seconds=30)
    reader = PaneReader(client, settings.namespace)
    partitions = reader.partitions()
    brands: dict[str, dict[str, int]] = {}
    facets: dict[str, dict[str, dict[str, int]]] = {}
    for series, pane in sorted(reader.series_totals().items()):
        if facet := facet_of(series):
            facets.setdefault(brand_of(series), {})[facet] = _counts(pane)
        else:
            brands[series] = _counts(pane)
    return {
        "brands": brands,
        "facets": facets,
        "expected_delay_minutes": expected_delays(client, settings.namespace),
        "late": sum(p.late for p in partitions),
        "repeated": sum(p.repeated for p in partitions),
        "dead": sum(p.dead for p in partitions),
        "unmatched": sum(p.unmatched for p in partitions),
        "lag": sum(p.lag for p in partitions),
        "unread": sum(p.unread for p in partitions),
        "keyless": sum(p.keyless for p in partitions),
        **_recent(stream_report(partitions), now_ms=time.time_ns() // 1_000_000),
    }


def _recent(report: StreamReport, *, now_ms: int) -> dict[str, Any]:
    """What became of the posts of the newest hour, and why."""
    when = report.when(now_ms)
    return {
        "sources": {shown_source(one.source): dict(sorted(one.fates.items())) for one in report.sources},
        "problems": [
            {
                "kind": one.kind,
                "source": one.source,
                "posts": one.posts,
                "of": one.of,
                "reason": one.reason,
                "sentence": one.sentence(when),
                "remedy": one.remedy,
            }
            for one in report.problems
        ],
        "near_misses": dict(report.near_misses),
    }


def _counts(pane: Pane) -> dict[str, int]:
    return {
        "posts": pane.posts,
        "negative": pane.negative,
        "neutral": pane.neutral,
        "positive": pane.positive,
        "irrelevant": pane.irrelevant,
    }


def expected_delays(client: redis.Redis, namespace: str) -> dict[str, float | None]:
    """Minutes by brand, as the alerter noted them. Raises TransientError."""
    with reaching_redis():
        noted: dict[bytes, bytes] = client.hgetall(AlertingKeys(namespace).delays)  # type: ignore[assignment]
    minutes = {brand.decode(): float(seconds) / 60 for brand, seconds in noted.items()}
    return {brand: round(many, 1) if math.isfinite(many) else None for brand, many in sorted(minutes.items())}


def told_delay(delays: Mapping[str, float | None], brand: str) -> str:
    """The delay of *brand* for a person."""
    if brand not in delays:
        return "not known yet"
    minutes = delays[brand]
    if minutes is None:
        return "over a day"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def render(totals: dict[str, Any]) -> None:
    """The same as a table."""
    console = Console()
    dropped = sum(totals[kind] for kind in ("dead", "unmatched")) + totals.get("unread", 0)
    if not totals["brands"] and not dropped:
        console.print("No posts counted yet. Bring some: `brandpulse ingest file PATH`.")
    elif not totals["brands"]:
        console.print(f"None of {dropped:,} posts is counted for a brand.")
    kinds = ("posts", "negative", "neutral", "positive", "irrelevant")
    delays = totals["expected_delay_minutes"]
    # Eight columns are to fit a terminal of 80 characters: with lines between them the heads were cut.
    table = Table("brand", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in (*kinds, "share", "told after"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in totals["brands"].items():
        relevant = row["posts"] - row["irrelevant"]
        share = row["negative"] / relevant if relevant else 0.0
        table.add_row(name, *(f"{row[kind]:,}" for kind in kinds), f"{share:.0%}", told_delay(delays, name))
    console.print(table)
    if totals["brands"]:
        console.print(
            f"told after: how long a negative share that rises by 25 points stays untold, {ALSO}.", style="dim"
        )
    if totals["facets"]:
        console.print(_facet_table(totals))
    others = ("late", "repeated", "dead", "unmatched", "unread", "keyless", "lag")
    console.print("  ".join(f"{name} {totals[name]:,}" for name in others if name in totals))
    for problem in totals.get("problems", ()):
        # Sources and near misses are strangers' words: printed as they are.
        console.print(f"{problem['sentence']}\n  -> {problem['remedy']}")


def _facet_table(totals: dict[str, Any]) -> Table:
    """A facet's posts, and their share of the brand's."""
    table = Table("brand", "facet", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("posts", "negative", "of all posts"):
        table.add_column(name, justify="right", no_wrap=True)
    for brand, facets in totals["facets"].items():
        everything = totals["brands"].get(brand, {}).get("posts", 0)
        for facet, row in facets.items():
            share = f"{row['posts'] / everything:.1%}" if everything else ""
            table.add_row(brand, facet, f"{row['posts']:,}", f"{row['negative']:,}", share)
    return table
