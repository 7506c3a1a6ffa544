"""Finds the posts that earlier runs have sent, by comparing the ledger with the current logs."""

import hashlib
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from brandpulse.errors import TransientError
from brandpulse.state.applied_logs import AppliedLogs
from ingest.files.reading.row_mapping import OutgoingPost
from ingest.files.sent.ledger import UNKNOWN, Digests, Ledger, Window
from ingest.topic_reader import LogEnds, TopicPost

LEAVE_SECONDS = 30.0
"""How long a run waits for workers to leave a deleted log, before it resends posts that were not counted from it."""

SHIFTED = "shifted\0"
_SOURCE = b',"source":"'
_MIX = np.uint64(0x9E3779B97F4A7C15)


class SentStatus(IntEnum):
    """What the ledger records about a post."""

    NEW = 0
    SENT = 1
    CHANGED = 2
    """Its source and id were sent with another text, author or time."""
    OTHER_SOURCE = 3
    """Its id, time, author and text were sent under another source."""
    UNCERTAIN = 4
    """Its sender was killed before the delivery was confirmed, and the log is deleted."""


class PostDigester:
    """Computes two 8-byte digests of each post: of (source, id), and of its content (id, time, author, text).

    Two of n posts collide with probability n²/2⁶⁵; the content digests of n posts in two sources with n/2³².
    """

    def __init__(self, *, shifted: bool) -> None:
        """*shifted*: times are moved to now, which makes them other posts than the unshifted ones."""
        self._salt = SHIFTED if shifted else ""
        self._shifted = shifted
        self._sources: dict[str, int] = {}

    def digests(self, posts: Sequence[OutgoingPost]) -> tuple[Digests, Digests]:
        blake, crc = hashlib.blake2b, zlib.crc32
        ids = np.frombuffer(b"".join([blake(post.id.encode(), digest_size=8).digest() for post in posts]), "<u8")
        payloads = [post.payload for post in posts]
        content_ends = [payload.find(_SOURCE) for payload in payloads]
        content_crcs = np.array(
            [crc(payload[:end]) for payload, end in zip(payloads, content_ends, strict=True)], dtype=np.uint64
        )
        names = [post.source for post in posts]
        distinct = set(names)
        many = names if len(distinct) > 1 else distinct
        named: Digests = np.bitwise_xor(ids, np.array([self._source(name) for name in many], dtype=np.uint64))
        # The time of a shifted post differs in each run, so only its id counts.
        return named, named if self._shifted else ids ^ (content_crcs * _MIX)

    @staticmethod
    def stored_digests(source: str, post_id: str) -> tuple[int, int]:
        """The possible (source, id) digests of a post in the topic: unshifted and shifted."""
        post = int.from_bytes(hashlib.blake2b(post_id.encode(), digest_size=8).digest(), "little")
        return post ^ _source_digest("", source), post ^ _source_digest(SHIFTED, source)

    def _source(self, name: str) -> int:
        found = self._sources.get(name)
        if found is None:
            found = self._sources[name] = _source_digest(self._salt, name)
        return found


def _source_digest(salt: str, name: str) -> int:
    return int.from_bytes(hashlib.blake2b((salt + name).encode(), digest_size=8, person=b"source").digest(), "little")


