"""What the peers share: their arguments, their job, and the line that they print."""

import json
import resource
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from brandpulse.brands import load_brands


@dataclass(frozen=True, slots=True)
class Job:
    """Where to read, and how many posts."""

    bootstrap_servers: str
    topic: str
    posts: int
    brands: Path


def job() -> Job:
    parser = ArgumentParser()
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--posts", type=int, required=True)
    parser.add_argument("--brands", type=Path, required=True)
    given = parser.parse_args()
    return Job(given.bootstrap_servers, given.topic, given.posts, given.brands)


class Counts:
    """Posts per brand and event-time minute, in memory."""

    def __init__(self, brands: Path) -> None:
        self._decode = import_module("brandpulse.posts").POST_DECODER.decode
        self._match = import_module("stream_workers.match").BrandMatcher(load_brands(brands)).match
        self.cells: dict[tuple[str, int], int] = {}

    def keys_of(self, value: bytes) -> list[tuple[str, int]]:
        """(brand, event time in ms) for each brand that the post names."""
        post: Any = self._decode(value)
        moment = int(post.created_at.timestamp() * 1_000)
        return [(brand, moment) for brand in self._match(post.text)]

    def add(self, values: Iterable[bytes]) -> None:
        for value in values:
            for brand, moment in self.keys_of(value):
                cell = (brand, moment // 60_000)
                self.cells[cell] = self.cells.get(cell, 0) + 1


class Stopwatch:
    """From the first post to the last; start-up and the group's join stay outside."""

    def __init__(self) -> None:
        self._began = 0.0
        self._cpu = 0.0
        self.seen = 0
        self._first = 0

    def saw(self, posts: int) -> None:
        if not self.seen:
            self._began, self._cpu, self._first = time.perf_counter(), time.process_time(), posts
        self.seen += posts

    def tell(self) -> None:
        """Print the figures of all posts but the first batch, whose arrival started the clock."""
        figures = {
            "posts": self.seen - self._first,
            "seconds": time.perf_counter() - self._began,
            "cpu_seconds": time.process_time() - self._cpu,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024,
        }
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()
