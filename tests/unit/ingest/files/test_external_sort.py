"""Sorting by time in bounded memory."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ingest.files.external_sort import TimeSorted
from ingest.files.reading.row_mapping import OutgoingPost

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@given(st.lists(st.integers(-5, 5), max_size=40), st.integers(1, 7))
def test_posts_are_sorted_by_time_stably(seconds: list[int], run_posts: int) -> None:
    posts = [OutgoingPost(str(i), NOON + timedelta(seconds=s), b"%d" % i) for i, s in enumerate(seconds)]
    with TimeSorted(iter(posts), run_posts=run_posts) as spool:
        assert list(spool) == sorted(posts, key=lambda post: post.created_at)
        assert spool.first == min((post.created_at for post in posts), default=None)
        assert spool.last == max((post.created_at for post in posts), default=None)
