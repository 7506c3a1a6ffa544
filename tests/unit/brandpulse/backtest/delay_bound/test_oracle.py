"""The oracle on data small enough to be checked by hand."""

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
from brandpulse.backtest.delay_bound.labelled_incidents import Incident, detection_delay
from brandpulse.backtest.delay_bound.labelled_texts import LabelledTexts
from brandpulse.backtest.delay_bound.oracle import (
    LABELS,
    Oracle,
    Votes,
    earliest_delays,
    first_reached,
    score_output_model,
    score_symbols,
    share_course,
    summarize_delays,
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
"""Each minute of a calm day: one negative author, and three others."""


def a_week(inside: np.ndarray = EVEN, span: tuple[int, int] = SPAN) -> Votes:
    counts = np.tile(EVEN, (7 * DAY, 1))
    counts[span[0] : span[1]] = inside
    return Votes(0, counts)


def test_a_cusum_reaches_its_level_in_the_first_minute_above_it() -> None:
    assert first_reached(np.array([1.0, 1.0, 1.0]), 3.0) == 3
    assert first_reached(np.array([-9.0, 1.0, 2.0]), 3.0) == 3
    assert first_reached(np.array([1.0, 1.0]), 3.0) is None


def test_a_doubled_share_is_detected_at_the_level_of_the_budget() -> None:
    oracle = Oracle(a_week(np.array([2.0, 2.0])), LABELS, [SPAN])
    nats_a_minute = 4 * (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75))
    delay = oracle.delay(SPAN, false_alarms=1.0)
    assert delay is not None
    assert 8.5 < delay * nats_a_minute < 10.5
    stricter = oracle.delay(SPAN, false_alarms=0.1)
    assert stricter is not None
    # A tenth of the budget: ln 10 nats more, and as much longer.
    assert (stricter - delay) * nats_a_minute == pytest.approx(math.log(10), abs=nats_a_minute)


def test_the_mean_delay_of_the_oracle_is_near_the_minimum_delay() -> None:
    rng = np.random.default_rng(3)
    delays = []
    for _ in range(60):
        posts = rng.poisson(1.0, 7 * DAY)
        share = np.full(7 * DAY, 0.25)
        share[SPAN[0] : SPAN[1]] = 0.5
        negative = rng.binomial(posts, share)
        oracle = Oracle(Votes(0, np.stack([posts - negative, negative], axis=1).astype(float)), LABELS, [SPAN])
        delays.append(oracle.delay(SPAN, false_alarms=1.0) or 180)
    minimum = minimum_delay(Step(0.25, 0.5, 1.0), false_alarms=1.0)
    assert minimum * 0.9 < np.mean(delays) < minimum * 1.3


def test_a_constant_share_is_never_detected() -> None:
    assert Oracle(a_week(), LABELS, [SPAN]).delay(SPAN, false_alarms=1.0) is None


def test_a_falling_share_is_never_detected() -> None:
    assert Oracle(a_week(np.array([4.0, 0.0])), LABELS, [SPAN]).delay(SPAN, false_alarms=1.0) is None


def test_the_baseline_excludes_hours_with_an_incident() -> None:
    other = (2 * DAY, 3 * DAY - HOUR)
    votes = a_week(np.array([2.0, 2.0]))
    votes.counts[other[0] : other[1]] = [2.0, 2.0]
    known = Oracle(votes, LABELS, [SPAN, other])
    blind = Oracle(votes, LABELS, [SPAN])
    assert known.shares[3 * 24] == pytest.approx(0.25, abs=0.001)
    assert blind.shares[3 * 24] > 0.3


def test_a_slow_rise_is_detected_later_than_a_jump_to_its_mean() -> None:
    negative = np.linspace(1.0, 3.0, 180)
    ramp = Oracle(a_week(np.stack([4 - negative, negative], axis=1)), LABELS, [SPAN])
    step = Oracle(a_week(np.array([2.0, 2.0])), LABELS, [SPAN])
    slow, quick = (one.delay(SPAN, false_alarms=1.0) for one in (ramp, step))
    assert slow is not None and quick is not None
    assert slow > 1.5 * quick


def test_the_course_of_a_share_follows_its_rise() -> None:
    at = (np.arange(180) + 0.5) / 180
    negative = np.linspace(1.0, 3.0, 180)
    course = share_course(np.stack([4 - negative, negative], axis=1), np.full(180, 0.25), at, LABELS)
    assert course[0] == pytest.approx(0.25, abs=0.03)
    assert course[-1] == pytest.approx(0.75, abs=0.03)


def test_volume_detects_a_surge_sooner_and_adds_nothing_when_even() -> None:
    surge = Oracle(a_week(np.array([8.0, 8.0])), LABELS, [SPAN])
    step = Oracle(a_week(np.array([2.0, 2.0])), LABELS, [SPAN])
    without, volume = (surge.delay(SPAN, false_alarms=1.0, volume=one) for one in (False, True))
    assert without is not None and volume is not None
    assert volume < without
    assert step.delay(SPAN, false_alarms=1.0) == step.delay(SPAN, false_alarms=1.0, volume=True)


def test_volume_adds_little_for_a_brand_whose_volume_jumps_daily() -> None:
    bursting = a_week(np.array([8.0, 8.0]))
    for day in range(0, 7, 2):
        bursting.counts[day * DAY + 12 * HOUR : (day + 1) * DAY] *= 6
    [even, uneven] = (Oracle(votes, LABELS, [SPAN]) for votes in (a_week(np.array([8.0, 8.0])), bursting))
    assert even.spread == 1.0
    assert uneven.spread > 100
    # Four times the people are enough evidence for the first brand; for the second the share decides.
    early, late, share_alone = (
        oracle.delay(SPAN, false_alarms=1.0, volume=volume)
        for oracle, volume in ((even, True), (uneven, True), (uneven, False))
    )
    assert early is not None and late is not None and share_alone is not None
    assert early < late <= share_alone + 1


