"""The windows of posts that a run sends: written to the ledger before, and again with their offsets after."""

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import numpy as np

from brandpulse.errors import TransientError
from ingest.files.reading.row import InputError
from ingest.files.reading.row_mapping import OutgoingPost
from ingest.files.sent.ledger import HEARTBEAT_SECONDS, UNKNOWN, Digests, Ledger, Window
from ingest.files.sent.sent_posts import PostDigester, SentPosts, SentStatus
from ingest.post_producer import PostProducer, WindowDeliveries
from ingest.worker_states import WorkerStates, remembered_since_ms


class Decision(Enum):
    """What becomes of a post of the file."""

    SEND = "send"
    SENT = "sent"
    CHANGED = "changed"
    OTHER_SOURCE = "other_source"


SEND, SENT, CHANGED, OTHER_SOURCE = Decision
_DECISIONS = {
    SentStatus.NEW: SEND,
    SentStatus.SENT: SENT,
    SentStatus.CHANGED: CHANGED,
    SentStatus.OTHER_SOURCE: OTHER_SOURCE,
}


@dataclass(slots=True)
class _ClaimedWindow:
    """A window of this run."""

    window: Window
    stored: bytes
    place_in_window: Sequence[int]
    """By place in the run's list of posts, the place in the window; -1: it is not sent."""
    handed: int = 0
    open_at_end: frozenset[int] = frozenset()


