"""How much memory one engine holds, measured in a process that does nothing else."""

import resource
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

Score = Callable[[Sequence[str]], object]


def memory_of(make: Callable[[], tuple[Score, object]], texts: Sequence[str]) -> int | None:
    """Most bytes that a fresh process held while it made a scorer and scored *texts*; None if it came to harm."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(make, list(texts), theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        return int(ours.recv())
    except EOFError:
        return None
    finally:
        process.join()


def peak_memory(status: Path = Path("/proc/self/status")) -> int:
    """Most bytes that this process has held so far."""
    try:
        # On Linux getrusage also counts what the parent held when it started this process.
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes


def _measure(make: Callable[[], tuple[Score, object]], texts: list[str], to: Connection) -> None:
    score, _ = make()
    score(texts)
    to.send(peak_memory())
