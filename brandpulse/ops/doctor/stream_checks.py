"""What `brandpulse doctor` says of the posts that came in the newest hour: what became of them, and why."""

import time

from brandpulse.config.settings import Settings
from brandpulse.ops.doctor.finding import Finding
from brandpulse.redis.client import connect
from brandpulse.state.diagnosis.stream_report import StreamReport, stream_report
from brandpulse.state.pane_reader import PaneReader


def check_stream(settings: Settings) -> list[Finding]:
    """Nothing here keeps posts from flowing: all are warnings. Raises ConfigError, TransientError."""
    reader = PaneReader(connect(settings.redis_address(), timeout_seconds=5), settings.namespace)
    return judge_stream(stream_report(reader.partitions()), now_ms=time.time_ns() // 1_000_000)


def judge_stream(report: StreamReport, *, now_ms: int) -> list[Finding]:
    """Pure."""
    if not report.posts:
        return [Finding("posts", "none came yet")]
    when = report.when(now_ms)
    found = [Finding("posts", problem.sentence(when), problem.remedy, warning=True) for problem in report.problems]
    return found or [Finding("posts", f"{report.posts:,} came {when}, {report.counted:,} of them counted for a brand")]
