from stream_workers.run import overload_check


def test_without_a_limit_there_is_no_overload_check() -> None:
    assert overload_check(None, lambda: 10**9) is None


def test_lag_above_the_limit_is_an_overload() -> None:
    lag = 20_000
    hurry = overload_check(20_000, lambda: lag)
    assert hurry is not None
    assert not hurry()
    lag = 20_001
    assert hurry()
