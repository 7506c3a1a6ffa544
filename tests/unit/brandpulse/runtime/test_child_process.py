"""A child process and the reason of its end."""

import subprocess
import sys
from pathlib import Path

import pytest

from brandpulse.runtime.child_process import Child, StartError
from tests.support.patience import patience
from tests.support.repository import ROOT

FAILS = "import sys; print('older lines'); print('brandpulse: X is wrong.\\nFor example: Y'); sys.exit(2)"


def ended(path: Path, code: str) -> Child:
    child = Child("worker-1", [sys.executable, "-c", code], log=path)
    child.wait(patience(20))
    return child


def test_reason_is_the_last_error_of_the_process(tmp_path: Path) -> None:
    assert ended(tmp_path / "log", FAILS).reason() == "X is wrong.\nFor example: Y"


def test_the_log_of_an_earlier_process_is_not_shown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("brandpulse: an error of yesterday\n" * 50)
    child = ended(log, "print('today')")
    assert child.log_tail() == child.reason() == "today"


def test_failed_start_names_the_error(tmp_path: Path) -> None:
    child = Child("broker", [sys.executable, "-c", FAILS], log=tmp_path / "log")
    with pytest.raises(StartError, match=r"broker ended with code 2 while starting:\nX is wrong"):
        child.wait_ready(lambda: False, timeout_seconds=20)


@pytest.mark.parametrize(
    ("home", "expected"),
    [("/proc/self/nowhere", "cannot use /proc/self/nowhere"), ("FILE/inside", "A part of this path is a file")],
)
def test_unwritable_folder_is_named_without_a_traceback(tmp_path: Path, home: str, expected: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "brands.yaml").write_text("brands:\n- {name: A, terms: [a]}\n")
    done = subprocess.run(
        [sys.executable, "-m", "brandpulse", "up", "--page-port", "0"],
        env={
            "BRANDPULSE_HOME": home.replace("FILE", str(tmp_path / "file")),
            "PATH": "/usr/bin:/bin",
            "HOME": "/tmp",
            "PYTHONPATH": str(ROOT),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
    )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert "BRANDPULSE_HOME" in done.stderr or expected in done.stderr
