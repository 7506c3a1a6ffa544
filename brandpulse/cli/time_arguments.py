"""Times on the command line."""

from datetime import UTC, datetime, timedelta

import typer

from brandpulse.runtime.clock import parse_duration


def moment_ms(text: str, *, option: str, now_ms: int) -> int:
    """`2026-03-02T12:00:00Z`, `2026-03-02` (midnight, UTC), or `2h`: so long before *now_ms*. Raises BadParameter."""
    ago = parse_duration(text)
    if ago is not None:
        return now_ms - ago // timedelta(milliseconds=1)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time; right ones: 2026-03-02T12:00:00Z, 2026-03-02, 2h", param_hint=option
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def is_ago(text: str | None) -> bool:
    """Whether *text* counts back from now, so that it is another time at each call: `2h`."""
    return text is not None and parse_duration(text) is not None
