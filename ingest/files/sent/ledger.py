"""What was sent from files into one topic, kept beside the counts: in Redis, so that both are lost together.

A run appends a *window* of posts before it sends them, and replaces it once the broker has confirmed their offsets.
Appending fails when another run appended in between: the run then reads what is new, so two runs never send one post.
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
"""Posts that the ledger holds, 26 bytes each (260 MB); beyond, it forgets the oldest windows and says so."""
RUN_SECONDS = 6.0
"""A run that gave no sign of life for so long has ended."""
HEARTBEAT_SECONDS = 1.0
"""Between two signs of life."""
READ_WINDOWS = 50
"""Windows read in one round trip: some 10 MB."""
UNKNOWN = -1
"""Stands for the partition and the offset of a post whose delivery is not confirmed."""

Digests = npt.NDArray[np.uint64]


class _Head(msgspec.Struct, omit_defaults=True):
    posts: int
    log: str
    """The topic's id when the window was written; empty: its posts were counted, wherever they lay."""
    run: str = ""
    """Who sends the window; empty: nothing of it is on its way."""
    source: str = ""
    """Of all its posts; empty: each has its own."""
    since: dict[int, int] = {}
    """By partition, an offset at or below the first post of the window."""


@dataclass(frozen=True, slots=True)
class Window:
    """Posts that were sent one after the other. The arrays are as long as each other."""

    log: str
    run: str
    source: str
    since: Mapping[int, int]
    ids: Digests
    """Of source and id."""
    contents: Digests
    """Of id, time, author and text, whatever the source."""
    partitions: npt.NDArray[np.int16]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def open(self) -> npt.NDArray[np.bool_]:
        """Which posts have no confirmed delivery."""
        return np.asarray(self.offsets == UNKNOWN)

    def only(self, mask: npt.NDArray[np.bool_], **changes: Any) -> "Window":
        """Those posts of it that *mask* chooses."""
        return replace(
            self,
            ids=self.ids[mask],
            contents=self.contents[mask],
            partitions=self.partitions[mask],
            offsets=self.offsets[mask],
            **changes,
        )

    def encode(self) -> bytes:
        """Ten digits with the number of posts, a line of JSON, then the arrays one behind the other."""
        head = _Head(len(self), self.log, self.run, self.source, dict(self.since))
        arrays = (self.ids, self.contents, self.partitions, self.offsets)
        return b"%010d" % len(self) + msgspec.json.encode(head) + b"\n" + b"".join(a.tobytes() for a in arrays)

    @classmethod
    def decode(cls, stored: bytes) -> "Window":
        """Raises StateError if no version wrote it."""
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
    """What the ledger holds from some window on."""

    version: int
    """Windows ever written: what `claim` wants."""
    first: int
    """Number of the first of *windows*."""
    windows: Sequence[bytes]
    posts_forgotten: int = 0


class Ledger(Protocol):
    """What was sent into one topic. Every method raises TransientError when the store does not answer."""

    def identity(self) -> str:
        """A random word, another one after the store has lost everything."""
        ...

    def read(self, since: int = 0) -> LedgerSnapshot: ...

    def claim(self, version: int, window: Window) -> int | None:
        """Append *window*; its number, or None when the ledger is no longer at *version*."""
        ...

    def settle(self, number: int, window: Window, *, before: bytes = b"") -> bool:
        """Replace window *number*, if it still is as it was *before*; empty: in any case."""
        ...

    def seconds_left(self, run: str) -> float:
        """For how long that run's last sign of life holds; 0: it has ended. It grows with each sign."""
        ...

    def heartbeat(self, run: str) -> None:
        """This run's sign of life."""
        ...

    def end_run(self, run: str) -> None:
        """The run has ended."""
        ...


class MemoryLedger:
    """The working twin; nothing outlives the process."""

    def __init__(self, *, posts: int = LEDGER_POSTS) -> None:
        self._identity = secrets.token_hex(8)
        self._limit = posts
        self._windows: list[bytes] = []
        self._forgotten = 0
        self._posts_forgotten = 0
        self._runs: set[str] = set()
        self._looks = 0

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
        # Each look finds a later sign, as of a run that lives.
        self._looks += 1
        return float(self._looks) if run in self._runs else 0.0

    def heartbeat(self, run: str) -> None:
        self._runs.add(run)

    def end_run(self, run: str) -> None:
        self._runs.discard(run)


def _script(name: str) -> str:
    return (Path(__file__).parent / "lua" / f"{name}.lua").read_text(encoding="utf-8")


class RedisLedger:
    """The real one. Key layout: `brandpulse/state/keys.py`."""

    def __init__(self, client: redis.Redis, namespace: str, topic: str, *, posts: int = LEDGER_POSTS) -> None:
        self._client = client
        self._keys = LedgerKeys(namespace, topic)
        self._limit = posts
        self._claim = client.register_script(_script("claim"))
        self._settle = client.register_script(_script("settle"))

    def identity(self) -> str:
        with _reached():
            self._client.hsetnx(self._keys.about, "identity", secrets.token_hex(8))
            found: Any = self._client.hget(self._keys.about, "identity")
        return bytes(found).decode()

    def read(self, since: int = 0) -> LedgerSnapshot:
        with _reached():
            while True:
                forgotten, posts_forgotten = self._forgotten()
                first = max(since, forgotten)
                windows: list[bytes] = []
                while True:
                    begin = first - forgotten + len(windows)
                    some: Any = self._client.lrange(self._keys.windows, begin, begin + READ_WINDOWS - 1)
                    windows += some
                    if len(some) < READ_WINDOWS:
                        break
                if self._forgotten()[0] == forgotten:
                    return LedgerSnapshot(first + len(windows), first, windows, posts_forgotten)

    def claim(self, version: int, window: Window) -> int | None:
        with _reached():
            keys = [self._keys.windows, self._keys.about]
            reply: Any = self._claim(keys=keys, args=[version, window.encode(), len(window), self._limit])
        return version if reply[0] else None

    def settle(self, number: int, window: Window, *, before: bytes = b"") -> bool:
        with _reached():
            keys = [self._keys.windows, self._keys.about]
            return bool(self._settle(keys=keys, args=[number, before, window.encode(), len(window)]))

    def seconds_left(self, run: str) -> float:
        with _reached():
            left: Any = self._client.pttl(self._keys.run(run))
        return max(0, int(left)) / 1_000

    def heartbeat(self, run: str) -> None:
        with _reached():
            self._client.set(self._keys.run(run), "1", px=int(RUN_SECONDS * 1_000))

    def end_run(self, run: str) -> None:
        with _reached():
            self._client.delete(self._keys.run(run))

    def _forgotten(self) -> tuple[int, int]:
        found: Any = self._client.hmget(self._keys.about, "windows_forgotten", "posts_forgotten")
        return int(found[0] or 0), int(found[1] or 0)


@contextlib.contextmanager
def _reached() -> Iterator[None]:
    """What Redis says, as our errors."""
    try:
        with reaching_redis():
            yield
    except redis.ResponseError as error:
        raise redis_outage(error) from error
