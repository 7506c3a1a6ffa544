"""`brandpulse stats`: totals over all hour panes, and counts of posts that are in none."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import redis
from rich.box import SIMPLE_HEAD
from rich.table import Table

from brandpulse.config.settings import Settings, load_settings
from brandpulse.redis.client import connect
from brandpulse.redis.error_hints import reaching_redis
from brandpulse.runtime.clock import wall_ms
from brandpulse.runtime.console import Console
from brandpulse.state.diagnosis.stream_report import StreamReport, stream_report
from brandpulse.state.keys import AlertingKeys, brand_of, facet_of
from brandpulse.state.live_sources import periods, read_gaps, read_sources
from brandpulse.state.outcomes.language_counts import total_by_brand
from brandpulse.state.outcomes.post_outcomes import shown_source
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.panes import Pane
from ingest.sources.spending.ledger import MICRO, RedisLedger, Spending

GAP_AGE = timedelta(days=7)
MOST_GAPS = 10
"""Printed; `brandpulse ingest gaps` lists all."""
DELAY_NOTE = (
    "delay: expected time until a negative share that rises by 25 points is detected, from the brand's volume and "
    "history; watermark and evaluation add 2 to 3 minutes."
)


def collect(settings: Settings | None = None) -> dict[str, Any]:
    """`{"brands": {NAME: {"posts": n, "negative": n, ..., "irrelevant": n}}, "late": n, ...}`.

    `"languages": {NAME: {CODE: n}}` are its posts by language since the namespace began, `other` those in an
    unsupported one; empty if workers do not identify languages.
    `"facets"` is the same for each facet of a brand, `{NAME: {FACET: {"posts": n, ...}}}`. `posts` is the sum of the
    four. A post that names two brands counts for both, with a sentiment for each.
    `"expected_delay_minutes": {NAME: n}` is the expected detection delay of a negative share that rises by 25 points,
    as an alerter stored it; None: more than a day. A brand is missing while its baseline is learned or if no alerter
    ran. `"sources"` has the outcomes of each source's posts in the newest hour, `"problems"` what `stream_report` found
    in them. `"live_sources": {NAME: {"status": s, "away_since": t, "last_event": t, "lag_seconds": n, "reconnects": n,
    "outcomes": {WORD: n}, ...}}` is what each live source does, `"gaps"` the periods of the last 7 days that one could
    not read. `"spending": {NAME: {"unit": "dollars" or "units", "spent": n, "limit": n}}` is what each paid or limited
    live source has used up today. Raises ConfigError, TransientError.
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
        "languages": total_by_brand(status.languages for status in partitions),
        "expected_delay_minutes": expected_delays(client, settings.namespace),
        "late": sum(status.late for status in partitions),
        "repeated": sum(status.repeated for status in partitions),
        "dead": sum(status.dead for status in partitions),
        "unmatched": sum(status.unmatched for status in partitions),
        "lag": sum(status.lag for status in partitions),
        "unread": sum(status.unread for status in partitions),
        "keyless": sum(status.keyless for status in partitions),
        **_recent(stream_report(partitions), now_ms=wall_ms()),
        **_live_sources(client, settings.namespace, now=datetime.now(UTC)),
        "spending": _spending(RedisLedger(client, settings.namespace).spendings(datetime.now(UTC))),
    }


def _live_sources(client: redis.Redis, namespace: str, *, now: datetime) -> dict[str, Any]:
    sources = read_sources(client, namespace)
    shown = periods(sources, read_gaps(client, namespace), now=now)
    recent = [period for period in shown if now - period.end < GAP_AGE]
    return {
        "live_sources": {
            name: msgspec.to_builtins(msgspec.structs.asdict(source) | {"status": source.shown_status(now)})
            for name, source in sources.items()
        },
        "gaps": [msgspec.to_builtins(period) for period in recent],
    }


def _spending(found: Sequence[Spending]) -> dict[str, dict[str, Any]]:
    scale = {"dollars": MICRO, "units": 1}
    return {
        one.source: {
            "unit": one.limit.unit,
            "spent": one.spent / scale[one.limit.unit],
            "limit": one.limit.amount / scale[one.limit.unit],
        }
        for one in found
    }


