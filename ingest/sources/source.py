"""The interface of a source, and the faults that it may raise.

To write one of your own: a settings class and a source class in a package of yours, registered as an entry point of
the group `brandpulse.sources`. docs/how-to/live-sources.md has a complete one in 30 lines.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import aiohttp
from pydantic import BaseModel, ConfigDict, Field

from brandpulse.config.brands_file import Brand
from brandpulse.errors import BrandpulseError
from ingest.sources.events import Batch, Cursor
from ingest.sources.spending.ledger import Ledger, MemoryLedger, Spending


class SourceSettings(BaseModel):
    """The keys that every source of the file may have. A kind adds its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$", examples=["bluesky"])]
    """Name in logs, metrics and `brandpulse ingest gaps`; its position is stored under it."""
    kind: str
    source: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The `source` of its posts. Default: the kind, so that two servers of one network give each post once."""
    only_brands: bool = True
    """Send only posts that name a brand of the brands file. `false` also counts the posts that name none."""
    posts_per_second: Annotated[float, Field(gt=0, le=100_000)] = 2_000
    """Most posts that this source sends per second; it is read more slowly above that."""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What the core gives to a source."""

    session: aiohttp.ClientSession
    """Without a total timeout: set one per request, as long streams need none."""
    brands: Sequence[str]
    """Names of the brands in the brands file, for sources that search."""
    stop: asyncio.Event
    """Set when the source must end. `read` may end at any time after it."""
    current_brands: Callable[[], Sequence[Brand]] = tuple
    """The brands as the file is now, for sources that follow it. The same object while nothing changes."""
    ledger: Ledger = field(default_factory=MemoryLedger)
    """Where sources with a budget book what they use up."""
    note_spending: Callable[[Spending], None] = lambda _: None
    """Called after each booking, for the metrics."""


class SourceError(BrandpulseError):
    """Another side failed; the source connects again after a growing pause, or after *retry_after_seconds*."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class SourceConfigError(BrandpulseError):
    """The platform refuses the settings (a wrong token, an unknown address): the source stops until they change."""


class Source(Protocol):
    """One configured source."""

    @property
    def settings(self) -> SourceSettings: ...

    def read(self, cursor: Cursor | None, context: SourceContext) -> AsyncIterator[Batch]:
        """The events after *cursor* (None: from now on), until an error. A batch follows soon after its events.

        Raises SourceError or SourceConfigError; any other error of the network counts as a SourceError.
        """
        ...

    async def check(self, context: SourceContext) -> str:
        """Ask the platform whether the source would work: one line about what it answers. Raises as `read`."""
        ...
