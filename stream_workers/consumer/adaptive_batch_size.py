"""How large a read may be, so that no post waits for many others."""

SECONDS = 0.5
"""Of the model's work in a read. With the next one it is what a post waits at most, beside its own read's wait."""
LEAST = 32
"""Posts: fewer fill a CPU's rows badly."""
_MEMORY = 0.8
"""Weight of what was seen before, at each call."""


class Pace:
    """So many posts as the model gets through in half a second, for one that takes posts as it goes along.

    To such a model a larger read is no gain, while all posts of a read are shown when its last is scored. Told by the
    storing thread, asked by others.
    """

    def __init__(self, most: int) -> None:
        """*most*: the bound, and what is said as long as nothing was seen."""
        self._most = most
        self._posts = self._seconds = 0.0
        self.posts = most

    def took(self, posts: int, seconds: float) -> None:
        """The model was at work on *posts* for *seconds*, on nothing else."""
        if not posts:
            return
        self._posts = _MEMORY * self._posts + posts
        self._seconds = _MEMORY * self._seconds + seconds
        wanted = SECONDS * self._posts / max(self._seconds, 1e-6)
        self.posts = max(min(LEAST, self._most), min(self._most, round(wanted)))
