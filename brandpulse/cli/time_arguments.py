"""Times as options of the command line: a date, a time, or an age."""

from datetime import UTC, datetime, timedelta

import typer


def time_ms(text: str, *, option: str, now_ms: int) -> int:
    """*text* in ms since 1970: `2026-03-02T12:00:00Z`, `2026-03-02` (midnight, UTC), or `2h` for two hours ago.

    Raises BadParameter.
    """
    from brandpulse.runtime.clock import parse_duration

    age = parse_duration(text)
    if age is not None:
        return now_ms - age // timedelta(milliseconds=1)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time. Examples: 2026-03-02T12:00:00Z, 2026-03-02, 2h", param_hint=option
        ) from None
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1_000)


def is_relative(text: str | None) -> bool:
    """Whether *text* is an age (`2h`), which names another time whenever it is read."""
    from brandpulse.runtime.clock import parse_duration

    return text is not None and parse_duration(text) is not None
