import random
from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.detection.sliding_windows import sliding_counts
from tests.support.alerting.post_streams import MONDAY, PostStream

POSTS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 15), st.booleans()), max_size=60)


@settings(max_examples=60, deadline=None)
@given(POSTS, st.integers(1, 20), st.integers(1, 40))
def test_a_sliding_window_equals_the_sum_of_its_minutes(
    posts: list[tuple[int, int, bool]], width: int, many: int
) -> None:
    stream = PostStream()
    for minute, author, negative in posts:
        stream.post("Acme Air", MONDAY + minute, negative=negative, author=author)
    ends = range(MONDAY + 15, MONDAY + 15 + many)
    for counted in sliding_counts(stream.minutes("Acme Air"), width, ends):
        within = [p for p in posts if counted.first_minute <= MONDAY + p[0] <= counted.last_minute]
        negatives = sum(negative for _, _, negative in within)
        # A neutral post weighs a quarter; a negative one of score -.9 weighs .95.
        weight = (0.25 * (len(within) - negatives) + 0.95 * negatives) / len(within) if within else None
        assert counted.weight == (None if weight is None else pytest.approx(weight))
        assert astuple(counted)[2:6] == (
            len(within),
            sum(negative for _, _, negative in within),
            len({author for _, author, _ in within}),
            len({author for _, author, negative in within if negative}),
        )


def test_a_window_does_not_count_irrelevant_posts() -> None:
    stream = PostStream()
    stream.irrelevant("Acme Air", MONDAY, posts=9)
    stream.post("Acme Air", MONDAY, negative=True)
    [counted] = sliding_counts(stream.minutes("Acme Air"), 10, [MONDAY + 5])
    assert (counted.posts, counted.negative_posts, counted.authors) == (1, 1, 1)


def test_a_large_window_is_as_exact_as_its_sketch() -> None:
    stream = PostStream().steady(
        "Acme Air", range(MONDAY, MONDAY + 200), per_minute=20, share=0.25, rng=random.Random(1)
    )
    minutes = stream.minutes("Acme Air")
    for counted in sliding_counts(minutes, 60, range(MONDAY + 100, MONDAY + 200)):
        assert counted.authors == pytest.approx(counted.posts, rel=0.08)
        assert counted.negative_authors == pytest.approx(counted.negative_posts, rel=0.08)
