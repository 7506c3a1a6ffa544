"""A test process that crashes in native code leaves a native stack trace."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.crash_report import native_stack
from tests.support.repository import ROOT

CRASH = """
import ctypes, os
from tests.support.crash_report import allow_core_files
allow_core_files()
os.chdir({folder!r})
ctypes.string_at(0)
"""
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


def test_a_crash_in_native_code_is_reported_with_its_native_stack(tmp_path: Path) -> None:
    if shutil.which("gdb") is None:
        pytest.skip("no gdb here")
    if not CORE_PATTERN.is_file() or not CORE_PATTERN.read_text().startswith("core"):
        pytest.skip("core files go elsewhere on this machine")
    started = time.time()
    crashed = subprocess.run([sys.executable, "-c", CRASH.format(folder=str(tmp_path))], cwd=ROOT, check=False)
    assert crashed.returncode < 0
    if not list(tmp_path.glob("core*")):
        pytest.skip("this machine allows no core files")
    assert "ctypes" in native_stack(tmp_path, since=started)
    assert not list(tmp_path.glob("core*"))


def test_a_missing_core_file_is_reported(tmp_path: Path) -> None:
    assert "no core file" in native_stack(tmp_path, since=time.time())
