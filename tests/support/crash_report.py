"""The native stack of a test process that crashed in C, C++ or Rust code, read from its core file with gdb."""

import contextlib
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

MAX_CORE_BYTES = 4 << 30
GDB_SECONDS = 120
MAX_LINES = 400


def allow_core_files() -> None:
    """Let this process and its children leave a core file, of at most 4 GB, where the machine permits it."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    soft = MAX_CORE_BYTES if hard == resource.RLIM_INFINITY else min(hard, MAX_CORE_BYTES)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def native_stack(folder: Path, *, since: float) -> str:
    """Every thread's native stack from the newest core file in *folder* that was written after *since* (`time.time()`).

    The core file is deleted. Where there is none, or no gdb, the text says so.
    """
    # The kernel may still be writing: it appears under its name at once and grows.
    time.sleep(1)
    cores = [path for path in folder.glob("core*") if _is_core(path) and path.stat().st_mtime >= since]
    if not cores:
        return f"no core file in {folder}: /proc/sys/kernel/core_pattern may send them elsewhere"
    core = max(cores, key=lambda path: path.stat().st_mtime)
    gdb = shutil.which("gdb")
    if gdb is None:
        return f"install gdb to see the native stack in {core}"
    command = [gdb, "-batch", "-nx", "-ex", "thread apply all backtrace 25", sys.executable, str(core)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GDB_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"gdb did not end within {GDB_SECONDS} s; {core} is kept"
    core.unlink()
    lines = [line for line in done.stdout.splitlines() if line.startswith(("Thread", "#", "Program terminated"))]
    return "\n".join(lines[:MAX_LINES]) or done.stdout + done.stderr


def _is_core(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"
