"""How far a file's delivery is confirmed, kept on disk so that a stopped run goes on where it was."""

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
    """Tells one state of a file from another without reading all of it."""

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
    """One file on its way into one topic: `<home>/ingest/<digest>.json`.

    The digest is over the absolute path, the topic's name and id, the namespace, the source, the column map and whether
    times are shifted: a topic made anew has another id, so nothing is taken for sent that it does not hold.
    """

    file: FileIdentity
    order: Order
    start: dict[int, int]
    """By partition, the log's end before the first post of the file was sent."""
    next: dict[int, int] = field(default_factory=dict)
    """By partition, an offset at or below the first post beyond *confirmed*."""
    confirmed: int = 0
    """Of the file's distinct posts, in sending order, so many of the first ones stand in the topic."""
    clean: bool = False
    """Nothing was on its way when this was written: no post beyond *confirmed* stands in the topic."""
    finished: bool = False
    rows: int = 0
    rejected: int = 0
    shift_seconds: float = 0.0
    """What --shift-to-now added; the same for the rest of the file."""
    ledger: str = ""
    """Identity of the ledger that the posts were written to; empty: there was none."""
    far: str = ""
    """Which rows were rejected for times far from the rest, and how rows were read."""
    path: str = ""
    """The file's absolute path, for people to read."""


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
    """Where the checkpoint of this file into this topic lies."""
    identity = [str(file.resolve()), topic, topic_id, namespace, source, sorted(mapping.items()), shifted]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
    return home / "ingest" / f"{digest}.json"


def load(path: Path) -> Checkpoint | None:
    """None if there is none. Raises StateError if it is damaged."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise StateError(
            f"the checkpoint {path} is damaged. Delete it to send the file from its beginning ({error})"
        ) from error


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint at once. Raises InputError if it cannot be written."""
    try:
        write_json(path, asdict(checkpoint))
    except OSError as error:
        raise InputError(f"cannot write the checkpoint {path}: {error.strerror}. See BRANDPULSE_HOME") from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """While inside, no other process sends the same file to the same topic. Raises InputError if one does.

    The lock goes with the process, also with one that was killed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("w")
    except OSError as error:
        raise InputError(f"cannot write into {path.parent}: {error.strerror}. See BRANDPULSE_HOME") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("another `brandpulse ingest` is sending this file to this topic") from None
        yield


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a run begins."""

    confirmed: int
    """So many of the first posts need no sending."""
    begin: dict[int, int]
    """By partition, where the posts of this file beyond *confirmed* begin at the earliest."""
    read_back: bool
    """Whether the log from *begin* on may hold some of them."""
    note: str | None = None
    """What to tell the person."""
    lost: bool = False
    """The topic no longer holds what the checkpoint says."""
    nothing_left: bool = False
    """The whole file was sent."""


def resume_point(
    known: Checkpoint | None,
    *,
    file: FileIdentity,
    order: Order,
    low: Mapping[int, int],
    high: Mapping[int, int],
    ledger: str = "",
    far: str = "",
) -> ResumePoint:
    """Where to begin, given the checkpoint of an earlier run, and the log's ends and the ledger's identity now."""
    fresh = ResumePoint(confirmed=0, begin=dict(high), read_back=False)
    if known is None:
        return fresh
    if any(offset > high.get(partition, 0) for partition, offset in known.next.items()):
        return replace(fresh, note="the topic has lost what was sent to it: beginning anew", lost=True)
    changed, trusted = known.file != file, bool(ledger) and known.ledger == ledger
    note = "the file has changed since it was sent: only what is new is sent" if changed else None
    same = not changed and known.far == far
    # With another ledger than the checkpoint's, Redis has lost its state: what this file sent to the topic is counted
    # from there, but what was left out, since it had been counted before, is not.
    kept = trusted or not known.ledger or not ledger
    if known.finished and same and kept:
        return replace(fresh, nothing_left=True)
    if trusted:
        return replace(fresh, note=note)
    if not same or not kept:
        return ResumePoint(0, {p: max(known.start.get(p, 0), low[p]) for p in high}, read_back=True, note=note)
    same_order = known.order == order
    begin = known.next if same_order else known.start
    return ResumePoint(
        confirmed=known.confirmed if same_order else 0,
        begin={partition: max(begin.get(partition, 0), low[partition]) for partition in high},
        read_back=not (known.clean and same_order),
    )
