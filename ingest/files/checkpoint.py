"""Confirmed progress of a file, stored on disk so that a stopped run can be resumed."""

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from brandpulse.errors import StateError
from brandpulse.runtime.service_registry import write_json
from ingest.files.reading.row import InputError

HEAD_BYTES = 64 * 1024

Order = Literal["file", "time"]


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Identifies the content of a file without reading all of it."""

    size_bytes: int
    modified_ns: int
    head: str
    """SHA-256 of the first 64 KiB."""

    @classmethod
    def of(cls, path: Path) -> "FileIdentity":
        status = path.stat()
        with path.open("rb") as file:
            head = hashlib.sha256(file.read(HEAD_BYTES)).hexdigest()
        return cls(status.st_size, status.st_mtime_ns, head)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Progress of one file into one topic: `<home>/ingest/<digest>.json`.

    The digest covers the absolute path, the topic's name and id, the namespace, the source, the column map and whether
    times are shifted. A recreated topic has another id, so its checkpoint is a new one.
    """

    file: FileIdentity
    order: Order
    start: dict[int, int]
    """By partition, the log's end before the first post of the file was sent."""
    next: dict[int, int] = field(default_factory=dict)
    """By partition, an offset at or before the first post after *confirmed*."""
    confirmed: int = 0
    """Number of the file's distinct posts, in sending order from the first, that are in the topic."""
    clean: bool = False
    """No delivery was open when this was written: no post after *confirmed* is in the topic."""
    finished: bool = False
    rows: int = 0
    rejected: int = 0
    shift_seconds: float = 0.0
    """Seconds that --shift-to-now added; a resumed run adds the same."""
    ledger: str = ""
    """Identity of the ledger that recorded the posts; empty without one."""
    far: str = ""
    """Key of the outlier rows that were rejected, and of the options for reading rows."""
    path: str = ""
    """The file's absolute path, for information."""


_ADAPTER = TypeAdapter(Checkpoint)


def checkpoint_path(
    home: Path,
    *,
    file: Path,
    topic: str,
    topic_id: str,
    namespace: str,
    source: str,
    mapping: Mapping[str, str],
    shifted: bool = False,
) -> Path:
    """Path of the checkpoint of this file and topic."""
    identity = [str(file.resolve()), topic, topic_id, namespace, source, sorted(mapping.items()), shifted]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
    return home / "ingest" / f"{digest}.json"


def load_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint at *path*; None if there is none. Raises StateError if it is damaged."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise StateError(
            f"the checkpoint {path} is damaged. Delete it to send the file from the start ({error})"
        ) from error


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint atomically. Raises InputError if it cannot be written."""
    try:
        write_json(path, asdict(checkpoint))
    except OSError as error:
        raise InputError(
            f"cannot write the checkpoint {path}: {error.strerror}. Set BRANDPULSE_HOME to a writable directory"
        ) from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file and topic. Raises InputError if another process holds it.

    The lock is released when the process ends, even if it is killed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("w")
    except OSError as error:
        raise InputError(
            f"cannot write to {path.parent}: {error.strerror}. Set BRANDPULSE_HOME to a writable directory"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("another `brandpulse ingest` is already sending this file to this topic") from None
        yield


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a run resumes."""

    confirmed: int
    """Number of posts, from the first, that are already sent."""
    begin: dict[int, int]
    """By partition, the earliest possible offset of this file's posts after *confirmed*."""
    read_back: bool
    """Whether the log from *begin* on may contain some of them."""
    note: str | None = None
    """A message for the user."""
    lost: bool = False
    """The topic no longer contains the posts of the checkpoint."""
    nothing_left: bool = False
    """The whole file was sent."""


def resume_point(
    previous: Checkpoint | None,
    *,
    file: FileIdentity,
    order: Order,
    low: Mapping[int, int],
    high: Mapping[int, int],
    ledger: str = "",
    far: str = "",
) -> ResumePoint:
    """Where to resume, given the previous run's checkpoint, and the current log ends and ledger identity."""
    fresh = ResumePoint(confirmed=0, begin=dict(high), read_back=False)
    if previous is None:
        return fresh
    if any(offset > high.get(partition, 0) for partition, offset in previous.next.items()):
        return replace(fresh, note="the topic has lost posts that were sent to it; sending from the start", lost=True)
    changed, same_ledger = previous.file != file, bool(ledger) and previous.ledger == ledger
    note = "the file has changed since it was sent; only new posts are sent" if changed else None
    same = not changed and previous.far == far
    # If the ledger differs from the checkpoint's, Redis has lost its state. The posts that this file sent are counted
    # from the topic again; posts that were skipped because they had been counted before are missing.
    complete = same_ledger or not previous.ledger or not ledger
    if previous.finished and same and complete:
        return replace(fresh, nothing_left=True)
    if same_ledger:
        return replace(fresh, note=note)
    if not same or not complete:
        return ResumePoint(0, {p: max(previous.start.get(p, 0), low[p]) for p in high}, read_back=True, note=note)
    same_order = previous.order == order
    begin = previous.next if same_order else previous.start
    return ResumePoint(
        confirmed=previous.confirmed if same_order else 0,
        begin={partition: max(begin.get(partition, 0), low[partition]) for partition in high},
        read_back=not (previous.clean and same_order),
    )
