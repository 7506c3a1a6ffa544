"""Checks of `brandpulse doctor` for the posts of the newest hour: their outcomes and causes."""

from brandpulse.config.settings import Settings
from brandpulse.ops.doctor.finding import Finding
from brandpulse.redis.client import connect
from brandpulse.runtime.clock import wall_ms
from brandpulse.state.diagnosis.stream_report import StreamReport, stream_report
from brandpulse.state.pane_reader import PaneReader


def check_stream(settings: Settings) -> list[Finding]:
    """Findings about the newest hour; problems are warnings. Raises ConfigError, TransientError."""
    reader = PaneReader(connect(settings.redis_address(), timeout_seconds=5), settings.namespace)
    return stream_findings(stream_report(reader.partitions()), now_ms=wall_ms())


def stream_findings(report: StreamReport, *, now_ms: int) -> list[Finding]:
    """Findings for *report*. Pure."""
    if not report.posts:
        return [Finding("posts", "no posts yet")]
    when = report.when(now_ms)
    found = [Finding("posts", problem.sentence(when), problem.remedy, warning=True) for problem in report.problems]
    return found or [Finding("posts", f"{report.posts:,} posts {when}, {report.counted:,} of them counted for a brand")]
