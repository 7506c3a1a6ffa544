"""Each brand's clock as the brands file names it, while the alerter runs: read again when the file changes."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from brandpulse.config.brands_file import load_brands
from brandpulse.config.yaml_file import Stamp, stamp_of
from brandpulse.errors import ConfigError
from brandpulse.runtime.local_hours import UTC

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


def counts_zone(time_zone: str | None, brands_file: Path | None, brand: str | None) -> ZoneInfo:
    """The clock of one series of counts: *time_zone*, or that of *brand* in *brands_file*; UTC where neither is given.

    Raises ConfigError that names the option and the value.
    """
    if time_zone is not None:
        if brands_file is not None:
            raise ConfigError("give either --time-zone or --brands, not both")
        try:
            return ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigError(
                f"--time-zone {time_zone!r} is no time zone of the IANA list; "
                "right ones are Europe/Berlin, America/New_York, UTC"
            ) from None
    if brands_file is None:
        if brand is not None:
            raise ConfigError(f"--brand {brand!r} needs --brands, the brands file that names its time zone")
        return UTC
    zones = {one.name: one.zone for one in load_brands(brands_file)}
    if brand is not None:
        if brand not in zones:
            raise ConfigError(f"--brand {brand!r} is not in {brands_file}, which has: {', '.join(sorted(zones))}")
        return zones[brand]
    different = {zone.key for zone in zones.values()}
    if len(different) > 1:
        raise ConfigError(
            f"the brands in {brands_file} have several time zones ({', '.join(sorted(different))}): "
            "name one brand with --brand"
        )
    return next(iter(zones.values()))
