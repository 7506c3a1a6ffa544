"""How many posts a sender may send per second. Pure: the clock is an argument."""

BURST_SECONDS = 5.0
"""A sender that was silent may send the posts of this many seconds at once."""


class RateLimit:
    """A token bucket. At the start it is full."""

    def __init__(self, posts_per_second: float, *, most_posts: int) -> None:
        """*most_posts*: of one request, which always fit into a full bucket."""
        self.posts_per_second = posts_per_second
        self._size = max(posts_per_second * BURST_SECONDS, float(most_posts))
        self._left = self._size
        self._at: float | None = None

    def take(self, posts: int, now: float) -> float:
        """Take *posts*; returns 0, or takes none and returns the seconds until they fit. *now*: monotonic seconds."""
        if self._at is not None:
            self._left = min(self._size, self._left + (now - self._at) * self.posts_per_second)
        self._at = now
        if posts <= self._left:
            self._left -= posts
            return 0.0
        return (posts - self._left) / self.posts_per_second
