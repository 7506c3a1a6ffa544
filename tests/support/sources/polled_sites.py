"""Sites that are asked again and again: Hacker News and a feed, whose answers fail at random."""

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

from tests.support.sources.web_server import Reply

FAILURES = (Reply(status=503), Reply(b'"half an answer of the server"', cut=True), Reply(b"<html></html>"))
SHOWN = 10
"""Items that the feed shows."""


@dataclass(slots=True)
class Failures:
    """Some answers are no answers: refused, cut, or a page that says something else."""

    share: float = 0.0
    """Of the answers that fail."""
    number: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(7))

    def reply(self) -> Reply | None:
        """The failed answer, or None if this one succeeds."""
        if self.rng.random() >= self.share:
            return None
        self.number += 1
        return self.rng.choice(FAILURES)


@dataclass(slots=True)
class HackerNewsSite:
    """Items that are null at first."""

    failures: Failures = field(default_factory=Failures)
    newest: int = 100
    asked: dict[int, int] = field(default_factory=dict)

    def __call__(self, path: str, _: Mapping[str, str]) -> Reply:
        if (failure := self.failures.reply()) is not None:
            return failure
        if path.endswith("maxitem.json"):
            return Reply(str(self.newest).encode())
        number = int(path.rpartition("/")[2].removesuffix(".json"))
        self.asked[number] = self.asked.get(number, 0) + 1
        if number % 7 == 0 and self.asked[number] < 3:
            return Reply(b"null")
        item = {"id": number, "type": "comment", "by": "ann", "time": int(time.time()), "text": f"acme {number}"}
        return Reply(json.dumps(item).encode())


@dataclass(slots=True)
class FeedSite:
    """A feed of the newest items, with ETag."""

    failures: Failures = field(default_factory=Failures)
    replies: list[Reply] = field(default_factory=list)
    """Answers to the next requests."""
    dates: list[str] = field(default_factory=list)
    """Of all items that there ever were; their numbers begin with 1."""

    @property
    def etag(self) -> str:
        return f'W/"{len(self.dates)}"'

    def publish(self, items: int) -> None:
        self.dates += [format_datetime(datetime.now(UTC))] * items

    def shown(self) -> set[str]:
        """Ids of the items in the feed, as the connector names them."""
        return {f"127.0.0.1/{number}" for number in self._numbers()}

    def _numbers(self) -> range:
        return range(len(self.dates), max(0, len(self.dates) - SHOWN), -1)

    def __call__(self, _: str, headers: Mapping[str, str]) -> Reply:
        if self.replies:
            return self.replies.pop(0)
        if (failure := self.failures.reply()) is not None:
            return failure
        if headers.get("If-None-Match") == self.etag:
            return Reply(status=304)
        entries = "".join(
            f"<item><title>acme {n}</title><guid>{n}</guid><pubDate>{self.dates[n - 1]}</pubDate></item>"
            for n in self._numbers()
        )
        body = f'<rss version="2.0"><channel><title>x</title>{entries}</channel></rss>'
        return Reply(body.encode(), headers={"ETag": self.etag})
