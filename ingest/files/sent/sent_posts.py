"""Which posts an earlier run has sent, so that they must not be sent again: the ledger against the logs as they are."""

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
"""How long a run waits until workers have left a log that is gone, before it sends again what they had not counted."""

SHIFTED = "shifted\0"
_SOURCE = b',"source":"'
_MIX = np.uint64(0x9E3779B97F4A7C15)


class SentStatus(IntEnum):
    """What the ledger knows of a post."""

    NEW = 0
    SENT = 1
    CHANGED = 2
    """Its source and id were sent, with another text, author or time."""
    OTHER_SOURCE = 3
    """Its id, time, author and text were sent, under another source."""
    UNCERTAIN = 4
    """Its sender was killed before the broker answered, and the log is gone."""


class PostDigester:
    """Two digests of each post, of 8 bytes: of (source, id), and of what it says (id, time, author, text).

    Two of n posts share one with probability n²/2⁶⁵; of n posts with one id in two sources, the second with n/2³².
    """

    def __init__(self, *, shifted: bool) -> None:
        """*shifted*: times are moved to now, so what was sent unmoved is another post."""
        self._salt = SHIFTED if shifted else ""
        self._shifted = shifted
        self._sources: dict[str, int] = {}

    def digests(self, posts: Sequence[OutgoingPost]) -> tuple[Digests, Digests]:
        blake, crc = hashlib.blake2b, zlib.crc32
        ids = np.frombuffer(b"".join([blake(post.id.encode(), digest_size=8).digest() for post in posts]), "<u8")
        payloads = [post.payload for post in posts]
        places = [payload.find(_SOURCE) for payload in payloads]
        said = np.array(
            [crc(payload[:place]) for payload, place in zip(payloads, places, strict=True)], dtype=np.uint64
        )
        names = [post.source for post in posts]
        distinct = set(names)
        many = names if len(distinct) > 1 else distinct
        named: Digests = np.bitwise_xor(ids, np.array([self._source(name) for name in many], dtype=np.uint64))
        # A shifted post's time is another in each run: it is known by its id alone.
        return named, named if self._shifted else ids ^ (said * _MIX)

    @staticmethod
    def stored_digests(source: str, post_id: str) -> tuple[int, int]:
        """The digests of (source, id) that a post in the topic can have: sent as it was, or shifted."""
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
    """What is held: it stands in the topic, was counted from an earlier log, or another run is sending it."""

    version: int = 0
    posts_forgotten: int = 0
    to_send_again: int = 0
    """Posts that were sent to a log that is gone, and not counted from it."""
    _ids: list[Digests] = field(default_factory=list)
    _contents: list[Digests] = field(default_factory=list)
    """Of windows whose posts have one source for all."""
    _own_contents: list[Digests] = field(default_factory=list)
    """Of windows whose posts each have their own."""
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

        *own_sources*: each post has its own source, so two that differ in nothing else are two posts. They are one if
        either was sent with a source for the whole file, which may be that file's name.
        """
        if self._sorted is None:
            parts = (self._ids, self._contents, self._own_contents, self._uncertain)
            held, said, own, unsure = (
                np.sort(np.concatenate(part)) if part else np.empty(0, np.uint64) for part in parts
            )
            self._sorted = held, said, own, unsure
            # In place of the windows as they were stored, which take twice as much.
            self._ids, self._contents, self._own_contents, self._uncertain = [held], [said], [own], [unsure]
        held, said, own, unsure = self._sorted
        by_id, elsewhere = _in(held, ids), _in(said, contents)
        by_content = elsewhere | _in(own, contents)
        seen = np.full(len(ids), SentStatus.NEW, np.int8)
        seen[_in(unsure, ids)] = SentStatus.UNCERTAIN
        seen[elsewhere if own_sources else by_content] = SentStatus.OTHER_SOURCE
        seen[by_id] = SentStatus.CHANGED
        seen[by_id & by_content] = SentStatus.SENT
        return seen


def _in(ordered: Digests, wanted: Digests) -> npt.NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(wanted), np.bool_)
    places = np.searchsorted(ordered, wanted)
    places[places == len(ordered)] = 0
    return np.asarray(ordered[places] == wanted)


class Log(Protocol):
    """The part of `TopicReader` that is needed here."""

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
    """What earlier runs sent, as far as it need not be sent again. Raises TransientError, StateError.

    Posts whose sender was killed are looked for in the topic. What lay in a log that is gone is held if it was counted.
    The ledger is put right on the way, so that the next run need not ask again.
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
        kept, here = _reconcile(sent, window, log=log, ends=ends, done=done, found=found)
        extra += here
        if kept.encode() != stored:
            ledger.settle(number, kept, before=stored)
    for window in extra:
        placed = ledger.claim(sent.version, window)
        if placed is None:
            raise TransientError("another `brandpulse ingest` has just begun; run the command again")
        sent.version += 1
        sent.add_sent(window)
    return sent


