"""Records which posts were sent from files into one topic. It is in Redis next to the counts: both are lost together.

A run appends a *window* of posts before it sends them, and replaces it once the broker has confirmed their offsets.
Appending fails if another run appended in between. The run then reads the new windows, so two runs never send the same
post.
"""

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import redis

from brandpulse.errors import StateError
from brandpulse.redis.error_hints import reaching_redis, redis_outage
from brandpulse.state.keys import LedgerKeys

LEDGER_POSTS = 10_000_000
"""Maximum number of posts, 26 bytes each (260 MB). Beyond it, the oldest windows are removed and counted."""
RUN_SECONDS = 6.0
"""A run without a heartbeat for this long has ended."""
HEARTBEAT_SECONDS = 1.0
"""Interval between two heartbeats."""
READ_WINDOWS = 50
"""Windows read in one round trip: about 10 MB."""
UNKNOWN = -1
"""Partition and offset of a post without a confirmed delivery."""

Digests = npt.NDArray[np.uint64]


class _Head(msgspec.Struct, omit_defaults=True):
    posts: int
    log: str
    """The topic's id when the window was written; empty: all its posts are counted."""
    run: str = ""
    """The run that sends the window; empty: no delivery is open."""
    source: str = ""
    """Source of all its posts; empty: each has its own."""
    since: dict[int, int] = {}
    """By partition, an offset at or before the first post of the window."""


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive posts of one run. The arrays have equal length."""

    log: str
    run: str
    source: str
    since: Mapping[int, int]
    ids: Digests
    """Digest of source and id."""
    contents: Digests
    """Digest of id, time, author and text, without the source."""
    partitions: npt.NDArray[np.int16]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def unconfirmed(self) -> npt.NDArray[np.bool_]:
        """Mask of posts without a confirmed delivery."""
        return np.asarray(self.offsets == UNKNOWN)

    def select(self, mask: npt.NDArray[np.bool_], **changes: Any) -> "Window":
        """A window of the posts in *mask*."""
        return replace(
            self,
            ids=self.ids[mask],
            contents=self.contents[mask],
            partitions=self.partitions[mask],
            offsets=self.offsets[mask],
            **changes,
        )

    def encode(self) -> bytes:
        """Ten digits with the number of posts, a line of JSON, then the arrays in sequence."""
        head = _Head(len(self), self.log, self.run, self.source, dict(self.since))
        arrays = (self.ids, self.contents, self.partitions, self.offsets)
        return b"%010d" % len(self) + msgspec.json.encode(head) + b"\n" + b"".join(a.tobytes() for a in arrays)

    @classmethod
    def decode(cls, stored: bytes) -> "Window":
        """Raises StateError if the content is invalid."""
        try:
            line, _, rest = stored[10:].partition(b"\n")
            head = msgspec.json.decode(line, type=_Head)
            count = head.posts
            ids, contents = np.frombuffer(rest, "<u8", count), np.frombuffer(rest, "<u8", count, 8 * count)
            partitions = np.frombuffer(rest, "<i2", count, 16 * count)
            offsets = np.frombuffer(rest, "<i8", count, 18 * count)
        except ValueError as error:
            raise StateError(f"a window of the ledger of sent posts is damaged: {error}") from error
        return cls(head.log, head.run, head.source, head.since, ids, contents, partitions, offsets)


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """The windows of the ledger from some number on."""

    version: int
    """Number of windows ever written; the argument of `claim`."""
    first: int
    """Number of the first of *windows*."""
    windows: Sequence[bytes]
    posts_forgotten: int = 0


class Ledger(Protocol):
    """Posts sent into one topic. Every method raises TransientError if Redis does not answer."""

    def identity(self) -> str:
        """A random token that changes after Redis has lost its state."""
        ...

    def read(self, since: int = 0) -> LedgerSnapshot: ...

    def claim(self, version: int, window: Window) -> int | None:
        """Append *window* and return its number; None if the ledger's version is not *version*."""
        ...

    def settle(self, number: int, window: Window, *, before: bytes = b"") -> bool:
        """Replace window *number* if it still equals *before*, or in any case if *before* is empty."""
        ...

    def seconds_left(self, run: str) -> float:
        """Seconds until the run's last heartbeat expires; 0 if it has ended. Each heartbeat increases it."""
        ...

    def heartbeat(self, run: str) -> None:
        """Report that *run* is alive."""
        ...

    def end_run(self, run: str) -> None:
        """Report that *run* has ended."""
        ...


