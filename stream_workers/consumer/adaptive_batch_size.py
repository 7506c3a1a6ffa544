"""Adapts the size of a read to the model's speed, so that no post waits for many others."""

TARGET_SECONDS = 0.5
"""Model time per read. With the next read, this is what a post waits at most, in addition to its own read."""
MIN_POSTS = 32
"""Fewer posts fill the rows of a CPU batch badly."""
_DECAY = 0.8
"""Weight of earlier observations, per call."""


class AdaptiveBatchSize:
    """The number of posts that the model scores in half a second, for a model that accepts posts continuously.

    A larger read does not speed up such a model, and all posts of a read become visible with its last one. Updated by
    the storing thread, read by others.
    """

    def __init__(self, limit: int) -> None:
        """*limit*: the maximum, and the value until something was observed."""
        self._limit = limit
        self._posts = self._seconds = 0.0
        self.posts = limit

    def observe(self, posts: int, seconds: float) -> None:
        """The model spent *seconds* on *posts*, and on nothing else."""
        if not posts:
            return
        self._posts = _DECAY * self._posts + posts
        self._seconds = _DECAY * self._seconds + seconds
        wanted = TARGET_SECONDS * self._posts / max(self._seconds, 1e-6)
        self.posts = max(min(MIN_POSTS, self._limit), min(self._limit, round(wanted)))
