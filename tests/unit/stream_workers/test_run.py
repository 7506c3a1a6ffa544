import pytest

from stream_workers.run import overload_check
from stream_workers.settings import WorkerSettings


def test_without_a_limit_there_is_no_overload_check() -> None:
    assert overload_check(None, lambda: 10**9) is None


def test_lag_above_the_limit_is_an_overload() -> None:
    lag = 20_000
    overloaded = overload_check(20_000, lambda: lag)
    assert overloaded is not None
    assert not overloaded()
    lag = 20_001
    assert overloaded()


@pytest.mark.parametrize("variable", ["BRANDPULSE_WORKER_OVERLOAD_LAG", "BRANDPULSE_WORKER_HURRY_LAG"])
def test_overload_lag_is_read_by_its_new_and_its_deprecated_name(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "7")
    assert WorkerSettings().overload_lag == 7
