"""How much memory one engine holds, measured in a process that does nothing else."""

from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection

from brandpulse.runtime.process_memory import peak_bytes

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


def _measure(make: Callable[[], tuple[Score, object]], texts: list[str], to: Connection) -> None:
    score, _ = make()
    score(texts)
    to.send(peak_bytes())
