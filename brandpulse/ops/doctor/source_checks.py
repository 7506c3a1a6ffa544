"""Checks of `brandpulse doctor` on live sources: whether they read, and what they missed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from brandpulse.config.settings import Settings
from brandpulse.ops.doctor.finding import Finding
from brandpulse.redis.client import connect
from brandpulse.runtime.service_registry import running
from ingest.settings import IngestSettings
from ingest.sources.position_store import GapRecord, Position, RedisPositionStore
from ingest.sources.sources_file import load_sources

QUIET_AFTER = timedelta(minutes=15)
"""A source that has saved no position for so long may not run."""
GAP_AGE = timedelta(days=1)
MOST_GAPS = 5


def check_sources(settings: Settings, ingest: IngestSettings) -> list[Finding]:
    """Findings for each source of the sources file; none without a file. Raises ConfigError, TransientError."""
    if not ingest.sources_file.exists():
        return []
    wanted = [source.name for source in load_sources(ingest.sources_file) if source.enabled]
    store = RedisPositionStore(connect(settings.redis_address()), settings.namespace)
    runs = bool(running(settings.home, "ingest"))
    return findings(wanted, store.positions(), store.gaps(), now=datetime.now(UTC), runs=runs)


def findings(
    wanted: Sequence[str],
    positions: Mapping[str, Position],
    gaps: Sequence[GapRecord],
    *,
    now: datetime,
    runs: bool,
) -> list[Finding]:
    """Pure. *runs*: `ingest run` is announced on this machine."""
    found = []
    for name in wanted:
        position = positions.get(name)
        if position is not None and now - position.saved_at < QUIET_AFTER:
            found.append(Finding("sources", f"{name} reads; newest post {_ago(position.last_event, now)}"))
            continue
        state = (
            "never had a position" if position is None else f"saved its last position {_ago(position.saved_at, now)}"
        )
        remedy = "`brandpulse ingest check` names the fault" if runs else "start `brandpulse ingest run`"
        found.append(Finding("sources", f"{name} {state}", remedy, warning=True))
    recent = [gap for gap in gaps if gap.noted_at is not None and now - gap.noted_at < GAP_AGE and not gap.refilled]
    for gap in recent[:MOST_GAPS]:
        period = f"{gap.begin:%Y-%m-%d %H:%M} to {gap.end:%Y-%m-%d %H:%M} UTC"
        remedy = "posts of this period may be missing; `brandpulse ingest gaps` lists all periods"
        found.append(Finding("sources", f"{gap.source} could not read {period}: {gap.reason}", remedy, warning=True))
    return found


def _ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "unknown"
    minutes = max(0, round((now - moment).total_seconds() / 60))
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"