def _is_alive(ledger: Ledger, run: str, sleep: Callable[[float], None]) -> bool:
    """Whether a run gives signs of life: one that was killed a moment ago has left its last."""
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
    """What to keep of *window* in its place, and what of it lies in the topic of now, but was sent to another."""
    window = window.only(np.ones(len(window), np.bool_), run="")
    here: list[Window] = []
    if found and window.open.any():
        places = [found.get(int(digest), (UNKNOWN, UNKNOWN)) for digest in window.ids]
        lies = window.open & np.array([offset != UNKNOWN for _, offset in places])
        partitions = np.where(lies, np.array([p for p, _ in places]), window.partitions).astype(np.int16)
        offsets = np.where(lies, np.array([o for _, o in places]), window.offsets).astype(np.int64)
        moved = Window(window.log, "", window.source, window.since, window.ids, window.contents, partitions, offsets)
        if window.log == log:
            window = moved
        elif lies.any():
            here = [moved.only(lies, log=log)]
            window = window.only(~lies)
    counted = _counted(window, done)
    if window.log == log:
        high = _by_partition(window.partitions, lambda partition: ends.high.get(partition, 0))
        stands = ~window.open & (counted | (window.offsets < high))
        kept = window.only(stands)
        sent.add_sent(kept)
        sent.to_send_again += len(window) - len(kept)
        return kept, here
    none_applied = all(done.applied(window.log, partition) <= offset for partition, offset in window.since.items())
    unsure = window.open & (not none_applied)
    sent.add_sent(window.only(counted))
    sent.add_uncertain(window.only(unsure))
    kept = window.only(counted | unsure)
    sent.to_send_again += len(window) - len(kept)
    return (kept if unsure.any() else kept.only(np.ones(len(kept), np.bool_), log="", since={})), here


def _by_partition(partitions: npt.NDArray[np.int16], value: Callable[[int], int]) -> npt.NDArray[np.int64]:
    distinct, places = np.unique(partitions, return_inverse=True)
    return np.array([value(int(partition)) for partition in distinct], np.int64)[places]


def _all_counted(window: Window, done: AppliedLogs) -> bool:
    return bool(np.all(_counted(window, done)))


def _counted(window: Window, done: AppliedLogs) -> npt.NDArray[np.bool_]:
    applied = _by_partition(window.partitions, lambda partition: done.applied(window.log, partition))
    return np.asarray(~window.open & (window.offsets < applied))


def _wait_until_left(
    work: Sequence[tuple[int, bytes, Window]],
    log: str,
    applied: Callable[[Iterable[int]], AppliedLogs],
    partitions: Sequence[int],
    sleep: Callable[[float], None],
) -> AppliedLogs:
    """How far each log was applied, once no worker can apply more of those that are gone.

    A worker that outlives its broker may still hold a batch: what it has not applied must not be sent again before each
    partition reads another log.
    """
    done = applied(partitions)
    gone = [window for _, _, window in work if window.log != log]
    waited = 0.0
    while waiting := {window.log for window in gone if done.reads(window.log) and not _all_counted(window, done)}:
        if waited >= LEAVE_SECONDS:
            raise TransientError(
                f"posts of an earlier run were sent to a topic that is gone ({', '.join(sorted(waiting))}), and the "
                "workers have not begun to read the new one, so it is not known which of them were counted. Start a "
                "worker (`brandpulse up` or `brandpulse worker`), then run the command again"
            )
        sleep(0.5)
        waited += 0.5
        done = applied(partitions)
    return done


def _find_unconfirmed(
    work: Sequence[tuple[int, bytes, Window]], log: str, ends: LogEnds, reader: Log
) -> dict[int, tuple[int, int]]:
    """Where posts without a confirmed delivery lie in the topic of now."""
    unconfirmed = [window for _, _, window in work if window.open.any()]
    if not unconfirmed:
        return {}
    begin: dict[int, int] = {}
    for partition, low in ends.low.items():
        since = [window.since.get(partition, 0) if window.log == log else low for window in unconfirmed]
        begin[partition] = max(low, min(since))
    wanted = {int(digest) for window in unconfirmed for digest in window.ids[window.open]}
    found: dict[int, tuple[int, int]] = {}
    for post in reader.posts_between(begin, ends.high):
        for digest in PostDigester.stored_digests(post.source, post.id):
            if digest in wanted:
                found[digest] = (post.partition, post.offset)
    return found
