"""Shared parts of the competitors: arguments, counting, and the line of JSON that they print."""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brandpulse.config.brands_file import load_brands
from brandpulse.runtime.process_memory import peak_bytes
from brandpulse.schema.identity import AuthorHasher
from brandpulse.schema.posts import POST_DECODER, WirePost
from brandpulse.text.brand_matcher import BrandMatcher


@dataclass(frozen=True, slots=True)
class Arguments:
    """Where to read, and how many posts."""

    bootstrap_servers: str
    topic: str
    posts: int
    brands: Path
    native: bool
    """Whether the competitor also decodes posts with the worker's native code."""


def read_arguments() -> Arguments:
    """The command line's arguments."""
    parser = ArgumentParser()
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--posts", type=int, required=True)
    parser.add_argument("--brands", type=Path, required=True)
    parser.add_argument("--native", action="store_true")
    given = parser.parse_args()
    return Arguments(given.bootstrap_servers, given.topic, given.posts, given.brands, given.native)


class Counts:
    """Posts per brand and event-time minute, in memory."""

    def __init__(self, brands: Path) -> None:
        self._match = BrandMatcher(load_brands(brands)).match
        self.cells: dict[tuple[str, int], int] = {}

    def keys_of(self, post: WirePost) -> list[tuple[str, int]]:
        """(brand, event time in ms) for each brand that the post names."""
        event_ms = int(post.created_at.timestamp() * 1_000)
        return [(brand, event_ms) for brand in self._match(post.text)]

    def add(self, values: Iterable[bytes]) -> None:
        for value in values:
            for brand, event_ms in self.keys_of(POST_DECODER.decode(value)):
                cell = (brand, event_ms // 60_000)
                self.cells[cell] = self.cells.get(cell, 0) + 1


class NativeCounts:
    """Brands and event times of posts, one batch at a time, with the worker's native decoder."""

    def __init__(self, brands: Path) -> None:
        """Raises ImportError if the native module is not built."""
        from stream_workers.decoding.batch_decoder import NativeBatchDecoder
        from stream_workers.decoding.records import Records

        self._records = Records
        self._decoder = NativeBatchDecoder(BrandMatcher(load_brands(brands)), AuthorHasher("bench"))

    def keys_of(self, values: Sequence[bytes]) -> list[tuple[str, int]]:
        """Like `Counts.keys_of`, for all of *values*."""
        numbers = np.arange(len(values))
        rows = self._decoder.decode(self._records(numbers, numbers, [None] * len(values), list(values)))
        brands = [match.brands for match in rows.matches]
        events = zip(rows.match_numbers.tolist(), rows.event_ms.tolist(), strict=True)
        return [(brand, event_ms) for number, event_ms in events for brand in brands[number]]


class Stopwatch:
    """Measures from the end of the first batch to the end of the last: without start-up and group join."""

    def __init__(self) -> None:
        self.posts = 0
        self._first = 0
        self._started: tuple[float, float] | None = None
        """Wall and processor seconds."""

    def start(self) -> None:
        self._started, self._first = (time.perf_counter(), time.process_time()), self.posts

    def add(self, posts: int) -> None:
        self.posts += posts
        if self._started is None:
            self.start()

    def report(self) -> None:
        """Print the figures as JSON. Raises ValueError if there were no posts."""
        if self._started is None:
            raise ValueError("no posts were measured")
        figures = {
            "posts": self.posts - self._first,
            "seconds": time.perf_counter() - self._started[0],
            "cpu_seconds": time.process_time() - self._started[1],
            "peak_bytes": peak_bytes(),
        }
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()
