"""The brands file while the alerter runs: read again when it changes. A wrong file leaves the last good content."""

import logging
from collections.abc import Sequence, Set
from pathlib import Path

from alerting.rules.brand_zones import Zones, zones_by_brand
from brandpulse.config.brands_file import BrandsFile, load_brands_file
from brandpulse.config.yaml_file import Stamp, stamp_of
from brandpulse.errors import ConfigError

log = logging.getLogger(__name__)


class LiveBrands:
    """Brand names, time zones and facets of one brands file. Each call checks whether the file changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._checked = False
        self._stamp: Stamp | None = None
        self._content: BrandsFile | None = None
        self._zones: Zones = {}

    def names(self) -> Sequence[str] | None:
        """Brand names in the order of the file; None if the file was never readable."""
        content = self._current()
        return None if content is None else [brand.name for brand in content.brands]

    def facets(self) -> Set[str]:
        """Names of the facets; empty if the file was never readable. Workers count those it held when they started."""
        content = self._current()
        return frozenset() if content is None else {facet.name for facet in content.facets}

    def zones(self) -> Zones:
        """Time zones of the brands that are not on UTC; empty if the file was never readable."""
        self._current()
        return self._zones

    def _current(self) -> BrandsFile | None:
        stamp = stamp_of(self._path)
        if self._checked and stamp == self._stamp:
            return self._content
        self._checked, self._stamp = True, stamp
        try:
            self._content = load_brands_file(self._path)
        except ConfigError as error:
            log.warning(
                "brands file not read: its last good content stays in use; without one, all brands are on UTC",
                extra={"reason": str(error), "remedy": "name the brands file with BRANDPULSE_BRANDS_FILE"},
            )
            return self._content
        zones = zones_by_brand(self._content.brands)
        if zones != self._zones:
            keys = sorted({zone.key for zone in zones.values()})
            log.info("brand time zones changed", extra={"brands": len(zones), "zones": keys})
        self._zones = zones
        return self._content
