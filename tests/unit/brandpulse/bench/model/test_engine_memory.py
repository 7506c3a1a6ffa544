"""How much memory an engine holds is that of a process of its own, and nobody else's."""

import os
from collections.abc import Callable, Sequence
from functools import partial

from brandpulse.bench.model.engine_memory import memory_of

MB = 1_000_000
Score = Callable[[Sequence[str]], object]


def hoards(megabytes: int) -> tuple[Score, None]:
    held: list[bytes] = []
    return lambda _: held.append(os.urandom(megabytes * MB)), None


def dies() -> tuple[Score, None]:
    os._exit(1)


def test_what_an_engine_holds_is_counted_and_what_we_hold_is_not() -> None:
    ours = os.urandom(400 * MB)
    little, much = (memory_of(partial(hoards, size), ["a post"]) for size in (1, 201))
    assert little is not None and much is not None
    assert 150 * MB < much - little < 250 * MB
    assert little < 300 * MB < len(ours)


def test_an_engine_that_comes_to_harm_has_no_figure() -> None:
    assert memory_of(dies, ["a post"]) is None
