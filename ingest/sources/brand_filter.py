"""Which posts of a source name a brand, by the brands file as it is now."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from brandpulse.config.brands_file import Brand, load_brands
from brandpulse.config.yaml_file import Stamp, stamp_of
from brandpulse.errors import ConfigError
from brandpulse.runtime.backoff import pause
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.readable_text import readable_text

log = logging.getLogger(__name__)

RELOAD_SECONDS = 2.0
"""How often the date of the file is compared."""


class BrandFilter:
    """The brands file. `follow` reads it again when it changes; while it is wrong, the brands before stay."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError."""
        self._path = path
        self._stamp: Stamp | None = None
        self._load()

    @property
    def names(self) -> Sequence[str]:
        return self._names

    def brands(self) -> Sequence[Brand]:
        """The brands of the file; the same object until it changes."""
        return self._brands

    def names_a_brand(self, text: str) -> bool:
        return bool(self._matcher.match(readable_text(text)))

    async def follow(self, stop: asyncio.Event) -> None:
        """Reads each change of the file until *stop*, in a thread: with many brands it takes seconds."""
        while not stop.is_set():
            await pause(stop, RELOAD_SECONDS)
            if stamp_of(self._path) != self._stamp:
                await asyncio.to_thread(self._reload)

    def _load(self) -> None:
        # The date first: a change during the read is seen the next time.
        stamp = stamp_of(self._path)
        brands = load_brands(self._path)
        self._stamp, self._names, self._matcher = stamp, [brand.name for brand in brands], BrandMatcher(brands)
        self._brands = brands

    def _reload(self) -> None:
        try:
            self._load()
        except ConfigError as error:
            self._stamp = stamp_of(self._path)
            log.warning("brands file invalid: the brands before stay", extra={"reason": str(error)})
        else:
            log.info("brands file loaded", extra={"brands": len(self._names)})
