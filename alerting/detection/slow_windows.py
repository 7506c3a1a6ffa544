"""Slow windows: the longest sliding window plus hours of votes before it. Minute sketches exist for three hours only.

An author has one vote an hour there, so one author with fifty posts has two or three votes of hundreds. Up to an hour
between the whole hours and the sliding window is left out.
"""

from collections.abc import Sequence

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_detector import WindowCounts


def slow_window_counts(
    longest: WindowCounts, history: HourHistory, brand: str, hours: Sequence[int]
) -> list[WindowCounts]:
    """*longest* plus the whole hours before it, for each number of *hours*. A vote counts as a post."""
    before_hour = longest.first_minute // 60
    windows = []
    for number in hours:
        votes, weight = history.votes(brand, before_hour - number, before_hour - 1)
        windows.append(
            WindowCounts(
                last_minute=longest.last_minute,
                width=longest.last_minute - (before_hour - number) * 60 + 1,
                posts=longest.posts + votes.everyone,
                negative_posts=longest.negative_posts + votes.negative,
                authors=longest.authors + votes.everyone,
                negative_authors=longest.negative_authors + votes.negative,
                weight=_together(longest.weight, longest.authors, weight, votes.everyone),
            )
        )
    return windows


def _together(newer: float | None, newer_votes: int, older: float | None, older_votes: int) -> float | None:
    """Mean weight of both, weighted by votes."""
    if older is None or not older_votes:
        return newer
    if newer is None:
        return older
    return (newer * newer_votes + older * older_votes) / (newer_votes + older_votes)
