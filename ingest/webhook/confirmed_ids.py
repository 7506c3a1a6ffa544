"""The delivery ids of one sender whose posts the broker has confirmed, the newest of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

REMEMBERED_IDS = 10_000
"""Per sender. A repeat of a forgotten id is sent again, and the workers drop its posts by their own ids."""


@dataclass(slots=True)
class Delivery:
    """One request with an id."""

    repeated: bool
    """The same id was confirmed before."""
    confirmed: bool = False
    """Set by the receiver once the broker has confirmed all posts of the request."""


class ConfirmedIds:
    """Of requests with the same id at the same time, one is handled and the others wait for its result."""

    def __init__(self, most: int = REMEMBERED_IDS) -> None:
        self._most = most
        self._confirmed: dict[str, None] = {}
        self._open: dict[str, asyncio.Event] = {}

    @contextlib.asynccontextmanager
    async def delivery(self, identity: str) -> AsyncIterator[Delivery]:
        """Handles a request with *identity*; remembers it if it was confirmed."""
        while (other := self._open.get(identity)) is not None:
            await other.wait()
        delivery = Delivery(repeated=identity in self._confirmed)
        done = self._open[identity] = asyncio.Event()
        try:
            yield delivery
        finally:
            del self._open[identity]
            done.set()
            if delivery.confirmed:
                self._remember(identity)

    def _remember(self, identity: str) -> None:
        self._confirmed.pop(identity, None)
        self._confirmed[identity] = None
        if len(self._confirmed) > self._most:
            del self._confirmed[next(iter(self._confirmed))]
