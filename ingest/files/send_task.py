"""What a run sends, where to, and how it ends."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from ingest.files.checkpoint import Order
from ingest.files.reading.read_summary import ReadSummary
from ingest.files.reading.row_reader import Format
from ingest.files.sent.ledger import Ledger
from ingest.files.times.time_scan import Times
from ingest.worker_states import MemoryWorkerStates, WorkerStates

IN_ORDER = timedelta(minutes=1)
"""A row so far before an earlier one is still on time for the workers, whose watermark lies two minutes behind."""
WINDOW_POSTS = 8_192
PACED_WINDOW_POSTS = 64


@dataclass(frozen=True, slots=True)
class Task:
    """What to send and how. At most one of *posts_per_second* and *speed*; with neither, as fast as can be."""

    path: Path
    source: str
    rejects: Path
    mapping: Mapping[str, str] = field(default_factory=dict)
    format: Format | None = None
    encoding: str | None = None
    assume_utc: bool = False
    day_first: bool | None = None
    source_is_given: bool = False
    trust_ids: bool = False
    posts_per_second: float | None = None
    speed: float | None = None
    """Multiple of the recorded time; posts are sorted by it first."""
    shift_to_now: bool = False
    again: bool = False
    """Send everything, also what was sent before."""
    order: Literal["auto", "file", "time"] = "auto"
    """In which order to send. auto: by time, unless the file stands in order already."""
    far: Literal["ask", "send", "reject"] = "ask"
    """What to do with rows whose times lie far from the rest. ask: send nothing, and name them."""
    uncertain: Literal["ask", "send", "skip"] = "ask"
    """What to do with posts of which it is not known whether they were counted. ask: stop before the first."""

    def order_of(self, times: Times) -> Order:
        if self.speed is not None or self.shift_to_now:
            return "time"
        if self.order == "auto":
            return "file" if times.step_back <= IN_ORDER else "time"
        return self.order

    @property
    def reading_key(self) -> str:
        """Tells apart two runs of which one may reject rows that the other sends; empty: all is as usual."""
        chosen = {
            "encoding": self.encoding,
            "utc": self.assume_utc or None,
            "day_first": self.day_first,
            "trust_ids": self.trust_ids or None,
        }
        return "".join(f"{name}={value};" for name, value in chosen.items() if value is not None)

    @property
    def window_posts(self) -> int:
        """How many posts are written to the ledger at a time, before the first of them is sent."""
        if self.posts_per_second is not None:
            return max(1, min(WINDOW_POSTS, int(self.posts_per_second)))
        return WINDOW_POSTS if self.speed is None else PACED_WINDOW_POSTS


@dataclass(frozen=True, slots=True)
class Destination:
    """The topic, and what tells this one from its namesakes."""

    bootstrap_servers: str
    topic: str
    topic_id: str
    namespace: str
    home: Path
    """Checkpoints lie in `<home>/ingest/`."""
    ledger: Ledger | None = None
    """What was sent from files before; None: there is no Redis to keep it in."""
    states: WorkerStates = field(default_factory=MemoryWorkerStates)
    note: str | None = None
    """What to tell the person about it."""
    topic_id_now: Callable[[], str] | None = None
    """Asks the broker for the topic's id again. Raises TransientError."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The clocks, the person, and the signals, handed in by the entry point."""

    notify: Callable[[str], None] = lambda text: None
    """Tells the person something."""
    should_stop: Callable[[], bool] = lambda: False
    """Whether to end early, cleanly."""
    progress: Callable[["Counts", float], None] = lambda counts, share: None
    """Called about once a second, with the share of the file that was read."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Counts:
    """Every row is exactly one of them."""

    sent: int = 0
    """Confirmed by the broker, in this run."""
    duplicates: int = 0
    """The id stood in the file before, or an earlier run had sent it."""
    rejected: int = 0
    sent_before: int = 0
    """Those of the repeated that an earlier run had sent."""
    changed: int = 0
    """Those sent before whose text, author or time is another now."""
    other_source: int = 0
    """Those sent before under another source."""

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
    """What the broker said when it did not take everything."""
    begin: Mapping[int, int] = field(default_factory=dict)
    """By partition, the log's end before the first post was sent."""
    source: str | None = None
    """Of all posts; None: rows have their own."""
    summary: ReadSummary = field(default_factory=ReadSummary)
    """Of the rows that this run read."""
