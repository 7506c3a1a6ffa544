"""The event time of a post whose author declares it: Bluesky, federated servers, feeds."""

from datetime import datetime, timedelta

AHEAD = timedelta(minutes=5)
"""Workers refuse posts from further in the future."""
BEHIND = timedelta(days=2)
"""Servers deliver posts late, but hardly by days; an older declared time is wrong or an import."""


def zoned_time(value: object) -> datetime | None:
    """The time of an ISO text with a time zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def event_time(declared: datetime | None, arrived: datetime, *, may_be_old: bool = False) -> tuple[datetime, bool]:
    """The post's event time, and whether it is *arrived* because the *declared* time is absent or implausible.

    *arrived* is when the platform received the post, from the platform itself where it says so. *may_be_old*: the post
    waited at the platform while we were away, so that an old time is plausible.
    """
    if declared is None or declared.tzinfo is None:
        return arrived, True
    if declared - arrived > AHEAD or (arrived - declared > BEHIND and not may_be_old):
        return arrived, True
    return declared, False
