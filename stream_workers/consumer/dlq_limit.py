"""The over-limit guard: a stream that is mostly unreadable is a broken producer, not a run of bad posts."""

from collections import deque


class InvalidGuard:
    """Watches one partition's share and run length of invalid posts.

    Over the limit the partition pauses and waits for a person, rather than draining a topic into the dead letters.
    """

    def __init__(self, *, run_limit: int, share_limit: float, window: int = 1_000) -> None:
        self._run_limit = run_limit
        self._share_limit = share_limit
        self._recent: deque[bool] = deque(maxlen=window)
        self._invalid = 0
        self._run = 0

    def observe(self, *, invalid: bool) -> None:
        if len(self._recent) == self._recent.maxlen:
            self._invalid -= self._recent[0]
        self._recent.append(invalid)
        self._invalid += invalid
        self._run = self._run + 1 if invalid else 0

    def observe_valid(self, posts: int) -> None:
        """*posts* valid ones in a row: nearly every batch, and nearly no work."""
        if posts:
            self._run = 0
        if self._invalid:
            for _ in range(posts):
                self.observe(invalid=False)
        else:
            self._recent.extend([False] * min(posts, (self._recent.maxlen or 0) - len(self._recent)))

    @property
    def verdict(self) -> str:
        """Why the partition must pause, in a sentence; empty while it may go on."""
        if self._run >= self._run_limit:
            return f"{self._run} invalid posts in a row (limit {self._run_limit})"
        full = len(self._recent) == self._recent.maxlen
        if full and self._invalid > self._share_limit * len(self._recent):
            share = self._invalid / len(self._recent)
            return f"{share:.0%} of the last {len(self._recent)} posts are invalid (limit {self._share_limit:.0%})"
        return ""
