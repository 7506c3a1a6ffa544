from datetime import UTC, datetime, timedelta

from brandpulse.state.live_sources import Rereading, SourceRecord
from ingest.sources.events import Gap
from ingest.sources.outages import NOT_RUNNING, Outages

START = datetime(2026, 11, 30, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def received(
    outages: Outages,
    minutes: float,
    *,
    resumed: bool = True,
    lost: Gap | None = None,
    newest: float | None = None,
    caught_up: bool | None = None,
) -> Gap | None:
    moment = None if newest is None else at(newest)
    return outages.received(at(minutes), resumed=resumed, lost=lost, newest=moment, caught_up=caught_up)


def interrupted(minutes: float = 10) -> Outages:
    """Read from the start on, and interrupted at *minutes*."""
    outages = Outages(None, at(0))
    received(outages, 0, resumed=False)
    assert outages.away_since is None
    outages.interrupted(at(minutes), "no route")
    return outages


def test_a_new_source_has_nothing_to_read_again() -> None:
    outages = Outages(None, at(0))
    assert received(outages, 30, resumed=False, newest=31) is None
    assert (outages.away_since, outages.rereading) == (None, None)


def test_an_interruption_is_refilled_once_its_end_is_reached() -> None:
    outages = interrupted()
    outages.interrupted(at(12), "another fault")
    assert outages.away_since == at(10)
    assert received(outages, 40, newest=20) is None
    assert outages.rereading == Rereading(at(10), at(40), "no route")
    assert received(outages, 41, newest=39.9) is None
    assert received(outages, 42, newest=40) == Gap(at(10), at(40), "no route", refilled=True)
    assert received(outages, 43, newest=43) is None


def test_a_source_that_polls_says_when_it_has_caught_up() -> None:
    outages = interrupted()
    assert received(outages, 40, newest=40, caught_up=False) is None
    assert received(outages, 41, caught_up=True) == Gap(at(10), at(40), "no route", refilled=True)


def test_a_short_interruption_is_no_gap() -> None:
    outages = interrupted()
    assert received(outages, 10.9, newest=11) is None
    assert outages.rereading is None


def test_a_lost_part_is_not_called_refilled() -> None:
    outages = interrupted()
    lost = Gap(at(9), at(30), "the server keeps ten minutes")
    assert received(outages, 40, lost=lost, newest=40) == Gap(at(30), at(40), "no route", refilled=True)
    outages = interrupted()
    assert received(outages, 40, lost=Gap(at(9), at(40), "it is gone"), newest=40) is None
    assert outages.rereading is None


def test_an_interruption_while_reading_again_joins_the_first() -> None:
    outages = interrupted()
    received(outages, 40, newest=20)
    outages.interrupted(at(45), "again")
    assert (outages.away_since, outages.rereading) == (at(10), None)
    assert received(outages, 50, newest=50) == Gap(at(10), at(50), "no route", refilled=True)


def test_a_restart_continues_what_was_stored() -> None:
    outages = Outages(SourceRecord("feed", "reading", at(0)), at(30))
    assert received(outages, 30, newest=30) == Gap(at(0), at(30), NOT_RUNNING, refilled=True)
    again = Rereading(at(-60), at(-10), "no route")
    outages = Outages(SourceRecord("feed", "reading", at(0), rereading=again), at(5))
    assert outages.away_since == at(-60)
