import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.detection.evidence import rise_nats
from alerting.detection.share_baseline import BaselinePolicy, learn_usual_week
from alerting.detection.share_detector import (
    Baseline,
    DetectPolicy,
    Finding,
    WindowCounts,
    alarm_levels,
    detect_rise,
    tail_nats,
    tail_probability,
)
from alerting.detection.sliding_windows import sliding_counts
from tests.support.alerting.post_streams import MONDAY, PostStream

POLICY = DetectPolicy(windows=(15, 60, 180))
USUAL = Baseline(share=0.2, rho=0.006, hours=300, authors=20_000)


def a_window(width: int, authors: int, negative: int, *, last_minute: int = MONDAY) -> WindowCounts:
    return WindowCounts(last_minute, width, authors, negative, authors, negative)


def finding_of(
    *windows: WindowCounts, usual: Baseline | None = USUAL, alive: bool = True, not_before: int | None = None
) -> Finding:
    return detect_rise(windows, usual, POLICY, levels=alarm_levels(POLICY), stream_alive=alive, not_before=not_before)


@pytest.mark.parametrize(
    ("windows", "usual", "state"),
    [
        ([(15, 0, 0), (60, 0, 0), (180, 0, 0)], USUAL, "no data"),
        ([(15, 0, 0), (60, 3, 3), (180, 19, 19)], USUAL, "too little evidence"),
        ([(15, 5, 5), (60, 30, 7), (180, 60, 7)], USUAL, "normal"),
        ([(15, 50, 11), (60, 200, 40), (180, 600, 121)], USUAL, "normal"),
        ([(15, 50, 30), (60, 200, 60), (180, 600, 140)], USUAL, "spike"),
        ([(15, 8, 5), (60, 60, 36), (180, 180, 60)], USUAL, "spike"),
        ([(15, 50, 30), (60, 200, 60), (180, 600, 140)], None, "warming up"),
        ([(15, 50, 30), (60, 200, 60), (180, 600, 140)], Baseline(0.2, 0.01, 23, 9_000), "warming up"),
        ([(15, 50, 30), (60, 200, 60), (180, 600, 140)], Baseline(0.2, 0.01, 300, 199), "warming up"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_each_state_follows_from_its_windows(
    windows: list[tuple[int, int, int]], usual: Baseline | None, state: str
) -> None:
    finding = finding_of(*(a_window(*window) for window in windows), usual=usual)
    assert finding.state == state, finding.reason
    assert finding.reason


def test_a_certain_but_small_rise_is_normal() -> None:
    usual = Baseline(share=0.2, rho=0.000_01, hours=300, authors=10**6)
    many = a_window(180, 20_000, 5_400)
    assert tail_probability(5_400, 20_000, 0.2, 0.000_01) < 1e-9
    assert finding_of(a_window(15, 1_700, 459), a_window(60, 6_700, 1_809), many, usual=usual).state == "normal"


def test_a_past_crisis_in_the_long_window_does_not_fire() -> None:
    still_full_of_it = a_window(180, 400, 200)
    assert finding_of(a_window(15, 40, 8), a_window(60, 130, 27), still_full_of_it).state == "normal"
    assert finding_of(a_window(15, 40, 20), a_window(60, 130, 65), still_full_of_it).state == "spike"


def test_windows_that_overlap_the_last_episode_are_no_evidence() -> None:
    windows = a_window(15, 40, 13), a_window(60, 130, 65), a_window(180, 400, 200)
    assert finding_of(*windows).state == "spike"
    assert finding_of(*windows, not_before=MONDAY - 30).state == "normal"


def test_while_the_whole_stream_is_silent_the_state_is_no_data() -> None:
    assert (
        finding_of(a_window(15, 50, 30), a_window(60, 200, 60), a_window(180, 600, 140), alive=False).state == "no data"
    )


def test_the_reason_of_a_spike_contains_its_numbers() -> None:
    reason = finding_of(a_window(15, 50, 30), a_window(60, 200, 60), a_window(180, 600, 140)).reason
    assert "30 of 50 authors in 15 minutes were negative, 60% where 20% is usual" in reason


def findings_of(stream: PostStream, brand: str, last_minutes: range) -> list[Finding]:
    minutes = stream.minutes(brand)
    windows = [sliding_counts(minutes, width, last_minutes) for width in POLICY.windows]
    hours = stream.hours(brand)
    return [
        detect_rise(
            [counted[place] for counted in windows],
            learn_usual_week(hours, before_hour=(minute - 179) // 60, incidents=(), policy=BaselinePolicy()),
            POLICY,
            levels=alarm_levels(POLICY),
        )
        for place, minute in enumerate(last_minutes)
    ]


def test_a_quiet_brand_never_spikes_on_one_angry_post() -> None:
    stream = PostStream().steady(
        "Acme Air", range(MONDAY, MONDAY + 7_200), per_minute=0.05, share=0.1, rng=random.Random(3)
    )
    stream.post("Acme Air", MONDAY + 7_210, negative=True)
    states = {finding.state for finding in findings_of(stream, "Acme Air", range(MONDAY + 7_000, MONDAY + 7_230))}
    assert "spike" not in states


def test_one_angry_author_with_fifty_posts_never_pages() -> None:
    stream = PostStream().steady(
        "Acme Air", range(MONDAY, MONDAY + 3_300), per_minute=1, share=0.2, rng=random.Random(4)
    )
    for number in range(50):
        stream.post("Acme Air", MONDAY + 3_100 + number // 5, negative=True, author=77)
    findings = findings_of(stream, "Acme Air", range(MONDAY + 3_100, MONDAY + 3_300))
    assert {finding.state for finding in findings} == {"normal"}


def test_fifty_angry_authors_with_one_post_each_page() -> None:
    stream = PostStream().steady(
        "Acme Air", range(MONDAY, MONDAY + 3_300), per_minute=1, share=0.2, rng=random.Random(4)
    )
    for number in range(50):
        stream.post("Acme Air", MONDAY + 3_100 + number // 5, negative=True)
    findings = findings_of(stream, "Acme Air", range(MONDAY + 3_100, MONDAY + 3_120))
    assert findings[-1].state == "spike"


@given(st.integers(1, 60), st.floats(0.02, 0.9), st.floats(0.001, 0.4))
def test_the_tail_probability_is_the_sum_of_its_terms(n: int, share: float, rho: float) -> None:
    scale = (1 - rho) / rho
    a, b = share * scale, (1 - share) * scale

    def beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    pmf = [math.comb(n, k) * math.exp(beta(k + a, n - k + b) - beta(a, b)) for k in range(n + 1)]
    assert sum(pmf) == pytest.approx(1, abs=1e-6)
    for k in (0, 1, n // 2, n, n + 1):
        assert tail_probability(k, n, share, rho) == pytest.approx(sum(pmf[k:]), rel=1e-6, abs=1e-9)


def test_each_window_gets_its_part_of_the_budget() -> None:
    usual = alarm_levels(DetectPolicy())
    assert len(usual) == len(DetectPolicy().windows) + len(DetectPolicy().slow_hours)
    assert list(usual) == sorted(usual, reverse=True), "a window that looks seldom may be bolder"
    assert 10.5 < usual[0] < 11.5
    assert 3 < usual[-1] < 3.5
    strict = alarm_levels(DetectPolicy(false_alarms=0.1))
    assert all(2.2 < tenth - whole < 2.7 for tenth, whole in zip(strict, usual, strict=True))


def test_weights_decide_when_votes_are_just_below_the_level() -> None:
    usual = Baseline(share=0.2, rho=0.006, hours=300, authors=20_000, weight=0.33, weight_rho=0.003)
    unsure, sure = (replace(a_window(180, 180, 62), weight=weight) for weight in (0.38, 0.48))
    quick = a_window(15, 5, 1), a_window(60, 60, 20)
    assert finding_of(*quick, unsure, usual=usual).state == "normal"
    assert finding_of(*quick, sure, usual=usual).state == "spike"


def test_one_angry_author_changes_the_weights_but_does_not_fire() -> None:
    usual = Baseline(share=0.2, rho=0.006, hours=300, authors=20_000, weight=0.33, weight_rho=0.003)
    flood = WindowCounts(MONDAY, 180, 540, 400, 181, 37, weight=0.75)
    assert rise_nats(flood, usual) < 0.1
    assert finding_of(a_window(15, 5, 1), a_window(60, 60, 12), flood, usual=usual).state == "normal"


def test_a_day_long_rise_fires_by_a_slow_window() -> None:
    quick = a_window(15, 5, 1), a_window(60, 18, 5), a_window(180, 54, 18)
    day = a_window(1_440, 430, 138)
    assert finding_of(*quick).state == "normal"
    levels = alarm_levels(POLICY)
    found = detect_rise(quick, USUAL, POLICY, levels=levels, slow=[a_window(480, 150, 48), a_window(720, 200, 64), day])
    assert (found.state, found.window) == ("spike", day)


def test_a_past_rise_in_a_slow_window_does_not_fire() -> None:
    quick = a_window(15, 5, 0), a_window(60, 18, 3), a_window(180, 54, 10)
    slow = [a_window(480, 150, 48), a_window(720, 200, 64), a_window(1_440, 430, 138)]
    assert detect_rise(quick, USUAL, POLICY, levels=alarm_levels(POLICY), slow=slow).state == "normal"


@pytest.mark.parametrize(
    ("state", "alive", "reason"), [("no data", True, "No posts about it in 180 minutes."), ("no data", False, None)]
)
def test_a_brand_without_posts_is_quiet_only_if_others_have_posts(state: str, alive: bool, reason: str | None) -> None:
    found = finding_of(a_window(15, 0, 0), a_window(60, 0, 0), a_window(180, 0, 0), alive=alive)
    assert (found.state, found.stream_alive) == (state, alive)
    assert reason is None or found.reason == reason


def test_with_the_exact_tail_a_frequent_bad_hour_is_no_alarm() -> None:
    """45 % where 4 % is usual: eight nats would be one in 30,000; of a share as restless as this it is one in 2,000."""
    window, restless = WindowCounts(1_000, 180, 22, 10, 22, 10), Baseline(0.044, 0.05, 200, 5_000)
    assert rise_nats(window, restless) > 8
    assert tail_probability(10, 22, 0.044, 0.05) == pytest.approx(1 / 2_000, rel=0.05)
    assert tail_nats(window, restless) == pytest.approx(5.4, abs=0.1)
    asked = replace(POLICY, exact_tail=True, min_ratio=2.0)
    levels = [6.0] * 6
    assert detect_rise([window], restless, POLICY, levels=levels).state == "spike"
    assert detect_rise([window], restless, asked, levels=levels).state == "normal"


def test_for_large_even_shares_the_exact_tail_equals_the_nats() -> None:
    window, even = WindowCounts(1_000, 180, 400, 160, 400, 160), Baseline(0.3, 0.002, 200, 50_000)
    assert tail_nats(window, even) == pytest.approx(rise_nats(window, even), rel=0.1)


def test_in_the_first_two_days_a_morning_is_no_rise() -> None:
    # It begins at 09:00: after 24 hours it knows each hour of the day, once.
    begin = MONDAY + 9 * 60
    stream = PostStream()
    for hour in range(50):
        share = 0.5 if (9 + hour) % 24 in {9, 10} else 0.15
        minutes = range(begin + 60 * hour, begin + 60 * hour + 60)
        stream.steady("Acme Air", minutes, per_minute=1, share=share, rng=random.Random(hour))
    findings = findings_of(stream, "Acme Air", range(begin + 24 * 60, begin + 27 * 60))
    assert {finding.state for finding in findings} == {"warming up"}
    assert "of 2 days" in findings[0].reason


def test_with_less_than_a_day_required_no_second_day_is_needed() -> None:
    assert (DetectPolicy(min_history_hours=6).min_history_days, DetectPolicy().min_history_days) == (0.0, 2.0)
