from stream_workers.run import overload_check


def test_without_a_limit_the_engine_is_never_asked_to_hurry() -> None:
    assert overload_check(None, lambda: 10**9) is None


def test_with_a_limit_it_hurries_while_more_posts_wait() -> None:
    lag = 20_000
    hurry = overload_check(20_000, lambda: lag)
    assert hurry is not None
    assert not hurry()
    lag = 20_001
    assert hurry()
