"""Memory of a process."""

import subprocess
import sys
from pathlib import Path

import pytest

from brandpulse.runtime.process_memory import peak_bytes, resident_bytes


def test_peak_stays_after_memory_is_freed(tmp_path: Path) -> None:
    script = "import sys; a = bytearray(200_000_000); del a; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert peak_bytes(child.pid) > 200_000_000 > resident_bytes(child.pid) > 1_000_000
        child.communicate(b"")


def test_peak_excludes_the_parents_memory() -> None:
    """As getrusage does, which made every peer of a bench as large as the bench."""
    own = b"x" * 300_000_000
    script = "from brandpulse.runtime.process_memory import peak_bytes; print(peak_bytes())"
    reported = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert int(reported) < len(own)


def test_missing_field_is_zero_and_ended_process_raises(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("Name:\tzombie\nState:\tZ (zombie)\n")
    assert peak_bytes(7, proc=tmp_path) == 0
    with pytest.raises(FileNotFoundError):
        peak_bytes(8, proc=tmp_path)
