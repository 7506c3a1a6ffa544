"""Posts to show as evidence, remembered as they pass: the store keeps only the newest twenty of a brand."""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime

from alerting.detect import WindowCounts
from brandpulse.episodes import ExamplePost
from brandpulse.keys import MINUTE_MS
from brandpulse.pane_reader import NegativePost

KEPT = 300
"""Of each brand: some hours of a busy one."""
SHOWN = 3


class ExampleShelf:
    """The newest negative posts seen of each brand. In memory: a new leader starts with the store's twenty."""

    def __init__(self) -> None:
        self._posts: dict[str, OrderedDict[tuple[str, str], NegativePost]] = {}

    def put(self, brand: str, posts: Iterable[NegativePost]) -> None:
        shelf = self._posts.setdefault(brand, OrderedDict())
        for post in sorted(posts, key=lambda post: post.created_ms):
            shelf[(post.source, post.id)] = post
        while len(shelf) > KEPT:
            shelf.popitem(last=False)

    def examples(self, brand: str, window: WindowCounts) -> list[ExamplePost]:
        """At most three posts of *window* by different authors, the surest judged first."""
        first_ms, end_ms = window.first_minute * MINUTE_MS, (window.last_minute + 1) * MINUTE_MS
        within = [
            post for post in self._posts.get(brand, OrderedDict()).values() if first_ms <= post.created_ms < end_ms
        ]
        shown: list[ExamplePost] = []
        authors: set[str] = set()
        for post in sorted(within, key=lambda post: (-post.negative, -post.created_ms, post.id)):
            if post.author in authors or len(shown) == SHOWN:
                continue
            authors.add(post.author)
            shown.append(
                ExamplePost(
                    id=post.id,
                    source=post.source,
                    text=post.text,
                    created_at=datetime.fromtimestamp(post.created_ms / 1_000, UTC),
                )
            )
        return shown
