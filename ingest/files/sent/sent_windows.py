"""The ledger windows of a run: written before its posts are sent, and updated with their offsets after."""

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
    """What to do with a post of the file."""

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
    index_in_window: Sequence[int]
    """Position in the run's list of posts -> index in the window; -1: not sent."""


class SentWindows:
    """Decides which posts one run sends, and records them in the ledger.

    Without a ledger, every post that is not in the topic is sent. *source*: of all posts; empty: each has its own.
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
        self._deliveries: list[WindowDeliveries] = []
        """Confirmed, and not yet written to the ledger."""
        self._log_changed = False

    @contextlib.contextmanager
    def heartbeats(self) -> Iterator[None]:
        """Send heartbeats while the context is open. Raises TransientError."""
        ledger = self._ledger
        if ledger is None:
            yield
            return
        ledger.heartbeat(self._run)
        ended = threading.Event()

        def send_heartbeats() -> None:
            while not ended.wait(HEARTBEAT_SECONDS):
                # The next claim reports the error.
                with contextlib.suppress(TransientError):
                    ledger.heartbeat(self._run)

        thread = threading.Thread(target=send_heartbeats, name="ledger-signs", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with contextlib.suppress(TransientError):
                ledger.end_run(self._run)

    def claim(self, posts: Sequence[OutgoingPost], in_topic: Sequence[bool]) -> list[Decision]:
        """The decision for each of *posts*, with unique ids. Posts to send are written to the ledger.

        *in_topic*: whether the post is known to be in the topic. Raises TransientError, and InputError if it is unknown
        whether posts were counted.
        """
        if self._ledger is None:
            return [SENT if is_in_topic else SEND for is_in_topic in in_topic]
        ids, contents = self._digester.digests(posts)
        already = np.array(in_topic, np.bool_)
        while True:
            decisions = self._decisions(posts, ids, contents, in_topic)
            to_send = np.array([decision is SEND for decision in decisions], np.bool_) & ~already
            if not to_send.any():
                return decisions
            window = self._window(ids[to_send], contents[to_send])
            number = self._append(self._ledger, window)
            if number is not None:
                indices = np.where(to_send, np.cumsum(to_send) - 1, -1)
                self._open[number] = _ClaimedWindow(window, window.encode(), indices.tolist())
                self._producer.start_window(number)
                return decisions

    def settle(self) -> None:
        """Record the offsets of confirmed posts in the ledger. Raises TransientError."""
        self._deliveries += self._producer.take_confirmed()
        if self._ledger is None or not self._deliveries:
            return
        self._check_log()
        deliveries, self._deliveries = self._deliveries, []
        for delivery in deliveries:
            self._set_offsets(delivery)
        for number in dict.fromkeys(delivery.window for delivery in deliveries):
            claimed = self._open[number]
            complete = not claimed.window.unconfirmed.any()
            self._put(
                self._ledger, number, claimed, claimed.window.select(_all(claimed.window), run="") if complete else None
            )
            if complete:
                del self._open[number]

    def close(self) -> None:
        """After the last post: sent but unconfirmed posts stay in the ledger, unsent posts are removed."""
        if self._ledger is None:
            return
        confirmed = [*self._deliveries, *self._producer.take_confirmed()]
        unfinished = self._producer.unfinished()
        self._deliveries = []
        if not self._open:
            return
        if not self._log_changed and (confirmed or unfinished):
            self._check_log()
        unconfirmed: dict[int, set[int]] = {}
        for delivery in (*confirmed, *unfinished):
            if not self._log_changed:
                self._set_offsets(delivery)
            if delivery.window in self._open:
                indices = self._open[delivery.window].index_in_window
                window_unconfirmed = unconfirmed.setdefault(delivery.window, set())
                window_unconfirmed.update(indices[position] for position in delivery.open)
                if self._log_changed:
                    window_unconfirmed.update(indices[position] for position, _, _ in delivery.posts)
        for number, claimed in list(self._open.items()):
            window = claimed.window
            remaining = ~window.unconfirmed
            remaining[[index for index in unconfirmed.get(number, ()) if index >= 0]] = True
            self._put(self._ledger, number, claimed, window.select(remaining, run=""))
            del self._open[number]

    def _decisions(
        self, posts: Sequence[OutgoingPost], ids: Digests, contents: Digests, in_topic: Sequence[bool]
    ) -> list[Decision]:
        if self._again:
            return [SENT if is_in_topic else SEND for is_in_topic in in_topic]
        if self._sent.empty:
            return [SENT if is_in_topic else SEND for is_in_topic in in_topic]
        status = self._sent.lookup(ids, contents, own_sources=not self._source)
        uncertain = np.flatnonzero(status == SentStatus.UNCERTAIN)
        if len(uncertain):
            uncertain_posts = [posts[index] for index in uncertain.tolist()]
            status[uncertain] = self._resolve_uncertain(uncertain_posts, ids[uncertain], contents[uncertain])
        return [
            SENT if is_in_topic else _DECISIONS[SentStatus(code)]
            for code, is_in_topic in zip(status.tolist(), in_topic, strict=True)
        ]

    def _resolve_uncertain(self, posts: Sequence[OutgoingPost], ids: Digests, contents: Digests) -> list[SentStatus]:
        """Status of posts whose sender was killed and whose log was deleted, from the ids that workers remember."""
        applied = self._states.applied(sorted(self._begin))
        statuses = list(applied.statuses.values())
        counted = self._states.counted([(post.source, post.id) for post in posts], statuses)
        since = remembered_since_ms(statuses)
        resolved, unknown = [], 0
        for post, is_counted in zip(posts, counted, strict=True):
            if is_counted:
                resolved.append(SentStatus.SENT)
            elif post.created_at.timestamp() * 1_000 >= since or self._uncertain == "send":
                resolved.append(SentStatus.NEW)
            elif self._uncertain == "skip":
                resolved.append(SentStatus.SENT)
            else:
                unknown += 1
        if unknown:
            raise InputError(
                f"{unknown:,} posts may have been counted: their run was killed, the topic was deleted, and "
                "the workers remember only ids of the last hours. Use --uncertain send to send them (counted posts "
                "count twice) or --uncertain skip to skip them (uncounted posts are missing)"
            )
        known = np.array([status is SentStatus.SENT for status in resolved], np.bool_)
        if known.any() and self._ledger is not None:
            window = Window("", "", self._source, {}, ids[known], contents[known], *_unknown(int(known.sum())))
            self._append(self._ledger, window)
            self._sent.add_sent(window)
        return resolved

    def _window(self, ids: Digests, contents: Digests) -> Window:
        _, next_offsets = self._producer.confirmed_prefix()
        return Window(
            self._log, self._run, self._source, self._begin | next_offsets, ids, contents, *_unknown(len(ids))
        )

    def _append(self, ledger: Ledger, window: Window) -> int | None:
        """The window's number; None if another run has appended windows, which are then read."""
        number = ledger.claim(self._sent.version, window)
        if number is not None:
            self._sent.version = number + 1
            return number
        news = ledger.read(self._sent.version)
        self._sent.version = news.version
        own, own_number = window.encode(), None
        for stored_number, stored in enumerate(news.windows, news.first):
            if stored == own:
                # The reply to this run's call was lost, and the client retried it.
                own_number = stored_number
            else:
                self._sent.add_sent(Window.decode(stored))
        return own_number

    def _set_offsets(self, delivery: WindowDeliveries) -> None:
        claimed = self._open.get(delivery.window)
        if claimed is None or not delivery.posts:
            return
        positions, partitions, offsets = zip(*delivery.posts, strict=True)
        indices = [claimed.index_in_window[position] for position in positions]
        window = claimed.window
        window.partitions[indices] = partitions
        window.offsets[indices] = offsets

    def _put(self, ledger: Ledger, number: int, claimed: _ClaimedWindow, window: Window | None) -> None:
        if window is None:  # and not `or`: an empty window is false
            window = claimed.window
        if not ledger.settle(number, window, before=claimed.stored):
            raise TransientError(
                "this run was suspended for some seconds, so another `brandpulse ingest` considered it ended and took "
                "over its posts. Run the command again; posts that were sent are skipped"
            )
        claimed.stored = window.encode()

    def _check_log(self) -> None:
        if self._topic_id_now is not None and not self._log_changed:
            try:
                now = self._topic_id_now()
            except TransientError:
                return  # A broker that does not answer cannot have a new log since the last check.
            if now != self._log:
                self._log_changed = True
                raise TransientError(
                    f"the topic was created again while posts were sent to it (id {now}, was {self._log}). Was the "
                    "broker restarted? Run the command again; posts that were counted are skipped"
                )


def _unknown(
    count: int,
) -> tuple["np.ndarray[tuple[int], np.dtype[np.int16]]", "np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    return np.full(count, UNKNOWN, np.int16), np.full(count, UNKNOWN, np.int64)


def _all(window: Window) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return np.ones(len(window), np.bool_)
