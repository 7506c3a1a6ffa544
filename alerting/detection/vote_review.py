"""A second look before a page: the windows of a brand without the people who have no vote.

Sketches count people and do not know their texts. If their counts show a rise, or an episode is open, the stored posts
decide whose vote counts. Stored posts reach a few hours back. What was found of an hour is saved, because slow windows
use it for a day.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from alerting.detection.hour_history import HourHistory
from alerting.detection.share_detector import WindowCounts
from alerting.detection.slow_windows import slow_window_counts
from alerting.detection.votes.copied_votes import StoredVotes, Uncounted, VotePolicy
from brandpulse.state.keys import HOUR_MS, MINUTE_MS, facet_of
from brandpulse.state.stored_posts import RETAINED_HOURS, WindowPosts

MAX_SLOW_HOURS = 48
"""Hours for which findings are saved: more than the longest slow window."""
MAX_POSTS = 20_000
"""Limit of posts for one evaluation: 0.06 ms each, 0.15 ms when they are new. Many brands at once must not delay it."""
MIN_COST = 30
"""Posts that cost as much as reading none."""
HOUR_MINUTES = HOUR_MS // MINUTE_MS

SeriesHour = tuple[str, int]
"""Series, hour since 1970."""
UncountedHours = Mapping[SeriesHour, Uncounted]


class UncountedStore(Protocol):
    """Where hours are saved: `alerting.store.alert_store.AlertStore`."""

    def uncounted_votes(self) -> dict[SeriesHour, Uncounted]: ...

    def save_uncounted_votes(self, found: UncountedHours, *, expired: Sequence[SeriesHour]) -> None: ...


class VoteReviewer:
    """Reviews windows, within a limit for each evaluation."""

    def __init__(
        self, stored: Callable[[str, int, int], WindowPosts], store: UncountedStore, policy: VotePolicy
    ) -> None:
        """*stored*: series, first event time and end -> its stored posts, as `PaneReader.window_posts`."""
        self._stored = stored
        self._store = store
        self._policy = policy
        self._hours: dict[SeriesHour, Uncounted] | None = None
        self._left = MAX_POSTS

    def reset_limits(self) -> None:
        """Start a new evaluation."""
        self._left = MAX_POSTS

    def review(
        self,
        series: str,
        windows: Sequence[WindowCounts],
        history: HourHistory,
        slow_hours: Sequence[int],
        *,
        combine: Callable[[list[WindowCounts]], list[WindowCounts]] = list,
    ) -> tuple[list[WindowCounts], list[WindowCounts]]:
        """*windows* and the slow windows after them, without the people who have no vote.

        *combine*: for a facet, makes windows of all people of the reviewed *windows*, whose people are those in the
        facet. Beyond the limit of the evaluation votes are not reviewed. Raises TransientError if posts cannot be read.
        """
        if self._left <= 0:
            unchanged = combine(list(windows))
            return unchanged, slow_window_counts(unchanged[-1], history, series, slow_hours)
        longest = windows[-1]
        before_hour = longest.first_minute // HOUR_MINUTES
        first_hour = min(before_hour, longest.last_minute // HOUR_MINUTES - RETAINED_HOURS)
        posts = self._stored(series, first_hour * HOUR_MS, (longest.last_minute + 1) * MINUTE_MS)
        self._left -= MIN_COST + len(posts.negative) + len(posts.others)
        votes = StoredVotes(posts, self._policy)
        counted = combine([without_uncounted(window, votes) for window in windows])
        hours = self._with_hours(series, votes, history, range(first_hour, before_hour))
        return counted, slow_window_counts(counted[-1], history, series, slow_hours, uncounted=hours)

    def _with_hours(
        self, series: str, votes: StoredVotes, history: HourHistory, hours: range
    ) -> Mapping[int, Uncounted]:
        """What is known of the hours of *series*; *hours* are those whose posts are stored."""
        if self._hours is None:
            self._hours = self._store.uncounted_votes()
        known, found = self._hours, dict[SeriesHour, Uncounted]()
        for hour in hours:
            one = _of_hour(series, hour, votes, history)
            before = known.get((series, hour), Uncounted())
            # The posts of an hour expire one partition after the other: what was found once stays.
            if (one.people, one.negative) > (before.people, before.negative):
                found[series, hour] = one
        expired = [place for place in known if place[1] < hours.stop - MAX_SLOW_HOURS]
        if found or expired:
            known.update(found)
            for place in expired:
                del known[place]
            self._store.save_uncounted_votes(found, expired=expired)
        return {hour: one for (name, hour), one in known.items() if name == series}


def _of_hour(series: str, hour: int, votes: StoredVotes, history: HourHistory) -> Uncounted:
    counts, _ = history.votes(series, hour, hour)
    first_ms, end_ms = hour * HOUR_MS, (hour + 1) * HOUR_MS
    if not facet_of(series):
        return votes.uncounted(first_ms, end_ms, people=counts.everyone, negative_people=counts.negative)
    # The history of a facet has all people of the brand, and those in the facet as the negative ones.
    found = votes.uncounted(first_ms, end_ms, people=counts.negative)
    return Uncounted(found.copied, found.copied, found.excluded, found.excluded)


def without_uncounted(window: WindowCounts, votes: StoredVotes) -> WindowCounts:
    """*window* with the votes of its people only."""
    found = votes.uncounted(
        window.first_minute * MINUTE_MS,
        (window.last_minute + 1) * MINUTE_MS,
        people=window.authors,
        negative_people=window.negative_authors,
    )
    authors = max(0, window.authors - found.people)
    return replace(
        window,
        authors=authors,
        negative_authors=min(authors, max(0, window.negative_authors - found.negative)),
        # Weights belong to posts, copies included: copies that are not negative would hide a rise.
        weight=window.weight if found.people == found.negative else None,
        copied=found.copied,
        excluded=found.excluded,
    )
