"""What the peers share: their arguments, their job, and the line that they print."""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from brandpulse.config.brands_file import load_brands
from brandpulse.runtime.process_memory import peak_bytes
from brandpulse.schema.posts import POST_DECODER, WirePost


@dataclass(frozen=True, slots=True)
class Job:
    """Where to read, and how many posts."""

    bootstrap_servers: str
    topic: str
    posts: int
    brands: Path
    native: bool
    """Whether the peer reads posts with the worker's native code, too."""


def job() -> Job:
    parser = ArgumentParser()
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--posts", type=int, required=True)
    parser.add_argument("--brands", type=Path, required=True)
    parser.add_argument("--native", action="store_true")
    given = parser.parse_args()
    return Job(given.bootstrap_servers, given.topic, given.posts, given.brands, given.native)


class Counts:
    """Posts per brand and event-time minute, in memory."""

    def __init__(self, brands: Path) -> None:
        # By its name: peers live below the services.
        self._match = import_module("brandpulse.text.brand_matcher").BrandMatcher(load_brands(brands)).match
        self.cells: dict[tuple[str, int], int] = {}

    def keys_of(self, post: WirePost) -> list[tuple[str, int]]:
        """(brand, event time in ms) for each brand that the post names."""
        moment = int(post.created_at.timestamp() * 1_000)
        return [(brand, moment) for brand in self._match(post.text)]

    def add(self, values: Iterable[bytes]) -> None:
        for value in values:
            for brand, moment in self.keys_of(POST_DECODER.decode(value)):
                cell = (brand, moment // 60_000)
                self.cells[cell] = self.cells.get(cell, 0) + 1


class NativeCounts:
    """The brands that posts name and their event times, a batch at a time, by the worker's own reader of rows."""

    def __init__(self, brands: Path) -> None:
        """Raises ImportError where the native module is not built."""
        matcher = import_module("brandpulse.text.brand_matcher").BrandMatcher(load_brands(brands))
        author_hash = import_module("stream_workers.decoding.post_decoder").AuthorHasher("bench")
        self._reader = import_module("stream_workers.decoding.decoded_batch").NativeRowReader(matcher, author_hash)
        self._records = import_module("stream_workers.decoding.records").Records

    def keys_of(self, values: Sequence[bytes]) -> list[tuple[str, int]]:
        """As `Counts.keys_of`, of all of *values*."""
        numbers = np.arange(len(values))
        rows = self._reader.read(self._records(numbers, numbers, [None] * len(values), list(values)))
        brands = [meaning.brands for meaning in rows.meanings]
        moments = zip(rows.which.tolist(), rows.event_ms.tolist(), strict=True)
        return [(brand, moment) for which, moment in moments for brand in brands[which]]


class Stopwatch:
    """From the first batch on, whose own posts do not count, to the last: start-up and join stay outside."""

    def __init__(self) -> None:
        self.seen = 0
        self._first = 0
        self._began: tuple[float, float] | None = None
        """Wall and processor seconds."""

    def start(self) -> None:
        self._began, self._first = (time.perf_counter(), time.process_time()), self.seen

    def saw(self, posts: int) -> None:
        self.seen += posts
        if self._began is None:
            self.start()

    def tell(self) -> None:
        """Print the figures. Raises ValueError when nothing was seen."""
        if self._began is None:
            raise ValueError("nothing was seen")
        figures = {
            "posts": self.seen - self._first,
            "seconds": time.perf_counter() - self._began[0],
            "cpu_seconds": time.process_time() - self._began[1],
            "peak_bytes": peak_bytes(),
        }
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()
