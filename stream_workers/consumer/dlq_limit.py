"""The limit on dead letters: a stream that is mostly invalid is a broken producer, not a few bad posts."""

from collections import deque


class DlqLimit:
    """Watches the share and the run length of invalid posts of one partition.

    Over the limit the partition pauses until an operator allows it, instead of moving a topic into the dead letters.
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
        """`observe` *posts* valid ones in a row: the case of almost every batch, and cheap."""
        if posts:
            self._run = 0
        if self._invalid:
            for _ in range(posts):
                self.observe(invalid=False)
        else:
            self._recent.extend([False] * min(posts, (self._recent.maxlen or 0) - len(self._recent)))

    @property
    def violation(self) -> str:
        """Why the partition must pause; empty while it is within the limits."""
        if self._run >= self._run_limit:
            return f"{self._run} invalid posts in a row (limit {self._run_limit})"
        full = len(self._recent) == self._recent.maxlen
        if full and self._invalid > self._share_limit * len(self._recent):
            share = self._invalid / len(self._recent)
            return f"{share:.0%} of the last {len(self._recent)} posts are invalid (limit {self._share_limit:.0%})"
        return ""
