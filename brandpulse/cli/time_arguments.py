"""Moments as people type them on a command line."""

import re
from datetime import UTC, datetime

import typer

_AGO = re.compile(r"(\d+)([smhd])")
_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def moment_ms(text: str, *, option: str, now_ms: int) -> int:
    """`2026-03-02T12:00:00Z`, `2026-03-02` (midnight, UTC), or `2h`: so long before *now_ms*. Raises BadParameter."""
    ago = _AGO.fullmatch(text)
    if ago:
        return now_ms - int(ago[1]) * _MS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no moment; right ones: 2026-03-02T12:00:00Z, 2026-03-02, 2h", param_hint=option
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def is_ago(text: str | None) -> bool:
    """Whether *text* names another moment each time it is read: `2h`."""
    return text is not None and _AGO.fullmatch(text) is not None