def _recent(report: StreamReport, *, now_ms: int) -> dict[str, Any]:
    """Outcomes of the posts of the newest hour, and their causes."""
    when = report.when(now_ms)
    return {
        "sources": {
            shown_source(source.source): dict(sorted(source.post_outcomes.items())) for source in report.sources
        },
        "problems": [
            {
                "kind": problem.kind,
                "source": problem.source,
                "posts": problem.posts,
                "of": problem.of,
                "reason": problem.reason,
                "sentence": problem.sentence(when),
                "remedy": problem.remedy,
            }
            for problem in report.problems
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
    """Expected detection delay in minutes by brand, as the alerter stored it. Raises TransientError."""
    with reaching_redis():
        stored: dict[bytes, bytes] = client.hgetall(AlertingKeys(namespace).delays)  # type: ignore[assignment]
    minutes = {brand.decode(): float(seconds) / 60 for brand, seconds in stored.items()}
    return {brand: round(delay, 1) if math.isfinite(delay) else None for brand, delay in sorted(minutes.items())}


def _source_table(totals: dict[str, Any]) -> Table:
    """What each live source does."""
    table = Table("live source", "status", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("newest post", "reconnects", "sent", "other events"):
        table.add_column(name, justify="right")
    for name, source in totals["live_sources"].items():
        outcomes = source["outcomes"]
        sent = outcomes.get("sent", 0)
        last = source["last_event"]
        table.add_row(
            name,
            source["status"],
            datetime.fromisoformat(last).strftime("%d %b %H:%M:%S") if last else "",
            f"{source['reconnects']:,}",
            f"{sent:,}",
            f"{sum(outcomes.values()) - sent:,}",
        )
    return table


def _gap_line(gap: dict[str, Any]) -> str:
    begin, end = (datetime.fromisoformat(gap[edge]).strftime("%Y-%m-%d %H:%M") for edge in ("begin", "end"))
    period = f"since {begin} UTC" if gap["state"] == "away" else f"{begin} to {end} UTC"
    what = {
        "away": "not read {}; posts may be missing",
        "rereading": "reads {} again; counts are not complete yet",
        "lost": "could not read {}; posts may be missing",
        "refilled": "read {} later; counts are complete, alerts of this period may be missing",
    }[gap["state"]].format(period)
    return f"{gap['source']}: {what} ({gap['reason']})"


def delay_text(delays: Mapping[str, float | None], brand: str) -> str:
    """The detection delay of *brand* in words."""
    if brand not in delays:
        return "not known yet"
    minutes = delays[brand]
    if minutes is None:
        return "over a day"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def render(totals: dict[str, Any]) -> None:
    """Print *totals*, as `collect` returns them, as a table."""
    console = Console()
    dropped = sum(totals[kind] for kind in ("dead", "unmatched")) + totals.get("unread", 0)
    if not totals["brands"] and not dropped:
        console.print("No posts counted yet. Send some with `brandpulse ingest file PATH`.")
    elif not totals["brands"]:
        console.print(f"None of {dropped:,} posts is counted for a brand.")
    kinds = ("posts", "negative", "neutral", "positive", "irrelevant")
    delays = totals["expected_delay_minutes"]
    # Eight columns must fit a terminal of 80 characters; with lines between them, the headings were cut.
    table = Table("brand", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in (*kinds, "share", "delay"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in totals["brands"].items():
        relevant = row["posts"] - row["irrelevant"]
        share = row["negative"] / relevant if relevant else 0.0
        table.add_row(name, *(f"{row[kind]:,}" for kind in kinds), f"{share:.0%}", delay_text(delays, name))
    console.print(table)
    if totals["brands"]:
        console.print(DELAY_NOTE, style="dim")
    if totals["facets"]:
        console.print(_facet_table(totals))
    if any(set(languages) - {"en"} for languages in totals.get("languages", {}).values()):
        console.print(_language_table(totals))
    others = ("late", "repeated", "dead", "unmatched", "unread", "keyless", "lag")
    console.print("  ".join(f"{name} {totals[name]:,}" for name in others if name in totals))
    if totals.get("live_sources"):
        console.print(_source_table(totals))
    for gap in totals.get("gaps", ())[-MOST_GAPS:]:
        console.print(_gap_line(gap), markup=False)
    for source, use in totals.get("spending", {}).items():
        shown = "${:,.2f}" if use["unit"] == "dollars" else "{:,.0f} units"
        spent, limit = shown.format(use["spent"]), shown.format(use["limit"])
        console.print(f"{source}: {spent} of {limit} used today", markup=False)
    for problem in totals.get("problems", ()):
        # Sources and near misses are outside input: the console prints them without markup.
        console.print(f"{problem['sentence']}\n  -> {problem['remedy']}")


def _language_table(totals: dict[str, Any]) -> Table:
    """Posts of each brand by language."""
    table = Table("brand", "posts by language", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for brand, languages in totals["languages"].items():
        posts = sum(languages.values())
        table.add_row(brand, ", ".join(f"{code} {count:,} ({count / posts:.0%})" for code, count in languages.items()))
    return table


def _facet_table(totals: dict[str, Any]) -> Table:
    """Posts of each facet, and their share of the brand's posts."""
    table = Table("brand", "facet", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("posts", "negative", "of all posts"):
        table.add_column(name, justify="right", no_wrap=True)
    for brand, facets in totals["facets"].items():
        brand_posts = totals["brands"].get(brand, {}).get("posts", 0)
        for facet, row in facets.items():
            share = f"{row['posts'] / brand_posts:.1%}" if brand_posts else ""
            table.add_row(brand, facet, f"{row['posts']:,}", f"{row['negative']:,}", share)
    return table
