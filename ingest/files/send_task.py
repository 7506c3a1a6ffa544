"""Types of a run: its task, destination, context, counts and result."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from ingest.files.checkpoint import Order
from ingest.files.forms.formats import Format
from ingest.files.reading.read_summary import ReadSummary
from ingest.files.reading.time_zones import UTC_ZONE, Zone
from ingest.files.sent.ledger import Ledger
from ingest.files.times.time_scan import Times
from ingest.worker_states import MemoryWorkerStates, WorkerStates

IN_ORDER = timedelta(minutes=1)
"""A row that is this much older than an earlier row still counts as in order: the workers accept two minutes."""
WINDOW_POSTS = 8_192
PACED_WINDOW_POSTS = 64


@dataclass(frozen=True, slots=True)
class Task:
    """What to send and how. At most one of *posts_per_second* and *speed*; with neither, as fast as possible."""

    path: Path
    source: str
    rejects: Path
    mapping: Mapping[str, str] = field(default_factory=dict)
    format: Format | None = None
    encoding: str | None = None
    assume_utc: bool = False
    time_zone: Zone | None = None
    """Of times without one. Not together with *assume_utc*."""
    preset: str | None = None
    """Name of the columns' preset, or `none`; None: recognised by the columns."""
    name: str = ""
    """Shown instead of the path."""
    day_first: bool | None = None
    source_is_given: bool = False
    trust_ids: bool = False
    posts_per_second: float | None = None
    speed: float | None = None
    """Multiple of the recorded speed; posts are sorted by time first."""
    shift_to_now: bool = False
    again: bool = False
    """Send all posts, including posts that were sent before."""
    order: Literal["auto", "file", "time"] = "auto"
    """Order of sending. auto: by time, unless the file is in order already."""
    far: Literal["ask", "send", "reject"] = "ask"
    """What to do with rows whose times are far from the rest. ask: list them and send nothing."""
    uncertain: Literal["ask", "send", "skip"] = "ask"
    """What to do with posts that may have been counted. ask: stop before the first of them."""

    def send_order(self, times: Times) -> Order:
        if self.speed is not None or self.shift_to_now:
            return "time"
        if self.order == "auto":
            return "file" if times.step_back <= IN_ORDER else "time"
        return self.order

    @property
    def zone(self) -> Zone | None:
        """The zone of times without one."""
        return UTC_ZONE if self.assume_utc else self.time_zone

    @property
    def reading_key(self) -> str:
        """Differs between runs that may reject different rows; empty with default options."""
        options = {
            "encoding": self.encoding,
            "utc": self.assume_utc or None,
            "zone": self.time_zone.name if self.time_zone is not None else None,
            "day_first": self.day_first,
            "preset": self.preset,
            "trust_ids": self.trust_ids or None,
        }
        return "".join(f"{name}={value};" for name, value in options.items() if value is not None)

    @property
    def window_posts(self) -> int:
        """Posts that are written to the ledger at once, before the first of them is sent."""
        if self.posts_per_second is not None:
            return max(1, min(WINDOW_POSTS, int(self.posts_per_second)))
        return WINDOW_POSTS if self.speed is None else PACED_WINDOW_POSTS


@dataclass(frozen=True, slots=True)
class Destination:
    """The topic and its identity, and the stores of earlier runs."""

    bootstrap_servers: str
    topic: str
    topic_id: str
    namespace: str
    home: Path
    """Checkpoints are in `<home>/ingest/`."""
    ledger: Ledger | None = None
    """Posts that were sent from files before; None without Redis."""
    states: WorkerStates = field(default_factory=MemoryWorkerStates)
    note: str | None = None
    """A message for the user about it."""
    topic_id_now: Callable[[], str] | None = None
    """Reads the topic's id from the broker again. Raises TransientError."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """Clocks, messages and signals, provided by the entry point."""

    notify: Callable[[str], None] = lambda text: None
    """Shows the user a message."""
    should_stop: Callable[[], bool] = lambda: False
    """Whether to stop early, cleanly."""
    progress: Callable[["Counts", float], None] = lambda counts, share: None
    """Called about once a second with the share of the file that was read."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Counts:
    """Every row is exactly one of sent, duplicate and rejected."""

    sent: int = 0
    """Confirmed by the broker in this run."""
    duplicates: int = 0
    """An earlier row has the same id, or an earlier run has sent the post."""
    rejected: int = 0
    sent_before: int = 0
    """Duplicates that an earlier run has sent."""
    changed: int = 0
    """Posts sent before whose text, author or time is different now."""
    other_source: int = 0
    """Posts sent before under another source."""

    @property
    def read(self) -> int:
        return self.sent + self.duplicates + self.rejected


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended."""

    counts: Counts
    already_sent: bool = False
    stopped: bool = False
    failure: str | None = None
    """Why not all posts were sent."""
    begin: Mapping[int, int] = field(default_factory=dict)
    """By partition, the end of the log before the first post was sent."""
    source: str | None = None
    """Source of all posts; None if rows have their own."""
    summary: ReadSummary = field(default_factory=ReadSummary)
    """About the rows that this run read."""
