"""Each brand's clock as the brands file names it, while the alerter runs: read again when the file changes."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from alerting.yaml_file import Stamp, stamp_of
from brandpulse.brands import load_brands
from brandpulse.errors import ConfigError
from brandpulse.local_hours import UTC

log = logging.getLogger(__name__)

Zones = Mapping[str, ZoneInfo]
"""By brand; a brand without an entry lives by UTC."""


def zones_of(brands_file: Path) -> dict[str, ZoneInfo]:
    """The zones that the brands in *brands_file* name, without those on UTC. May raise ConfigError."""
    return {brand.name: brand.zone for brand in load_brands(brands_file) if brand.zone is not UTC}


def zones_in(brands_file: Path) -> Callable[[], Zones]:
    """Returns a function that gives the zones of *brands_file*, which it reads again when the file changed.

    If the file cannot be read, the zones before it hold: none at the start.
    """
    stamp: Stamp | None = None
    asked = False
    known: Zones = {}

    def current() -> Zones:
        nonlocal stamp, asked, known
        if (seen := stamp_of(brands_file)) == stamp and asked:
            return known
        stamp, asked = seen, True
        try:
            found = zones_of(brands_file)
        except ConfigError as error:
            log.warning(
                "time zones not read: the zones before hold, UTC where there are none",
                extra={"reason": str(error), "remedy": "name the brands file with BRANDPULSE_BRANDS_FILE"},
            )
            return known
        if found != known:
            log.info("time zones read", extra={"brands": len(found), "zones": sorted({z.key for z in found.values()})})
        known = found
        return known

    return current
