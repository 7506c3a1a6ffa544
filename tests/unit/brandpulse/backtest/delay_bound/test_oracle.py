"""What an oracle could have told, on data small enough to be counted by hand."""

import gzip
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from alerting.detection.expected_delay import Step, minimum_delay
from brandpulse.backtest.delay_bound.labelled_incidents import Incident, told_after
from brandpulse.backtest.delay_bound.labelled_texts import LabelledTexts
from brandpulse.backtest.delay_bound.oracle import (
    LABELS,
    Oracle,
    Votes,
    delays_of,
    earliest,
    first_beyond,
    score_reading,
    score_symbols,
    share_course,
    votes_of,
)
from brandpulse.backtest.delay_bound.report import posts_by_brand
from brandpulse.backtest.recorded_post import RecordedPost
from brandpulse.cli.alerting.backtest import app
from brandpulse.config.brands_file import Brand
from tests.support.builders import NOON_MS, a_post, rfc3339

HOUR, DAY = 60, 1_440
SPAN = (3 * DAY, 3 * DAY + 3 * HOUR)
EVEN = np.array([3.0, 1.0])
"""Each minute of a calm day: three people who are not negative, and one who is."""


def a_week(inside: np.ndarray = EVEN, span: tuple[int, int] = SPAN) -> Votes:
    counts = np.tile(EVEN, (7 * DAY, 1))
    counts[span[0] : span[1]] = inside
    return Votes(0, counts)


def test_a_cusum_is_beyond_its_level_in_the_first_minute_that_lifts_it_there() -> None:
    assert first_beyond(np.array([1.0, 1.0, 1.0]), 3.0) == 3
    assert first_beyond(np.array([-9.0, 1.0, 2.0]), 3.0) == 3
    assert first_beyond(np.array([1.0, 1.0]), 3.0) is None


def test_half_of_the_people_negative_in_place_of_a_quarter_is_told_when_the_votes_reach_the_budgets_level() -> None:
    oracle = Oracle(a_week(np.array([2.0, 2.0])), LABELS, [SPAN])
    nats_a_minute = 4 * (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75))
    told = oracle.told_after(SPAN, false_alarms=1.0)
    assert told is not None
    assert 8.5 < told * nats_a_minute < 10.5
    stricter = oracle.told_after(SPAN, false_alarms=0.1)
    assert stricter is not None
    # A tenth of the budget: ln 10 nats more, and as much longer.
    assert (stricter - told) * nats_a_minute == pytest.approx(math.log(10), abs=nats_a_minute)


def test_on_the_mean_the_oracle_comes_near_the_least_delay_of_a_step_and_not_below_it() -> None:
    rng = np.random.default_rng(3)
    told = []
    for _ in range(60):
        posts = rng.poisson(1.0, 7 * DAY)
        share = np.full(7 * DAY, 0.25)
        share[SPAN[0] : SPAN[1]] = 0.5
        negative = rng.binomial(posts, share)
        oracle = Oracle(Votes(0, np.stack([posts - negative, negative], axis=1).astype(float)), LABELS, [SPAN])
        told.append(oracle.told_after(SPAN, false_alarms=1.0) or 180)
    least = minimum_delay(Step(0.25, 0.5, 1.0), false_alarms=1.0)
    assert least * 0.9 < np.mean(told) < least * 1.3


def test_a_share_that_did_not_move_is_never_told() -> None:
    assert Oracle(a_week(), LABELS, [SPAN]).told_after(SPAN, false_alarms=1.0) is None


def test_a_share_that_fell_is_never_told() -> None:
    assert Oracle(a_week(np.array([4.0, 0.0])), LABELS, [SPAN]).told_after(SPAN, false_alarms=1.0) is None


def test_what_is_usual_is_learnt_from_hours_without_any_incident() -> None:
    other = (2 * DAY, 3 * DAY - HOUR)
    votes = a_week(np.array([2.0, 2.0]))
    votes.counts[other[0] : other[1]] = [2.0, 2.0]
    known = Oracle(votes, LABELS, [SPAN, other])
    blind = Oracle(votes, LABELS, [SPAN])
    assert known.shares[3 * 24] == pytest.approx(0.25, abs=0.001)
    assert blind.shares[3 * 24] > 0.3


def test_a_share_that_rises_slowly_is_told_later_than_one_that_jumps_to_its_mean() -> None:
    negative = np.linspace(1.0, 3.0, 180)
    ramp = Oracle(a_week(np.stack([4 - negative, negative], axis=1)), LABELS, [SPAN])
    step = Oracle(a_week(np.array([2.0, 2.0])), LABELS, [SPAN])
    slow, quick = (one.told_after(SPAN, false_alarms=1.0) for one in (ramp, step))
    assert slow is not None and quick is not None
    assert slow > 1.5 * quick


def test_the_course_of_a_share_follows_its_rise() -> None:
    at = (np.arange(180) + 0.5) / 180
    negative = np.linspace(1.0, 3.0, 180)
    course = share_course(np.stack([4 - negative, negative], axis=1), np.full(180, 0.25), at, LABELS)
    assert course[0] == pytest.approx(0.25, abs=0.03)
    assert course[-1] == pytest.approx(0.75, abs=0.03)


