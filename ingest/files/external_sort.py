"""Sorts posts by time in bounded memory."""

import contextlib
import heapq
import marshal
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import BinaryIO, cast

from ingest.files.reading.row_mapping import OutgoingPost

RUN_POSTS = 100_000
"""Posts sorted in memory at once, about 60 MB. More posts go through temporary files, one per run."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_Record = tuple[int, str, bytes, str]


class TimeSorted:
    """Posts in order of `created_at`; a stable sort. Iterate once; use as a context manager."""

    def __init__(self, posts: Iterable[OutgoingPost], *, run_posts: int = RUN_POSTS) -> None:
        self._files = contextlib.ExitStack()
        self._runs: list[Iterable[_Record]] = []
        self.first: datetime | None = None
        self.last: datetime | None = None
        run: list[_Record] = []
        for post in posts:
            self.first = post.created_at if self.first is None else min(self.first, post.created_at)
            self.last = post.created_at if self.last is None else max(self.last, post.created_at)
            run.append(((post.created_at - _EPOCH) // _MICROSECOND, post.id, post.payload, post.source))
            if len(run) == run_posts:
                self._runs.append(self._spill(_in_order(run)))
                run = []
        self._runs.append(_in_order(run))

    def __enter__(self) -> "TimeSorted":
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def __iter__(self) -> Iterator[OutgoingPost]:
        # merge is stable over its inputs, and the runs are in input order.
        for micros, post_id, payload, source in heapq.merge(*self._runs, key=itemgetter(0)):
            yield OutgoingPost(post_id, _EPOCH + micros * _MICROSECOND, payload, source)

    def _spill(self, run: list[_Record]) -> Iterator[_Record]:
        file = tempfile.TemporaryFile(prefix="brandpulse-ingest-")  # noqa: SIM115 - closed by the stack
        self._files.enter_context(file)
        for record in run:
            marshal.dump(record, file)
        file.seek(0)
        return _records(cast("BinaryIO", file))


def _in_order(run: list[_Record]) -> list[_Record]:
    return sorted(run, key=itemgetter(0))


def _records(file: BinaryIO) -> Iterator[_Record]:
    with contextlib.suppress(EOFError):
        while True:
            yield marshal.load(file)  # noqa: S302 - this process wrote the file, and it is unlinked
