"""Log lines about refused requests, few enough for a sender that repeats its fault a thousand times a second."""

import logging
import time
from collections import Counter

PAUSE_SECONDS = 10.0


class RefusalLog:
    """One line for each sender and status in ten seconds; the next line has the number of those left out."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._next: dict[tuple[str, int], float] = {}
        self._left_out: Counter[tuple[str, int]] = Counter()

    def add(self, sender: str, status: int, reason: str, *, remote: str, **facts: object) -> None:
        """*sender*: its configured name. The reason holds no text and no secret of the request."""
        key, now = (sender, status), time.monotonic()
        if now < self._next.get(key, 0.0):
            self._left_out[key] += 1
            return
        self._next[key] = now + PAUSE_SECONDS
        left_out = self._left_out.pop(key, 0)
        extra = {"sender": sender, "status": status, "reason": reason, **facts}
        extra |= {"remote": remote} if remote else {}
        extra |= {"not_logged_before": left_out} if left_out else {}
        self._log.warning("webhook request refused", extra=extra)
