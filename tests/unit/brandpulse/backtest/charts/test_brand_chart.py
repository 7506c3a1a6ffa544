"""The chart of a brand: series, baseline, band up to an alarm, and episodes, each at its value."""

import random
from xml.etree import ElementTree

import pytest

from alerting.detection.evidence import deviance_nats
from alerting.detection.hour_history import HourHistory
from alerting.detection.share_detector import Baseline, DetectPolicy, alarm_levels
from alerting.evaluation.policies import Policies
from brandpulse.backtest.backtest import Backtest, PastEpisode
from brandpulse.backtest.charts.brand_chart import draw_brand_chart
from brandpulse.backtest.charts.hourly_series import HourPoint, alarm_share, hour_alarm_level, hour_points
from brandpulse.backtest.charts.svg_chart import BOTTOM, HEIGHT, TOP, USUAL
from brandpulse.backtest.recorded_post import RecordedPost
from brandpulse.state.keys import MINUTE_MS
from tests.support.alerting.post_streams import MONDAY
from tests.support.alerting.reference_scenario import LIMITS, RETENTION

HOUR = MONDAY // 60
DAYS = 6
CRISIS = range(HOUR + 4 * 24 + 9, HOUR + 4 * 24 + 14)
POLICY = DetectPolicy()
NEGATIVE, NEUTRAL = (0.8, 0.15, 0.05, 0.0), (0.1, 0.8, 0.1, 0.0)


@pytest.fixture(scope="module")
def seen() -> tuple[list[HourPoint], list[PastEpisode]]:
    """Six days at a post per minute, a fifth of them negative; five hours at three fifths; two hours without posts."""
    rng = random.Random(3)
    backtest = Backtest(Policies(detect=POLICY), RETENTION, LIMITS)
    posts = []
    for minute in range(MONDAY, MONDAY + DAYS * 1_440):
        hour = minute // 60
        if hour in range(HOUR + 60, HOUR + 62):
            continue
        negative = rng.random() < (0.6 if hour in CRISIS else 0.2)
        at = minute * MINUTE_MS
        posts.append(RecordedPost("x", str(minute), minute, ("Acme",), at, at, (NEGATIVE if negative else NEUTRAL,)))
    backtest.feed(posts)
    episodes = backtest.finish()
    hours = backtest.panes.all_hours("Acme")
    history = HourHistory(backtest.panes, Policies().baseline)
    history.read(["Acme"], before_hour=max(hours) + 1, since_hour=min(hours))
    found = hour_points(history, "Acme", hours, policy=POLICY, episodes=[one.episode for one in episodes])
    return found, episodes


def test_each_hour_has_its_share_its_baseline_and_its_alarm_share(
    seen: tuple[list[HourPoint], list[PastEpisode]],
) -> None:
    hours, episodes = seen
    assert len(episodes) == 1
    assert [one.hour for one in hours if one.usual is None] == list(range(HOUR, HOUR + 48))
    known = [one for one in hours if one.usual is not None]
    assert all(one.usual == pytest.approx(0.2, abs=0.08) for one in known), "the crisis is no baseline"
    assert all(one.alarm is not None and 0.3 < one.alarm < 0.55 for one in known)
    over = [one.hour for one in hours if one.alarm is not None and one.share >= one.alarm]
    assert set(over) <= set(CRISIS)
    assert len(over) >= 4


def shapes(svg: str, tag: str) -> list[ElementTree.Element]:
    return [shape for shape in ElementTree.fromstring(svg).iter() if shape.tag.endswith(f"}}{tag}")]


def shares(points: str) -> list[float]:
    """The values of an outline's points."""
    heights = [float(place.split(",")[1]) for place in points.split()]
    return [1 - (y - TOP) / (HEIGHT - TOP - BOTTOM) for y in heights]


def test_band_baseline_series_and_episode_are_drawn_at_their_values(
    seen: tuple[list[HourPoint], list[PastEpisode]],
) -> None:
    hours, episodes = seen
    svg = draw_brand_chart("Acme <b>", hours, episodes)
    assert "Acme &lt;b&gt;" in svg
    bands = [shares(shape.attrib["points"]) for shape in shapes(svg, "polygon")]
    lines = [(shape.attrib["stroke"], shares(shape.attrib["points"])) for shape in shapes(svg, "polyline")]
    usual = [share for colour, run in lines for share in run if colour == USUAL]
    series = [share for colour, run in lines for share in run if colour != USUAL]
    assert series == pytest.approx([one.share for one in hours], abs=0.001)
    assert usual == pytest.approx([one.usual for one in hours if one.usual is not None], abs=0.001)
    assert len(bands) == 2, "cut where two hours have no posts"
    lows = [share for band in bands for share in band[: len(band) // 2]]
    highs = [share for band in bands for share in reversed(band[len(band) // 2 :])]
    assert lows == pytest.approx(usual, abs=0.001)
    assert highs == pytest.approx([one.alarm for one in hours if one.alarm is not None], abs=0.001)
    [tooltip] = [shape.text for shape in shapes(svg, "title")]
    assert tooltip is not None
    assert episodes[0].episode.key in tooltip


@pytest.mark.parametrize("people", [20, 35, 60, 400])
@pytest.mark.parametrize("usual", [0.05, 0.25, 0.6])
def test_an_alarm_begins_at_the_first_share_that_reaches_the_level(people: int, usual: float) -> None:
    baseline, level = Baseline(usual, 0.01, 100, 1_000), hour_alarm_level(POLICY)
    found = alarm_share(people, baseline, POLICY, level=level)
    if found is None:
        assert deviance_nats(1.0, people, usual, 0.01) < level
        return
    assert deviance_nats(found, people, usual, 0.01) >= level
    assert deviance_nats(found - 1 / people, people, usual, 0.01) < level or (
        found - 1 / people - usual < POLICY.min_rise or found * people - 1 < POLICY.min_negative_authors
    )


def test_too_few_authors_have_no_alarm_share() -> None:
    assert alarm_share(POLICY.min_authors - 1, Baseline(0.1, 0.01, 100, 1_000), POLICY, level=1.0) is None


@pytest.mark.parametrize(("windows", "place"), [((5, 60, 180), 1), ((40, 90, 180), 1), ((5, 10), 1)])
def test_the_level_is_that_of_the_shortest_window_of_an_hour(windows: tuple[int, ...], place: int) -> None:
    policy = DetectPolicy(windows=windows)
    assert hour_alarm_level(policy) == alarm_levels(policy)[place]


def test_a_brand_without_posts_is_an_empty_chart() -> None:
    assert ElementTree.fromstring(draw_brand_chart("Acme", [], [])) is not None


def test_a_brand_that_is_warming_up_has_a_series_and_no_band() -> None:
    svg = draw_brand_chart("Acme", [HourPoint(HOUR + n, 5, 0.2, None, None) for n in range(4)], [])
    assert (len(shapes(svg, "polygon")), len(shapes(svg, "polyline"))) == (0, 1)
