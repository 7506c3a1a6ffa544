from stream_workers.guard import InvalidGuard


def observed(marks: str, *, run: int = 5, share: float = 0.5, window: int = 10) -> str:
    guard = InvalidGuard(run_limit=run, share_limit=share, window=window)
    for mark in marks:
        guard.observe(invalid=mark == "x")
    return guard.verdict


def test_some_bad_posts_are_everyday_life() -> None:
    assert observed("..x..x..x..x..") == ""


def test_a_long_run_of_bad_posts_pauses() -> None:
    assert "5 invalid posts in a row" in observed("...xxxxx")


def test_a_run_is_broken_by_one_good_post() -> None:
    assert observed("xxxx.xxxx.") == "80% of the last 10 posts are invalid (limit 50%)"
    assert observed("xxxx.xxxx", window=100) == ""


def test_the_share_counts_only_the_recent_posts() -> None:
    assert observed("x.x.x.x.x." + "." * 10) == ""