class SentWindows:
    """One run's side of the ledger. Without a ledger everything that the topic does not hold is sent.

    *source* is that of all posts; empty: each has its own.
    """

    def __init__(
        self,
        ledger: Ledger | None,
        sent: SentPosts,
        *,
        log: str,
        source: str,
        begin: Mapping[int, int],
        producer: PostProducer,
        digester: PostDigester,
        states: WorkerStates,
        topic_id_now: Callable[[], str] | None,
        again: bool,
        uncertain: Literal["ask", "send", "skip"],
    ) -> None:
        self._ledger = ledger
        self._sent = sent
        self._log = log
        self._source = source
        self._begin = dict(begin)
        self._producer = producer
        self._digester = digester
        self._states = states
        self._topic_id_now = topic_id_now
        self._again = again
        self._uncertain = uncertain
        self._run = secrets.token_hex(8)
        self._open: dict[int, _ClaimedWindow] = {}
        self._landed: list[WindowDeliveries] = []
        """Confirmed, and not written to the ledger yet."""
        self._log_is_another = False

    @contextlib.contextmanager
    def heartbeats(self) -> Iterator[None]:
        """While inside, other runs see that this one lives. Raises TransientError."""
        ledger = self._ledger
        if ledger is None:
            yield
            return
        ledger.heartbeat(self._run)
        ended = threading.Event()

        def heartbeat() -> None:
            while not ended.wait(HEARTBEAT_SECONDS):
                # The next claim says what is wrong with the store.
                with contextlib.suppress(TransientError):
                    ledger.heartbeat(self._run)

        thread = threading.Thread(target=heartbeat, name="ledger-signs", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with contextlib.suppress(TransientError):
                ledger.end_run(self._run)

    def claim(self, posts: Sequence[OutgoingPost], in_topic: Sequence[bool]) -> list[Decision]:
        """What becomes of each of *posts*; those to send are written to the ledger. No id may come twice in *posts*.

        *in_topic*: those that the topic is known to hold. Raises TransientError, and InputError where it is not known
        whether posts were counted.
        """
        if self._ledger is None:
            return [SENT if there else SEND for there in in_topic]
        ids, contents = self._digester.digests(posts)
        there = np.array(in_topic, np.bool_)
        while True:
            decisions = self._decisions(posts, ids, contents, in_topic)
            wanted = np.array([decision is SEND for decision in decisions], np.bool_) & ~there
            if not wanted.any():
                return decisions
            window = self._window(ids[wanted], contents[wanted])
            number = self._append(self._ledger, window)
            if number is not None:
                places = np.where(wanted, np.cumsum(wanted) - 1, -1)
                self._open[number] = _ClaimedWindow(window, window.encode(), places.tolist())
                self._producer.start_window(number)
                return decisions

    def settle(self) -> None:
        """Write down where posts lie that the broker has confirmed. Raises TransientError."""
        self._landed += self._producer.take_confirmed()
        if self._ledger is None or not self._landed:
            return
        self._same_log()
        landed, self._landed = self._landed, []
        for part in landed:
            self._land(part)
        for number in dict.fromkeys(part.window for part in landed):
            claimed = self._open[number]
            whole = not claimed.window.open.any()
            self._put(
                self._ledger, number, claimed, claimed.window.only(_all(claimed.window), run="") if whole else None
            )
            if whole:
                del self._open[number]

    def close(self) -> None:
        """After the last post: what was handed over and is not confirmed stays open, what was not is forgotten."""
        if self._ledger is None:
            return
        landed, remains = [*self._landed, *self._producer.take_confirmed()], self._producer.unfinished()
        self._landed = []
        if not self._open:
            return
        if not self._log_is_another and (landed or remains):
            self._same_log()
        on_their_way: dict[int, set[int]] = {}
        for part in (*landed, *remains):
            if not self._log_is_another:
                self._land(part)
            if part.window in self._open:
                places = self._open[part.window].place_in_window
                handed = on_their_way.setdefault(part.window, set())
                handed.update(places[place] for place in part.open)
                if self._log_is_another:
                    handed.update(places[place] for place, _, _ in part.posts)
        for number, claimed in list(self._open.items()):
            window = claimed.window
            kept = ~window.open
            kept[[place for place in on_their_way.get(number, ()) if place >= 0]] = True
            self._put(self._ledger, number, claimed, window.only(kept, run=""))
            del self._open[number]

    def _decisions(
        self, posts: Sequence[OutgoingPost], ids: Digests, contents: Digests, in_topic: Sequence[bool]
    ) -> list[Decision]:
        if self._again:
            return [SENT if there else SEND for there in in_topic]
        if self._sent.empty:
            return [SENT if there else SEND for there in in_topic]
        seen = self._sent.lookup(ids, contents, own_sources=not self._source)
        unsure = np.flatnonzero(seen == SentStatus.UNCERTAIN)
        if len(unsure):
            seen[unsure] = self._ask_workers([posts[place] for place in unsure.tolist()], ids[unsure], contents[unsure])
        return [
            SENT if there else _DECISIONS[SentStatus(code)] for code, there in zip(seen.tolist(), in_topic, strict=True)
        ]

    def _ask_workers(self, posts: Sequence[OutgoingPost], ids: Digests, contents: Digests) -> list[SentStatus]:
        """Posts whose sender was killed, in a log that is gone: the workers remember those that they counted lately."""
        applied = self._states.applied(sorted(self._begin))
        statuses = list(applied.statuses.values())
        counted = self._states.counted([(post.source, post.id) for post in posts], statuses)
        since = remembered_since_ms(statuses)
        found, unknown = [], 0
        for post, held in zip(posts, counted, strict=True):
            if held:
                found.append(SentStatus.SENT)
            elif post.created_at.timestamp() * 1_000 >= since or self._uncertain == "send":
                found.append(SentStatus.NEW)
            elif self._uncertain == "skip":
                found.append(SentStatus.SENT)
            else:
                unknown += 1
        if unknown:
            raise InputError(
                f"it is not known whether {unknown:,} posts were counted: the run that sent them was killed, the topic "
                "is gone, and the workers remember ids of the last hours only. Choose: --uncertain send sends them "
                "(those that were counted count twice), --uncertain skip leaves them out (those that were not are "
                "missing)"
            )
        known = np.array([decision is SentStatus.SENT for decision in found], np.bool_)
        if known.any() and self._ledger is not None:
            window = Window("", "", self._source, {}, ids[known], contents[known], *_unknown(int(known.sum())))
            self._append(self._ledger, window)
            self._sent.add_sent(window)
        return found

    def _window(self, ids: Digests, contents: Digests) -> Window:
        _, behind = self._producer.confirmed_prefix()
        return Window(self._log, self._run, self._source, self._begin | behind, ids, contents, *_unknown(len(ids)))

    def _append(self, ledger: Ledger, window: Window) -> int | None:
        """The window's number, or None after another run has appended windows: they are known now."""
        number = ledger.claim(self._sent.version, window)
        if number is not None:
            self._sent.version = number + 1
            return number
        news = ledger.read(self._sent.version)
        self._sent.version = news.version
        ours, found = window.encode(), None
        for place, stored in enumerate(news.windows, news.first):
            if stored == ours:
                # The answer to our own call was lost, and the client asked once more.
                found = place
            else:
                self._sent.add_sent(Window.decode(stored))
        return found

    def _land(self, part: WindowDeliveries) -> None:
        claimed = self._open.get(part.window)
        if claimed is None or not part.posts:
            return
        places, partitions, offsets = zip(*part.posts, strict=True)
        at = [claimed.place_in_window[place] for place in places]
        window = claimed.window
        window.partitions[at] = partitions
        window.offsets[at] = offsets

    def _put(self, ledger: Ledger, number: int, claimed: _ClaimedWindow, window: Window | None) -> None:
        if window is None:  # and not `or`: an empty window is false
            window = claimed.window
        if not ledger.settle(number, window, before=claimed.stored):
            raise TransientError(
                "this run stood still for some seconds, so another `brandpulse ingest` took it for ended and went on "
                "with its posts. Run the command again: what was sent is known"
            )
        claimed.stored = window.encode()

    def _same_log(self) -> None:
        if self._topic_id_now is not None and not self._log_is_another:
            try:
                now = self._topic_id_now()
            except TransientError:
                return  # A broker that does not answer has not come back with another log since the last look.
            if now != self._log:
                self._log_is_another = True
                raise TransientError(
                    f"the topic was created again while posts were sent to it (id {now}, was {self._log}): was the "
                    "broker restarted? Run the command again; what was counted is left out"
                )


def _unknown(
    count: int,
) -> tuple["np.ndarray[tuple[int], np.dtype[np.int16]]", "np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    return np.full(count, UNKNOWN, np.int16), np.full(count, UNKNOWN, np.int64)


def _all(window: Window) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return np.ones(len(window), np.bool_)