def test_volume_tells_of_a_surge_sooner_and_of_an_even_volume_nothing() -> None:
    surge = Oracle(a_week(np.array([8.0, 8.0])), LABELS, [SPAN])
    step = Oracle(a_week(np.array([2.0, 2.0])), LABELS, [SPAN])
    without, volume = (surge.told_after(SPAN, false_alarms=1.0, volume=one) for one in (False, True))
    assert without is not None and volume is not None
    assert volume < without
    assert step.told_after(SPAN, false_alarms=1.0) == step.told_after(SPAN, false_alarms=1.0, volume=True)


def test_a_brand_whose_volume_jumps_daily_learns_little_from_volume() -> None:
    bursting = a_week(np.array([8.0, 8.0]))
    for day in range(0, 7, 2):
        bursting.counts[day * DAY + 12 * HOUR : (day + 1) * DAY] *= 6
    [even, uneven] = (Oracle(votes, LABELS, [SPAN]) for votes in (a_week(np.array([8.0, 8.0])), bursting))
    assert even.spread == 1.0
    assert uneven.spread > 100
    # Four times the people are enough at once where it never happens, else the share has to tell it.
    early, late, share_alone = (
        oracle.told_after(SPAN, false_alarms=1.0, volume=volume)
        for oracle, volume in ((even, True), (uneven, True), (uneven, False))
    )
    assert early is not None and late is not None and share_alone is not None
    assert early < late <= share_alone + 1


def test_scores_that_part_negative_posts_from_others_tell_sooner_than_scores_that_mix_them() -> None:
    people = np.array([0.0] * 30 + [1.0] * 10)

    def told(scores: np.ndarray) -> int:
        reading = score_reading(scores, people)
        one_of_each = np.bincount(score_symbols(scores[[0, -1]]), minlength=20)
        half = score_symbols(scores)
        calm = np.bincount(half, minlength=20) / 10
        bad = (np.bincount(half[:30], minlength=20) / 30 + np.bincount(half[30:], minlength=20) / 10) * 2
        assert one_of_each.sum() == 2
        votes = Votes(0, np.tile(calm, (7 * DAY, 1)))
        votes.counts[SPAN[0] : SPAN[1]] = bad
        minutes = Oracle(votes, reading, [SPAN]).told_after(SPAN, false_alarms=1.0)
        assert minutes is not None
        return minutes

    sure = told(np.array([0.02] * 30 + [0.98] * 10))
    mixed = told(np.array([0.02] * 24 + [0.98] * 6 + [0.98] * 8 + [0.02] * 2))
    assert sure < mixed / 2


def test_an_author_has_one_vote_an_hour() -> None:
    minutes = np.array([60, 61, 62, 119, 120])
    authors = np.array([7, 7, 8, 7, 7])
    votes = votes_of(minutes, authors, np.array([1, 0, 0, 1, 1]), symbols_in_all=2)
    assert votes.first_minute == 60
    assert votes.by_hour.tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert votes.counts[0].tolist() == [0.0, 1.0]


def test_a_missed_incident_is_later_than_any() -> None:
    delays = delays_of([10.0, None, 20.0, 30.0, None])
    assert (delays.found, delays.p50, delays.p50_of_all) == (3, 20.0, 30.0)
    assert delays_of([10.0, None, None]).p50_of_all is None


def test_who_need_not_find_all_has_the_soonest() -> None:
    told = [40.0, None, 10.0, 300.0, 20.0]
    assert earliest(told, 0.6) == [10.0, 20.0, 40.0]
    assert earliest(told, 0.8) == [10.0, 20.0, 40.0, 300.0]
    assert earliest(told, 0.85) == []


def test_only_a_page_within_an_incident_or_soon_after_tells_of_it() -> None:
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    incident = Incident(brand="Acme", alert=True, start=noon, end=noon + timedelta(hours=1))
    pages = [noon + timedelta(minutes=minutes) for minutes in (-1, 91, 89)]
    assert told_after(incident, {"Acme": pages}) == 89
    assert told_after(incident, {"Acme": pages[:2]}) is None
    assert told_after(incident, {"Bolt": pages}) is None


def test_a_posts_label_is_found_whatever_handles_and_brands_stand_around_its_text() -> None:
    brands = [Brand(name="Acme Air", terms=["acme air"], handles=["acmeair"])]
    texts = LabelledTexts([("@user Lost my bag, again!", True), ("Great", False), ("great!", True)], brands)
    told = [
        texts.is_negative(text)
        for text in ("@AcmeAir Lost my bag, again!", "RT @user: Lost my bag, again! Acme Air", "Lost my hat", "Great")
    ]
    assert told == [True, True, None, None]


