"""The report on the newest hour of posts: source, share, cause, remedy."""

from typing import Any

import pytest

from brandpulse.ops.doctor.stream_checks import stream_findings
from brandpulse.state.diagnosis.causes import dead_cause
from brandpulse.state.diagnosis.stream_report import StreamReport, stream_report
from brandpulse.state.keys import DAY_MS, HOUR_MS
from brandpulse.state.outcomes.post_outcomes import NO_OFFSET, PERIOD_MS, Cell, Period, offset_number
from brandpulse.state.partition_state import PartitionStatus
from tests.support.builders import NOON_MS, a_status


def ahead(hours: float) -> int:
    return offset_number(NOON_MS + round(hours * HOUR_MS), NOON_MS)


def with_cells(*cells: tuple[str, str, int, int], period: int = NOON_MS // PERIOD_MS, **fields: Any) -> PartitionStatus:
    return a_status(post_outcomes=(Period(period, tuple(Cell(*cell) for cell in cells)),), **fields)


def report(*cells: tuple[str, str, int, int], **fields: Any) -> StreamReport:
    return stream_report([with_cells(*cells, **fields)])


@pytest.mark.parametrize(
    ("cell", "kind", "words"),
    [
        (
            ("rss", "late", ahead(-5), 92),
            "late",
            "5 hours behind, or its times are local times without a zone (New York",
        ),
        (("rss", "late", ahead(-0.5), 92), "late", "0.5 hours behind"),
        (("rss", "late", ahead(0), 92), "late", "not in order of time"),
        (("rss", "late", ahead(-90 * 24), 92), "late", "backfill"),
        (("rss", "from_the_future", ahead(9), 92), "dead", "9 hours ahead, or it writes local times as UTC (Tokyo)"),
        (
            ("rss", "from_the_future", ahead(5.5), 92),
            "dead",
            "5.5 hours ahead, or it writes local times as UTC (India)",
        ),
        (
            ("rss", "from_the_future", ahead(24 * 20_000), 92),
            "dead",
            "they are in seconds, but Kafka's unit is milliseconds",
        ),
        (("rss", "too_old", ahead(-24 * 20_500), 92), "dead", "seconds since 1970 were read as milliseconds"),
        (("rss", "too_old", ahead(-24 * 200), 92), "dead", "older than the retained counts"),
        (("rss", "wrong_field", NO_OFFSET, 92), "dead", "a field is missing or wrong"),
        (("rss", "unmatched", ahead(0), 92), "unmatched", "no term, handle or hashtag"),
        (("rss", "unread", ahead(0), 92), "unread", "language or script"),
        (("rss", "repeated", ahead(0), 92), "repeated", "gives one id to many posts"),
        (("rss", "on_time", ahead(-5), 92), "clock", "5 hours behind"),
    ],
)
def test_posts_with_one_outcome_are_reported_with_its_cause(
    cell: tuple[str, str, int, int], kind: str, words: str
) -> None:
    [problem] = report(cell).problems
    assert (problem.kind, problem.source, problem.posts, problem.of) == (kind, "rss", 92, 92)
    assert words in problem.sentence("in the last hour")
    assert problem.remedy


def test_a_healthy_stream_has_no_problems() -> None:
    healthy = report(("rss", "on_time", ahead(0), 980), ("rss", "late", ahead(0), 9), ("rss", "not_json", NO_OFFSET, 2))
    assert healthy.problems == []
    assert not healthy.is_doubtful
    [finding] = stream_findings(healthy, now_ms=NOON_MS)
    assert (finding.observation, finding.remedy) == ("991 posts in the last hour, 989 of them counted for a brand", "")


def test_broad_stream_with_few_brands_shows_no_banner() -> None:
    broad = report(("rss", "on_time", ahead(0), 5), ("rss", "unmatched", ahead(0), 995))
    assert [problem.kind for problem in broad.problems] == ["unmatched"]
    assert not broad.banners(NOON_MS)
    assert not broad.is_doubtful


def test_a_few_posts_are_reported_only_if_nothing_is_counted() -> None:
    assert report(("rss", "unmatched", ahead(0), 3)).is_doubtful
    assert not report(("rss", "unmatched", ahead(0), 3), ("x", "on_time", ahead(0), 10)).problems


def test_many_small_sources_are_reported_together() -> None:
    cells = [(f"feed {n}", "late", ahead(-5), 5) for n in range(10)]
    [problem] = report(*cells).problems
    assert (problem.source, problem.posts) == ("", 50)
    assert problem.sentence("in the last hour").startswith("All counted posts in the last hour arrived too late")


def test_problem_of_a_small_source_leaves_the_stream_reliable() -> None:
    found = report(("rss", "late", ahead(-5), 40), ("x", "on_time", ahead(0), 5_000))
    assert len(found.banners(NOON_MS)) == 1
    assert not found.is_doubtful


def test_records_without_keys_and_unknown_authors_are_noted() -> None:
    found = report(("rss", "on_time", ahead(0), 100), ("rss", "+no_key", -1, 100), ("rss", "+unknown_author", -1, 40))
    assert [problem.kind for problem in found.problems] == ["no_key", "unknown_author"]
    assert "40 of 100 votes" in found.notes(NOON_MS)[1]
    assert "record's key" in found.problems[0].remedy


def test_posts_of_an_hour_before_the_newest_are_left_out() -> None:
    old = with_cells(("rss", "late", ahead(-5), 92), period=NOON_MS // PERIOD_MS - 5)
    new = with_cells(("rss", "on_time", ahead(0), 92), partition=1)
    assert stream_report([old, new]).problems == []
    assert stream_report([old, new], since_ms=NOON_MS - 2 * HOUR_MS).problems


def test_a_past_hour_is_named() -> None:
    found = report(("rss", "late", ahead(-5), 92))
    assert found.when(NOON_MS + HOUR_MS) == "in the last hour"
    assert found.when(NOON_MS + DAY_MS) == "in the hour up to 2026-03-02 12:15 UTC"


def test_near_misses_of_all_partitions_are_named() -> None:
    cells = [("rss", "unmatched", ahead(0), 50)]
    near = ("#AcmeAir for acme air", 7)
    found = stream_report(
        [with_cells(*cells, near_misses=(near,)), with_cells(*cells, partition=1, near_misses=(near,))]
    )
    assert "#AcmeAir for acme air (14)" in found.problems[0].cause


def test_control_characters_of_a_source_are_not_shown() -> None:
    [problem] = report(("rss\x1b[2J\n", "late", ahead(-5), 92)).problems
    assert problem.source == "rss\ufffd[2J\ufffd"


def test_dead_letters_without_a_clock_offset_have_a_cause() -> None:
    assert "by varying times" in dead_cause([Cell("rss", "from_the_future", NO_OFFSET, 5)]).reason
    assert dead_cause([]).remedy


def steady(source: str, posts: int, *, of: range) -> list[Period]:
    newest = NOON_MS // PERIOD_MS
    return [Period(newest - ago, (Cell(source, "on_time", ahead(0), posts),)) for ago in of]


def of_periods(*some: list[Period]) -> StreamReport:
    """A partition for each source's periods."""
    return stream_report(
        [a_status(partition=number, post_outcomes=tuple(sorted(one))) for number, one in enumerate(some)]
    )


def test_source_that_stops_while_others_continue_is_reported() -> None:
    found = of_periods(steady("rss", 30, of=range(3, 8)), steady("web", 30, of=range(8)))
    [problem] = found.problems
    assert (problem.kind, problem.source) == ("silent", "rss")
    assert problem.sentence("") == (
        "No posts arrived from 'rss' for 30 minutes: it sent 120 an hour before, and other sources continue."
    )
    assert found.banners(NOON_MS) == [problem.sentence("")]
    assert not found.is_doubtful


@pytest.mark.parametrize(
    ("posts", "periods"),
    [
        (30, range(2, 8)),  # its last posts came within the two quarters
        (3, range(3, 8)),  # six posts are missing by chance often enough
        (200, range(6, 8)),  # a burst, such as a file
        (200, range(7, 8)),
    ],
)
def test_a_source_whose_silence_may_be_chance_is_not_reported(posts: int, periods: range) -> None:
    assert of_periods(steady("rss", posts, of=periods), steady("web", 30, of=range(8))).problems == []


def test_stream_without_newer_posts_reports_no_source() -> None:
    assert of_periods(steady("rss", 30, of=range(3, 8)), steady("web", 30, of=range(3, 8))).problems == []
