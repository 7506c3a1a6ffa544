"""Which posts of a source name a brand, by the brands file as it is now."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from brandpulse.config.brands_file import load_brands
from brandpulse.config.yaml_file import Stamp, stamp_of
from brandpulse.errors import ConfigError
from brandpulse.text.brand_matcher import BrandMatcher

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
"""How often the file's date is looked at."""


class BrandFilter:
    """The brands file, read again when it changes; while it is wrong, the brands before stay."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError."""
        self._path = path
        self._stamp: Stamp | None = None
        self._checked = 0.0
        self._load()

    @property
    def names(self) -> Sequence[str]:
        return self._names

    def names_a_brand(self, text: str) -> bool:
        if (now := time.monotonic()) - self._checked > CHECK_SECONDS:
            self._checked = now
            self._reload()
        return bool(self._matcher.match(text))

    def _load(self) -> None:
        # The date first: a change during the read is seen at the next look.
        stamp = stamp_of(self._path)
        brands = load_brands(self._path)
        self._stamp, self._names, self._matcher = stamp, [brand.name for brand in brands], BrandMatcher(brands)

    def _reload(self) -> None:
        if stamp_of(self._path) == self._stamp:
            return
        try:
            self._load()
        except ConfigError as error:
            self._stamp = stamp_of(self._path)
            log.warning("brands file invalid: the brands before stay", extra={"reason": str(error)})
        else:
            log.info("brands file loaded", extra={"brands": len(self._names)})
