"""A score for authors who behave like a bot, an advert or spam, from their own stored posts about one brand."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from brandpulse.state.keys import HOUR_MS

FEW_POSTS = 3
"""Fewer posts of an author show no behaviour: they score 0."""
USUAL_AN_HOUR = 5
MANY_AN_HOUR = 20
MOST_BY_RATE = 0.6
"""Part of the score that many posts alone can reach: an angry customer writes many, and different ones."""
FEW_WORDS = 3
"""A post with a link and fewer words is an advert for the link."""


class BehaviourPost(NamedTuple):
    """What counts of one post."""

    created_ms: int
    text: int
    """Number of its text: copies have the same."""
    words: int
    """Without links and mentions."""
    has_link: bool


def noise_score(posts: Sequence[BehaviourPost]) -> float:
    """How much the author of *posts* behaves like a bot, in [0, 1]: 1 - (1 - rate)(1 - repeats)(1 - links).

    rate: from 5 posts in one hour (0) to 20 (0.6). repeats: part of the posts that are copies of another of them.
    links: part of the posts with a link and fewer than three words.
    """
    if len(posts) < FEW_POSTS:
        return 0.0
    busiest = _most_in_an_hour(post.created_ms for post in posts)
    rate = MOST_BY_RATE * min(1.0, max(0.0, (busiest - USUAL_AN_HOUR) / (MANY_AN_HOUR - USUAL_AN_HOUR)))
    repeats = 1 - len({post.text for post in posts}) / len(posts)
    links = sum(post.has_link and post.words < FEW_WORDS for post in posts) / len(posts)
    return 1 - (1 - rate) * (1 - repeats) * (1 - links)


def _most_in_an_hour(times_ms: Iterable[int]) -> int:
    times = sorted(times_ms)
    most = start = 0
    for end, time in enumerate(times):
        while times[start] <= time - HOUR_MS:
            start += 1
        most = max(most, end - start + 1)
    return most
