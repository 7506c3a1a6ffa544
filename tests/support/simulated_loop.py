"""An event loop with a simulated clock: hours of waiting take a moment, with the same result each time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class SimulatedLoop(asyncio.SelectorEventLoop):
    """`time()` does not change while a callback is ready; then it jumps to the next timer. Threads run inline."""

    def __init__(self, *, began: float = 1_000.0) -> None:
        super().__init__()
        self._simulated = began

    def time(self) -> float:
        return self._simulated

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._simulated = max(self._simulated, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]

    def pass_time(self, seconds: float) -> None:
        """Advance the clock by *seconds* and run everything that is due."""
        self.run_until_complete(asyncio.sleep(seconds))


def run_simulated(main: Callable[[SimulatedLoop], Coroutine[Any, Any, Result]]) -> Result:
    loop = SimulatedLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.close()
        asyncio.set_event_loop(None)