def test_a_post_that_says_nothing_about_a_brand_it_names_is_no_vote_about_it() -> None:
    negative, irrelevant = (0.9, 0.1, 0.0, 0.0), (0.1, 0.1, 0.1, 0.7)
    post = RecordedPost(
        source="test",
        id="1",
        author=1,
        brands=("Acme", "Bolt"),
        event_ms=NOON_MS,
        arrived_ms=NOON_MS,
        probabilities=(negative, irrelevant),
    )
    posts = posts_by_brand([post], None)
    assert list(posts) == ["Acme"]
    assert (list(posts["Acme"].called), list(posts["Acme"].scores)) == ([1], [0.9])


START = NOON_MS + 36 * HOUR * 60_000
LASTS = 2 * HOUR


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Three days of one post a minute, every fourth bad; in two hours of them all are. The first thousand twice."""
    posts = []
    for minute in range(3 * DAY):
        at = NOON_MS + minute * 60_000
        bad = minute % 4 == 0 or START <= at < START + LASTS * 60_000
        posts.append(a_post(str(minute), "acme is awful" if bad else "acme is there", at))
    posts += posts[:1_000]
    (tmp_path / "posts.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, posts)).encode()))
    (tmp_path / "brands.yaml").write_text("brands:\n  - name: Acme\n    terms: [acme]\n")
    labelled = [{"text": "is awful", "sentiment": "neg"}, {"text": "is there", "sentiment": "neu"}]
    (tmp_path / "labelled.jsonl").write_text("\n".join(map(json.dumps, labelled)))
    write_truth(tmp_path)
    return tmp_path


def write_truth(folder: Path, **changes: Any) -> None:
    incident = {"brand": "Acme", "kind": "step", "alert": True, "start": rfc3339(START)}
    incident |= {"end": rfc3339(START + LASTS * 60_000)}
    (folder / "incidents.json").write_text(json.dumps({"incidents": [incident | changes]}, indent=1))


def bound(folder: Path, *more: str | Path) -> Result:
    files = ("--in", "posts.jsonl.gz", "--brands", "brands.yaml", "--truth", "incidents.json")
    paths = [one if one.startswith("--") else str(folder / one) for one in files]
    return CliRunner().invoke(app, ["bound", *paths, "--engine", "keyword", "--sentiment", "post", *map(str, more)])


def test_the_command_tells_each_incident_for_each_kind_of_evidence(recorded: Path) -> None:
    page = {"brand": "Acme", "fired_at": rfc3339(START + 50 * 60_000)}
    (recorded / "episodes.jsonl").write_text(json.dumps(page) + "\n")
    done = bound(
        recorded,
        *("--labelled", recorded / "labelled.jsonl", "--episodes", recorded / "episodes.jsonl"),
        *("--out", recorded / "out.jsonl"),
    )
    assert done.exit_code == 0, done.output
    [row] = [json.loads(line) for line in (recorded / "out.jsonl").read_text().splitlines()]
    minutes = row["minutes"]
    assert set(minutes) == {
        "the detector",
        *(name + more for name in ("labels", "scores", "perfect labels") for more in ("", " and volume")),
    }
    assert minutes["the detector"] == 50
    # A bad post in place of a usual one says ln 4, about: a level of 8 to 9 nats is reached by the seventh.
    assert all(5 <= one <= 9 for name, one in minutes.items() if name != "the detector")
    assert "4320 posts, of 0 nobody told the label" in done.output
    assert "Acme, 1.0 posts/min" in done.output
    assert "the detector paged before the oracle of labels in 0 of 1 incidents" in done.output


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"alert": "perhaps"},
            "incidents.0.alert: must be true or false, got 'pe",
        ),
        ({"start": "noon"}, "got 'noon'"),
        ({"end": rfc3339(START)}, "is not after start"),
        (
            {"start": rfc3339(NOON_MS - DAY * 60_000), "end": rfc3339(NOON_MS + 4 * DAY * 60_000)},
            "none tells what is usual",
        ),
        ({"brand": "Bolt"}, "no post of the recording names 'Bolt'"),
    ],
)
def test_a_wrong_incident_is_told_by_field_and_value(recorded: Path, changes: dict[str, Any], said: str) -> None:
    write_truth(recorded, **changes)
    done = bound(recorded)
    assert done.exit_code != 0
    assert said in str(done.exception)


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("--labelled", '{"text": "fine", "sentiment": "good"}', "wrong.jsonl:1: sentiment: 'good'"),
        ("--labelled", '{"sentiment": "neg"}', "wrong.jsonl:1: text: None"),
        ("--labelled", "fine,neg", "wrong.jsonl:1 is no JSON"),
        ("--episodes", '{"brand": "Acme", "fired_at": "noon"}', "got 'noon'"),
        ("--episodes", "[", "wrong.jsonl:1 is no JSON"),
    ],
)
def test_a_wrong_line_is_told_by_file_line_field_and_value(recorded: Path, name: str, line: str, said: str) -> None:
    (recorded / "wrong.jsonl").write_text(line + "\n")
    done = bound(recorded, name, recorded / "wrong.jsonl")
    assert done.exit_code != 0
    assert said in str(done.exception)
