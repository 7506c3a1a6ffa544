"""Time zones of brands, by which hours of the day and of the week are counted."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from brandpulse.config.brands_file import Brand, load_brands
from brandpulse.errors import ConfigError
from brandpulse.runtime.local_hours import UTC

Zones = Mapping[str, ZoneInfo]
"""By brand; a brand without an entry is on UTC."""


def zones_by_brand(brands: Iterable[Brand]) -> dict[str, ZoneInfo]:
    """The time zone of each of *brands* that is not on UTC."""
    return {brand.name: brand.zone for brand in brands if brand.zone is not UTC}


def zone_of_counts(time_zone: str | None, brands_file: Path | None, brand: str | None) -> ZoneInfo:
    """The time zone of one series of counts: *time_zone*, or that of *brand* in *brands_file*; else UTC.

    Raises ConfigError that names the option and the value.
    """
    if time_zone is not None:
        if brands_file is not None:
            raise ConfigError("give either --time-zone or --brands, not both")
        try:
            return ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigError(
                f"--time-zone {time_zone!r} is not in the IANA time zone list; "
                "valid examples: Europe/Berlin, America/New_York, UTC"
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
