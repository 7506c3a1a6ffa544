"""One engine in its own process: its speed and memory are not mixed with those of other engines.

OpenVINO, ONNX Runtime, torch and the libraries of transformers have their own thread pools. A crash in one of them
ends one process, and the bench reports it.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from brandpulse.errors import BrandpulseError
from brandpulse.runtime.process_memory import peak_bytes

T = TypeVar("T")
Score = Callable[[Sequence[str]], object]
Make = Callable[[], tuple[Score, Callable[[], int]]]
"""Loads an engine. Returns a function that scores texts, and one that counts the posts that its early exit settled."""


class EngineCrashedError(BrandpulseError):
    """The process of an engine ended before it answered; the message has its exit code."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The engine is loaded and has scored all texts once."""

    seconds: float
    """Of loading alone."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round over all texts."""

    seconds: float
    core_seconds: float
    """Of the processor, all threads of the process together."""
    settled: int
    """Posts that the early exit settled in this round."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The engine's last answer."""

    peak_bytes: int | None
    """Most bytes that the process held."""


class EngineProcess:
    """Loads an engine with *make* in a fresh process, which then scores *texts* once each time it is asked."""

    def __init__(self, make: Make, texts: Sequence[str]) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, list(texts), theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.load_seconds = self._receive(Loaded).seconds
        """Of loading alone, without the first batch of each shape, which builds kernels."""

    def round(self) -> Round:
        """Score all texts once. Raises EngineCrashedError."""
        return self._ask("round", Round)

    def end(self) -> int | None:
        """End the process. Returns the most bytes that it held. Raises EngineCrashedError."""
        peak = self._ask("end", Ended).peak_bytes
        self._process.join()
        return peak

    def _ask(self, order: str, kind: type[T]) -> T:
        try:
            self._connection.send(order)
        except OSError:
            raise self._crashed() from None
        return self._receive(kind)

    def _receive(self, kind: type[T]) -> T:
        try:
            answer = self._connection.recv()
        except (EOFError, OSError):
            raise self._crashed() from None
        if not isinstance(answer, kind):
            raise TypeError(f"the engine's process answered {answer!r}, expected {kind.__name__}")
        return answer

    def _crashed(self) -> EngineCrashedError:
        self._process.join()
        return EngineCrashedError(f"the engine's process ended with exit code {self._process.exitcode}")


def _serve(make: Make, texts: list[str], to: "Connection[Any, Any]") -> None:
    started = time.perf_counter()
    score, settled = make()
    seconds = time.perf_counter() - started
    score(texts)  # the first batch of each shape builds kernels
    to.send(Loaded(seconds))
    while to.recv() == "round":
        gc.collect()
        before = settled()
        started, used = time.perf_counter(), time.process_time()
        score(texts)
        to.send(Round(time.perf_counter() - started, time.process_time() - used, settled() - before))
    to.send(Ended(peak_bytes()))
