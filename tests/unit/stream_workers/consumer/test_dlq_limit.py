import pytest

from stream_workers.consumer.dlq_limit import DlqLimit


def observed(marks: str, *, run: int = 5, share: float = 0.5, window: int = 10) -> str:
    limit = DlqLimit(run_limit=run, share_limit=share, window=window)
    for mark in marks:
        limit.observe(invalid=mark == "x")
    return limit.violation


@pytest.mark.parametrize("before", ["", "x", "xxxx", "..x.x", "." * 30, "x" * 4 + "." * 9])
@pytest.mark.parametrize("valid", [0, 1, 7, 40])
@pytest.mark.parametrize("after", ["", "xxxx", "x.xx.xxx"])
def test_valid_posts_observed_at_once_equal_those_observed_one_by_one(before: str, valid: int, after: str) -> None:
    limit = DlqLimit(run_limit=5, share_limit=0.5, window=10)
    for mark in before:
        limit.observe(invalid=mark == "x")
    limit.observe_valid(valid)
    for mark in after:
        limit.observe(invalid=mark == "x")
    assert limit.violation == observed(before + "." * valid + after)


def test_some_invalid_posts_do_not_pause() -> None:
    assert observed("..x..x..x..x..") == ""


def test_long_run_of_invalid_posts_pauses() -> None:
    assert "5 invalid posts in a row" in observed("...xxxxx")


def test_one_valid_post_ends_a_run() -> None:
    assert observed("xxxx.xxxx.") == "80% of the last 10 posts are invalid (limit 50%)"
    assert observed("xxxx.xxxx", window=100) == ""


def test_share_counts_only_recent_posts() -> None:
    assert observed("x.x.x.x.x." + "." * 10) == ""
