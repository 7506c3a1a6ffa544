"""The restart rule of `up` and `replay`, with real processes."""

from pathlib import Path

import pytest

from brandpulse.runtime import supervised_child
from brandpulse.runtime.child_process import Child
from brandpulse.runtime.supervised_child import SupervisedChild


def a_child(log: Path, *, code: int) -> Child:
    return Child("service", ["sh", "-c", f"exit {code}"], log=log)


def end(supervised: SupervisedChild) -> None:
    assert supervised.child is not None
    supervised.child.wait(10)


def test_an_ended_process_is_reported_once_and_restarted_after_the_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised_child, "RESTART_SECONDS", (0.0, 1_000.0))
    reports: list[tuple[int | None, float]] = []
    supervised = SupervisedChild("service", lambda: a_child(tmp_path / "log", code=3))

    def check() -> None:
        supervised.restart_if_ended(lambda child, pause: reports.append((child.exit_code, pause)))

    end(supervised)
    first = supervised.child
    check()
    assert (supervised.child, supervised.latest, reports) == (None, first, [(3, 0.0)])
    check()
    assert supervised.child is not None
    end(supervised)
    check()
    check()
    assert supervised.child is None, "the second pause is longer"
    assert (reports, supervised.restarts) == ([(3, 0.0), (3, 1_000.0)], 2)


def test_after_a_stable_run_the_first_pause_applies_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised_child, "RESTART_SECONDS", (0.0, 1_000.0))
    monkeypatch.setattr(supervised_child, "STABLE_SECONDS", -1.0)
    pauses: list[float] = []
    supervised = SupervisedChild("service", lambda: a_child(tmp_path / "log", code=0))
    for _ in range(3):
        end(supervised)
        supervised.restart_if_ended(lambda _child, pause: pauses.append(pause))
        supervised.restart_if_ended(lambda _child, pause: pauses.append(pause))
    assert pauses == [0.0, 0.0, 0.0]