@dataclass(slots=True)
class SentPosts:
    """Posts not to send: they are in the topic, were counted from an earlier log, or another run sends them."""

    version: int = 0
    posts_forgotten: int = 0
    to_send_again: int = 0
    """Posts that were sent to a deleted log and not counted from it."""
    _ids: list[Digests] = field(default_factory=list)
    _contents: list[Digests] = field(default_factory=list)
    """Of windows with one source for all posts."""
    _own_contents: list[Digests] = field(default_factory=list)
    """Of windows whose posts have their own sources."""
    _uncertain: list[Digests] = field(default_factory=list)
    _sorted: tuple[Digests, Digests, Digests, Digests] | None = None

    def __len__(self) -> int:
        return sum(len(ids) for ids in self._ids)

    @property
    def empty(self) -> bool:
        return not any(map(len, (*self._ids, *self._uncertain)))

    def add_sent(self, window: Window) -> None:
        if len(window):
            self._ids.append(window.ids)
            (self._contents if window.source else self._own_contents).append(window.contents)
            self._sorted = None

    def add_uncertain(self, window: Window) -> None:
        if len(window):
            self._uncertain.append(window.ids)
            self._sorted = None

    def lookup(self, ids: Digests, contents: Digests, *, own_sources: bool = False) -> npt.NDArray[np.int8]:
        """A `SentStatus` for each post.

        *own_sources*: each post has its own source, so posts that differ only in their source are different posts. They
        are the same post if either was sent with one source for the whole file, which may be the file's name.
        """
        if self._sorted is None:
            parts = (self._ids, self._contents, self._own_contents, self._uncertain)
            ids_sent, contents_sent, own_contents, uncertain = (
                np.sort(np.concatenate(part)) if part else np.empty(0, np.uint64) for part in parts
            )
            self._sorted = ids_sent, contents_sent, own_contents, uncertain
            # Replaces the arrays of the windows, which take twice the memory.
            self._ids, self._contents = [ids_sent], [contents_sent]
            self._own_contents, self._uncertain = [own_contents], [uncertain]
        ids_sent, contents_sent, own_contents, uncertain = self._sorted
        by_id, by_file_content = _in(ids_sent, ids), _in(contents_sent, contents)
        by_content = by_file_content | _in(own_contents, contents)
        status = np.full(len(ids), SentStatus.NEW, np.int8)
        status[_in(uncertain, ids)] = SentStatus.UNCERTAIN
        status[by_file_content if own_sources else by_content] = SentStatus.OTHER_SOURCE
        status[by_id] = SentStatus.CHANGED
        status[by_id & by_content] = SentStatus.SENT
        return status


def _in(ordered: Digests, digests: Digests) -> npt.NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(digests), np.bool_)
    places = np.searchsorted(ordered, digests)
    places[places == len(ordered)] = 0
    return np.asarray(ordered[places] == digests)


class Log(Protocol):
    """The part of `TopicReader` that this module uses."""

    def posts_between(self, begin: Mapping[int, int], end: Mapping[int, int]) -> Iterator[TopicPost]: ...


def recover(
    ledger: Ledger,
    *,
    log: str,
    ends: LogEnds,
    applied: Callable[[Iterable[int]], AppliedLogs],
    reader: Log,
    sleep: Callable[[float], None] = time.sleep,
) -> SentPosts:
    """Posts of earlier runs that need not be sent again. Raises TransientError, StateError.

    Posts whose sender was killed are searched in the topic. Posts of a deleted log are included if they were counted.
    The ledger is corrected, so that the next run has less work.
    """
    contents = ledger.read()
    sent = SentPosts(contents.version, contents.posts_forgotten)
    work: list[tuple[int, bytes, Window]] = []
    alive: dict[str, bool] = {}
    for number, stored in enumerate(contents.windows, contents.first):
        window = Window.decode(stored)
        if window.run and window.run not in alive:
            alive[window.run] = _is_alive(ledger, window.run, sleep)
        if not window.log or (window.run and alive[window.run]):
            sent.add_sent(window)
        else:
            work.append((number, stored, window))
    if not work:
        return sent
    partitions = sorted(set(ends.high).union(*({int(p) for p in np.unique(w.partitions)} for _, _, w in work)) - {-1})
    done = _wait_until_left(work, log, applied, partitions, sleep)
    found = _find_unconfirmed(work, log, ends, reader)
    extra: list[Window] = []
    for number, stored, window in work:
        remaining, in_this_log = _reconcile(sent, window, log=log, ends=ends, done=done, found=found)
        extra += in_this_log
        if remaining.encode() != stored:
            ledger.settle(number, remaining, before=stored)
    for window in extra:
        if ledger.claim(sent.version, window) is None:
            raise TransientError("another `brandpulse ingest` has just started; run the command again")
        sent.version += 1
        sent.add_sent(window)
    return sent


def _is_alive(ledger: Ledger, run: str, sleep: Callable[[float], None]) -> bool:
    """Whether the run sends heartbeats. The last heartbeat of a killed run is still stored for a while."""
    left = ledger.seconds_left(run)
    while left > 0:
        sleep(0.25)
        now = ledger.seconds_left(run)
        if now > left:
            return True
        left = now
    return False