class MemoryLedger:
    """In-memory implementation for tests."""

    def __init__(self, *, posts: int = LEDGER_POSTS) -> None:
        self._identity = secrets.token_hex(8)
        self._limit = posts
        self._windows: list[bytes] = []
        self._forgotten = 0
        self._posts_forgotten = 0
        self._runs: set[str] = set()
        self._calls = 0

    def identity(self) -> str:
        return self._identity

    def read(self, since: int = 0) -> LedgerSnapshot:
        first = max(since, self._forgotten)
        windows = self._windows[first - self._forgotten :]
        return LedgerSnapshot(self._forgotten + len(self._windows), first, windows, self._posts_forgotten)

    def claim(self, version: int, window: Window) -> int | None:
        if version != self._forgotten + len(self._windows):
            return None
        self._windows.append(window.encode())
        while len(self._windows) > 1 and sum(int(one[:10]) for one in self._windows) > self._limit:
            self._posts_forgotten += int(self._windows.pop(0)[:10])
            self._forgotten += 1
        return version

    def settle(self, number: int, window: Window, *, before: bytes = b"") -> bool:
        place = number - self._forgotten
        if not 0 <= place < len(self._windows) or (before and self._windows[place] != before):
            return False
        self._windows[place] = window.encode()
        return True

    def seconds_left(self, run: str) -> float:
        # Each call returns a later expiry, like that of a run that is alive.
        self._calls += 1
        return float(self._calls) if run in self._runs else 0.0

    def heartbeat(self, run: str) -> None:
        self._runs.add(run)

    def end_run(self, run: str) -> None:
        self._runs.discard(run)


def _script(name: str) -> str:
    return (Path(__file__).parent / "lua" / f"{name}.lua").read_text(encoding="utf-8")


class RedisLedger:
    """The ledger in Redis. Key layout: `brandpulse/state/keys.py`."""

    def __init__(self, client: redis.Redis, namespace: str, topic: str, *, posts: int = LEDGER_POSTS) -> None:
        self._client = client
        self._keys = LedgerKeys(namespace, topic)
        self._limit = posts
        self._claim = client.register_script(_script("claim"))
        self._settle = client.register_script(_script("settle"))

    def identity(self) -> str:
        with _translated_errors():
            self._client.hsetnx(self._keys.about, "identity", secrets.token_hex(8))
            found: Any = self._client.hget(self._keys.about, "identity")
        return bytes(found).decode()

    def read(self, since: int = 0) -> LedgerSnapshot:
        with _translated_errors():
            while True:
                forgotten, posts_forgotten = self._forgotten()
                first = max(since, forgotten)
                windows: list[bytes] = []
                while True:
                    begin = first - forgotten + len(windows)
                    chunk: Any = self._client.lrange(self._keys.windows, begin, begin + READ_WINDOWS - 1)
                    windows += chunk
                    if len(chunk) < READ_WINDOWS:
                        break
                if self._forgotten()[0] == forgotten:
                    return LedgerSnapshot(first + len(windows), first, windows, posts_forgotten)

    def claim(self, version: int, window: Window) -> int | None:
        with _translated_errors():
            keys = [self._keys.windows, self._keys.about]
            reply: Any = self._claim(keys=keys, args=[version, window.encode(), len(window), self._limit])
        return version if reply[0] else None

    def settle(self, number: int, window: Window, *, before: bytes = b"") -> bool:
        with _translated_errors():
            keys = [self._keys.windows, self._keys.about]
            return bool(self._settle(keys=keys, args=[number, before, window.encode(), len(window)]))

    def seconds_left(self, run: str) -> float:
        with _translated_errors():
            left: Any = self._client.pttl(self._keys.run(run))
        return max(0, int(left)) / 1_000

    def heartbeat(self, run: str) -> None:
        with _translated_errors():
            self._client.set(self._keys.run(run), "1", px=int(RUN_SECONDS * 1_000))

    def end_run(self, run: str) -> None:
        with _translated_errors():
            self._client.delete(self._keys.run(run))

    def _forgotten(self) -> tuple[int, int]:
        found: Any = self._client.hmget(self._keys.about, "windows_forgotten", "posts_forgotten")
        return int(found[0] or 0), int(found[1] or 0)


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise TransientError or StateError for errors of Redis."""
    try:
        with reaching_redis():
            yield
    except redis.ResponseError as error:
        raise redis_outage(error) from error
