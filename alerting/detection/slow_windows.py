"""Slow windows: the longest sliding window plus hours of votes before it. Minute sketches exist for three hours only.

An author has one vote an hour there, so one author with fifty posts has two or three votes of hundreds. Up to an hour
between the whole hours and the sliding window is left out.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_detector import WindowCounts
from alerting.detection.votes.copied_votes import Uncounted

ALL_COUNTED: Mapping[int, Uncounted] = MappingProxyType({})


def slow_window_counts(
    longest: WindowCounts,
    history: HourHistory,
    brand: str,
    hours: Sequence[int],
    *,
    uncounted: Mapping[int, Uncounted] = ALL_COUNTED,
) -> list[WindowCounts]:
    """*longest* plus the whole hours before it, for each number of *hours*. A vote counts as a post.

    *uncounted*: hour since 1970 -> people of that hour who have no vote.
    """
    before_hour = longest.first_minute // 60
    windows = []
    for number in hours:
        votes, weight = history.votes(brand, before_hour - number, before_hour - 1)
        without = [one for hour, one in uncounted.items() if before_hour - number <= hour < before_hour]
        everyone = max(0, votes.everyone - sum(one.people for one in without))
        negative = min(everyone, max(0, votes.negative - sum(one.negative for one in without)))
        windows.append(
            WindowCounts(
                last_minute=longest.last_minute,
                width=longest.last_minute - (before_hour - number) * 60 + 1,
                posts=longest.posts + votes.everyone,
                negative_posts=longest.negative_posts + votes.negative,
                authors=longest.authors + everyone,
                negative_authors=longest.negative_authors + negative,
                weight=_together(longest.weight, longest.authors, weight, votes.everyone),
                copied=_added(longest.copied, sum(one.copied for one in without)),
                excluded=_added(longest.excluded, sum(one.excluded for one in without)),
            )
        )
    return windows


def _added(newer: int | None, older: int) -> int | None:
    return None if newer is None else newer + older


def _together(newer: float | None, newer_votes: int, older: float | None, older_votes: int) -> float | None:
    """Mean weight of both, weighted by votes."""
    if older is None or not older_votes:
        return newer
    if newer is None:
        return older
    return (newer * newer_votes + older * older_votes) / (newer_votes + older_votes)
