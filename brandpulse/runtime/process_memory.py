"""Memory of a process, from the kernel."""

import resource
from pathlib import Path


def peak_bytes(process: int | str = "self", *, proc: Path = Path("/proc")) -> int:
    """Most bytes that the *process* (its id, or `self`) has held so far. Only `self` works outside Linux."""
    try:
        # getrusage also counts the parent's memory at the start of this process.
        return _field(proc / str(process) / "status", "VmHWM")
    except FileNotFoundError:
        if process != "self":
            raise
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes


def resident_bytes(process: int) -> int:
    """Bytes that the process with that id holds now. Raises OSError if it has ended."""
    return _field(Path("/proc") / str(process) / "status", "VmRSS")


def _field(status: Path, name: str) -> int:
    """A field in kB, as bytes; 0 for a zombie, which has no memory."""
    for line in status.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1_024
    return 0
