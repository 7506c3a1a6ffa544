"""Checks of `brandpulse doctor` on live sources: whether they read, and what they missed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from brandpulse.config.settings import Settings
from brandpulse.ops.doctor.finding import Finding
from brandpulse.redis.client import connect
from brandpulse.runtime.service_registry import running
from brandpulse.state.live_sources import GapRecord, SourceRecord, periods, read_gaps, read_sources
from ingest.settings import IngestSettings
from ingest.sources.sources_file import load_sources

GAP_AGE = timedelta(days=1)
MOST_GAPS = 5


def check_sources(settings: Settings, ingest: IngestSettings) -> list[Finding]:
    """Findings for each source of the sources file; none without a file. Raises ConfigError, TransientError."""
    if not ingest.sources_file.exists():
        return []
    wanted = [source.name for source in load_sources(ingest.sources_file) if source.enabled]
    client = connect(settings.redis_address())
    sources, gaps = read_sources(client, settings.namespace), read_gaps(client, settings.namespace)
    runs = bool(running(settings.home, "ingest"))
    return findings(wanted, sources, gaps, now=datetime.now(UTC), runs=runs)


def findings(
    wanted: Sequence[str],
    sources: Mapping[str, SourceRecord],
    gaps: Sequence[GapRecord],
    *,
    now: datetime,
    runs: bool,
) -> list[Finding]:
    """Pure. *runs*: `ingest run` is announced on this machine."""
    remedy = "`brandpulse ingest check` names the fault" if runs else "start `brandpulse ingest run`"
    away = {one.source: one for one in periods(sources, (), now=now) if one.state == "away"}
    found = []
    for name in wanted:
        source = sources.get(name)
        if source is None:
            found.append(Finding("sources", f"{name} was never read", remedy, warning=True))
        elif name in away:
            observation = f"{name} has not been read for {_span(now - away[name].begin)}: {away[name].reason}"
            found.append(Finding("sources", observation, remedy, warning=True))
        else:
            found.append(Finding("sources", f"{name} {_state(source, now)}"))
        if source is not None and (again := source.rereading) is not None and name not in away:
            observation = f"{name} reads {again.begin:%H:%M} to {again.end:%H:%M} UTC again: {again.reason}"
            found.append(Finding("sources", observation))
    recent = [gap for gap in gaps if gap.noted_at is not None and now - gap.noted_at < GAP_AGE and not gap.refilled]
    for gap in recent[:MOST_GAPS]:
        period = f"{gap.begin:%Y-%m-%d %H:%M} to {gap.end:%Y-%m-%d %H:%M} UTC"
        remedy = "posts of this period may be missing; `brandpulse ingest gaps` lists all periods"
        found.append(Finding("sources", f"{gap.source} could not read {period}: {gap.reason}", remedy, warning=True))
    return found


def _state(source: SourceRecord, now: datetime) -> str:
    verb = "reads" if source.status == "reading" else f"is {source.shown_status(now)}"
    newest = f"{_span(now - source.last_event)} ago" if source.last_event is not None else "unknown"
    sent, others = source.outcomes.get("sent", 0), sum(source.outcomes.values()) - source.outcomes.get("sent", 0)
    return (
        f"{verb}; newest post {newest}; {sent:,} posts sent, {others:,} other events, "
        f"{source.reconnects:,} reconnects since its start"
    )


def _span(length: timedelta) -> str:
    minutes = max(0, round(length.total_seconds() / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
