"""The live sources as the page shows them, and the periods of a chart of which posts may be missing. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from brandpulse.state.keys import HOUR_MS
from brandpulse.state.live_sources import Period, PeriodState, SourceRecord

MOST_GAPS = 200
"""In one chart: the newest."""
RECENT = timedelta(hours=1)
"""A loss that ended this long ago still explains the newest figures."""


class ShownGap(msgspec.Struct, frozen=True, kw_only=True):
    """A period in a chart. Times in ms since 1970."""

    source: str
    begin_ms: int
    end_ms: int
    state: PeriodState
    reason: str


class ShownSource(msgspec.Struct, frozen=True, kw_only=True):
    """One live source. Times in ms since 1970."""

    name: str
    status: str
    reads: bool
    reason: str
    away_since_ms: int | None
    last_event_ms: int | None
    reconnects: int
    sent: int
    others: int
    """Events that gave no post."""


def shown_sources(sources: Mapping[str, SourceRecord], shown: Sequence[Period], *, now: datetime) -> list[ShownSource]:
    away = {period.source: period for period in shown if period.state == "away"}
    return [
        ShownSource(
            name=name,
            status=source.shown_status(now),
            reads=source.status == "reading" and name not in away,
            reason=away[name].reason if name in away else source.reason,
            away_since_ms=_ms(away[name].begin) if name in away else None,
            last_event_ms=_ms(source.last_event) if source.last_event is not None else None,
            reconnects=source.reconnects,
            sent=source.outcomes.get("sent", 0),
            others=sum(source.outcomes.values()) - source.outcomes.get("sent", 0),
        )
        for name, source in sources.items()
    ]


def gaps_between(shown: Sequence[Period], from_ms: int, until_ms: int) -> list[ShownGap]:
    """The periods that overlap the time from *from_ms* to *until_ms*, cut to it."""
    found = [
        ShownGap(
            source=period.source,
            begin_ms=max(from_ms, _ms(period.begin)),
            end_ms=min(until_ms, _ms(period.end)),
            state=period.state,
            reason=period.reason,
        )
        for period in shown
        if _ms(period.end) > from_ms and _ms(period.begin) < until_ms
    ]
    return found[-MOST_GAPS:]


def chart_end(clock_ms: int, shown: Sequence[Period]) -> int:
    """The end of the charts: the stream's clock; now, if the clock stopped because no source is read."""
    ends = [_ms(period.end) for period in shown if period.state == "away" and clock_ms >= _ms(period.begin) - HOUR_MS]
    return max([clock_ms, *ends])


def gap_banners(shown: Sequence[Period], *, now: datetime) -> list[str]:
    """One sentence for each source that is not read, reads again, or lost posts in the last hour."""
    return [_sentence(period, now) for period in shown if _matters(period, now)]


def _matters(period: Period, now: datetime) -> bool:
    return period.state in ("away", "rereading") or (period.state == "lost" and now - period.end < RECENT)


def _sentence(period: Period, now: datetime) -> str:
    reason = period.reason.rstrip(".")
    span = f"{_clock(period.begin, now)} to {_clock(period.end, now)} UTC"
    if period.state == "away":
        return (
            f"{period.source} has not been read since {_clock(period.begin, now)} UTC ({reason}): its posts are "
            "missing, so fewer posts do not mean calm. `brandpulse ingest check` names the fault."
        )
    if period.state == "rereading":
        return f"{period.source} reads {span} again ({reason}): counts of this period are not complete yet."
    return f"{period.source} could not read {span} ({reason}): posts of this period may be missing."


def _clock(moment: datetime, now: datetime) -> str:
    moment = moment.astimezone(UTC)
    return moment.strftime("%H:%M" if moment.date() == now.date() else "%d %b, %H:%M")


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)