def _reconcile(
    sent: SentPosts,
    window: Window,
    *,
    log: str,
    ends: LogEnds,
    done: AppliedLogs,
    found: Mapping[int, tuple[int, int]],
) -> tuple[Window, list[Window]]:
    """The part of *window* to keep in place, and the part that was sent to another log but is in the current one."""
    window = window.select(np.ones(len(window), np.bool_), run="")
    in_this_log: list[Window] = []
    if found and window.unconfirmed.any():
        places = [found.get(int(digest), (UNKNOWN, UNKNOWN)) for digest in window.ids]
        is_found = window.unconfirmed & np.array([offset != UNKNOWN for _, offset in places])
        partitions = np.where(is_found, np.array([p for p, _ in places]), window.partitions).astype(np.int16)
        offsets = np.where(is_found, np.array([o for _, o in places]), window.offsets).astype(np.int64)
        moved = Window(window.log, "", window.source, window.since, window.ids, window.contents, partitions, offsets)
        if window.log == log:
            window = moved
        elif is_found.any():
            in_this_log = [moved.select(is_found, log=log)]
            window = window.select(~is_found)
    counted = _counted(window, done)
    if window.log == log:
        high = _by_partition(window.partitions, lambda partition: ends.high.get(partition, 0))
        remaining = window.select(~window.unconfirmed & (counted | (window.offsets < high)))
        sent.add_sent(remaining)
        sent.to_send_again += len(window) - len(remaining)
        return remaining, in_this_log
    none_applied = all(done.applied(window.log, partition) <= offset for partition, offset in window.since.items())
    uncertain = window.unconfirmed & (not none_applied)
    sent.add_sent(window.select(counted))
    sent.add_uncertain(window.select(uncertain))
    remaining = window.select(counted | uncertain)
    sent.to_send_again += len(window) - len(remaining)
    if not uncertain.any():
        remaining = remaining.select(np.ones(len(remaining), np.bool_), log="", since={})
    return remaining, in_this_log


def _by_partition(partitions: npt.NDArray[np.int16], value: Callable[[int], int]) -> npt.NDArray[np.int64]:
    distinct, places = np.unique(partitions, return_inverse=True)
    return np.array([value(int(partition)) for partition in distinct], np.int64)[places]


def _all_counted(window: Window, done: AppliedLogs) -> bool:
    return bool(np.all(_counted(window, done)))


def _counted(window: Window, done: AppliedLogs) -> npt.NDArray[np.bool_]:
    applied = _by_partition(window.partitions, lambda partition: done.applied(window.log, partition))
    return np.asarray(~window.unconfirmed & (window.offsets < applied))


def _wait_until_left(
    work: Sequence[tuple[int, bytes, Window]],
    log: str,
    applied: Callable[[Iterable[int]], AppliedLogs],
    partitions: Sequence[int],
    sleep: Callable[[float], None],
) -> AppliedLogs:
    """How far each log was applied, after no worker can apply more of the deleted logs.

    A worker that outlives its broker may still have a batch. Its posts must not be sent again before each partition
    reads another log.
    """
    done = applied(partitions)
    deleted = [window for _, _, window in work if window.log != log]
    waited = 0.0
    while waiting := {window.log for window in deleted if done.reads(window.log) and not _all_counted(window, done)}:
        if waited >= LEAVE_SECONDS:
            raise TransientError(
                f"posts of an earlier run were sent to a deleted topic ({', '.join(sorted(waiting))}). Which of them "
                "were counted is unknown until workers read the new topic. Start a worker (`brandpulse up` or "
                "`brandpulse worker`), then run the command again"
            )
        sleep(0.5)
        waited += 0.5
        done = applied(partitions)
    return done


def _find_unconfirmed(
    work: Sequence[tuple[int, bytes, Window]], log: str, ends: LogEnds, reader: Log
) -> dict[int, tuple[int, int]]:
    """(Partition, offset) in the current topic of posts without a confirmed delivery, by digest."""
    unconfirmed = [window for _, _, window in work if window.unconfirmed.any()]
    if not unconfirmed:
        return {}
    begin: dict[int, int] = {}
    for partition, low in ends.low.items():
        since = [window.since.get(partition, 0) if window.log == log else low for window in unconfirmed]
        begin[partition] = max(low, min(since))
    wanted = {int(digest) for window in unconfirmed for digest in window.ids[window.unconfirmed]}
    found: dict[int, tuple[int, int]] = {}
    for post in reader.posts_between(begin, ends.high):
        for digest in PostDigester.stored_digests(post.source, post.id):
            if digest in wanted:
                found[digest] = (post.partition, post.offset)
    return found