def test_scores_that_separate_negative_posts_detect_sooner() -> None:
    people = np.array([0.0] * 30 + [1.0] * 10)

    def delay(scores: np.ndarray) -> int:
        reading = score_output_model(scores, people)
        one_of_each = np.bincount(score_symbols(scores[[0, -1]]), minlength=20)
        half = score_symbols(scores)
        calm = np.bincount(half, minlength=20) / 10
        bad = (np.bincount(half[:30], minlength=20) / 30 + np.bincount(half[30:], minlength=20) / 10) * 2
        assert one_of_each.sum() == 2
        votes = Votes(0, np.tile(calm, (7 * DAY, 1)))
        votes.counts[SPAN[0] : SPAN[1]] = bad
        minutes = Oracle(votes, reading, [SPAN]).delay(SPAN, false_alarms=1.0)
        assert minutes is not None
        return minutes

    sure = delay(np.array([0.02] * 30 + [0.98] * 10))
    mixed = delay(np.array([0.02] * 24 + [0.98] * 6 + [0.98] * 8 + [0.02] * 2))
    assert sure < mixed / 2


def test_an_author_has_one_vote_per_hour() -> None:
    minutes = np.array([60, 61, 62, 119, 120])
    authors = np.array([7, 7, 8, 7, 7])
    votes = votes_of(minutes, authors, np.array([1, 0, 0, 1, 1]), symbol_count=2)
    assert votes.first_minute == 60
    assert votes.by_hour.tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert votes.counts[0].tolist() == [0.0, 1.0]


def test_a_missed_incident_counts_as_later_than_any() -> None:
    delays = summarize_delays([10.0, None, 20.0, 30.0, None])
    assert (delays.found, delays.p50, delays.p50_of_all) == (3, 20.0, 30.0)
    assert summarize_delays([10.0, None, None]).p50_of_all is None


def test_a_lower_recall_keeps_the_shortest_delays() -> None:
    delays = [40.0, None, 10.0, 300.0, 20.0]
    assert earliest_delays(delays, 0.6) == [10.0, 20.0, 40.0]
    assert earliest_delays(delays, 0.8) == [10.0, 20.0, 40.0, 300.0]
    assert earliest_delays(delays, 0.85) == []


def test_only_a_page_during_an_incident_or_soon_after_detects_it() -> None:
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    incident = Incident(brand="Acme", alert=True, start=noon, end=noon + timedelta(hours=1))
    pages = [noon + timedelta(minutes=minutes) for minutes in (-1, 91, 89)]
    assert detection_delay(incident, {"Acme": pages}) == 89
    assert detection_delay(incident, {"Acme": pages[:2]}) is None
    assert detection_delay(incident, {"Bolt": pages}) is None


def test_a_label_is_found_without_handles_and_brand_names() -> None:
    brands = [Brand(name="Acme Air", terms=["acme air"], handles=["acmeair"])]
    texts = LabelledTexts([("@user Lost my bag, again!", True), ("Great", False), ("great!", True)], brands)
    found = [
        texts.is_negative(text)
        for text in ("@AcmeAir Lost my bag, again!", "RT @user: Lost my bag, again! Acme Air", "Lost my hat", "Great")
    ]
    assert found == [True, True, None, None]


def test_an_irrelevant_post_is_no_vote() -> None:
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
    assert (list(posts["Acme"].predicted), list(posts["Acme"].scores)) == ([1], [0.9])


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


def test_the_command_writes_a_delay_per_incident_and_evidence(recorded: Path) -> None:
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
    # A bad post instead of a usual one is evidence of about ln 4 nats: the seventh reaches a level of 8 to 9 nats.
    assert all(5 <= one <= 9 for name, one in minutes.items() if name != "the detector")
    assert "4320 posts, 0 of them without a label" in done.output
    assert "Acme, 1.0 posts/min" in done.output
    assert "the detector paged before the oracle of labels in 0 of 1 incidents" in done.output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"alert": "perhaps"},
            "incidents.0.alert: must be true or false, got 'pe",
        ),
        ({"start": "noon"}, "got 'noon'"),
        ({"end": rfc3339(START)}, "is not after start"),
        (
            {"start": rfc3339(NOON_MS - DAY * 60_000), "end": rfc3339(NOON_MS + 4 * DAY * 60_000)},
            "so there is no baseline",
        ),
        ({"brand": "Bolt"}, "incident of 'Bolt', but no post"),
    ],
)
def test_a_wrong_incident_is_rejected_with_field_and_value(
    recorded: Path, changes: dict[str, Any], message: str
) -> None:
    write_truth(recorded, **changes)
    done = bound(recorded)
    assert done.exit_code != 0
    assert message in str(done.exception)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("--labelled", '{"text": "fine", "sentiment": "good"}', "wrong.jsonl:1: sentiment: 'good'"),
        ("--labelled", '{"sentiment": "neg"}', "wrong.jsonl:1: text: None"),
        ("--labelled", "fine,neg", "wrong.jsonl:1 is not JSON"),
        ("--episodes", '{"brand": "Acme", "fired_at": "noon"}', "got 'noon'"),
        ("--episodes", "[", "wrong.jsonl:1 is not JSON"),
    ],
)
def test_a_wrong_line_is_rejected_with_line_field_and_value(recorded: Path, name: str, line: str, message: str) -> None:
    (recorded / "wrong.jsonl").write_text(line + "\n")
    done = bound(recorded, name, recorded / "wrong.jsonl")
    assert done.exit_code != 0
    assert message in str(done.exception)
