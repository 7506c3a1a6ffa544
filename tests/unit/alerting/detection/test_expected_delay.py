"""The least delay possible, and the delay to expect of a brand by its volume."""

import pytest
from typer.testing import CliRunner

from alerting.detection.expected_delay import STEPS, Step, delay_text, expected_delay, minimum_delay
from alerting.detection.share_detector import Baseline, DetectPolicy
from brandpulse.bench.alerting.detection_delay import delay_of
from brandpulse.cli.bench import app


@pytest.mark.parametrize(
    ("step", "minutes"), list(zip(STEPS, (121.0, 53.0, 29.0, 37.0, 8.4, 21.0, 2.3), strict=True)), ids=str
)
def test_the_minimum_delay_equals_the_published_value(step: Step, minutes: float) -> None:
    assert minimum_delay(step, false_alarms=1.0) == pytest.approx(minutes, rel=0.1)


def test_a_worse_classifier_delays_more_than_a_smaller_budget() -> None:
    step = Step(0.25, 0.5, 1.0)
    perfect = minimum_delay(step, false_alarms=1.0)
    assert minimum_delay(step.seen_by(0.8, 0.08), false_alarms=1.0) == pytest.approx(92, rel=0.05)
    assert 0.7 * perfect < minimum_delay(step, false_alarms=4.0) < perfect


def usual(per_hour: int) -> Baseline:
    return Baseline(share=0.25, rho=0.006, hours=336, authors=336 * per_hour)


def test_the_expected_delay_falls_with_volume_and_rises_with_strictness() -> None:
    policy = DetectPolicy()
    delays = [expected_delay(usual(per_hour), policy) for per_hour in (12, 60, 240, 1_000)]
    assert None not in delays
    assert delays == sorted(delays, reverse=True, key=lambda delay: delay or 0)
    strict = expected_delay(usual(60), DetectPolicy(false_alarms=0.1))
    assert strict is not None
    assert strict > (delays[1] or 0)


def test_with_very_few_posts_the_delay_is_over_a_day_or_infinite() -> None:
    assert expected_delay(usual(1), DetectPolicy(min_authors=60)) is None
    assert expected_delay(Baseline(0.25, 0.03, 0, 0), DetectPolicy()) is None
    assert (delay_text(None), delay_text(35.4), delay_text(300.0)) == ("more than a day", "35 minutes", "5 hours")


@pytest.mark.parametrize("per_minute", [1.0, 4.0])
def test_the_expected_delay_matches_simulated_brands(per_minute: float) -> None:
    policy = DetectPolicy()
    delays = sorted(delay_of(Step(0.25, 0.5, per_minute), seed, policy) or 720 for seed in range(9))
    expected = expected_delay(usual(int(60 * per_minute)), policy)
    assert expected is not None
    assert 0.5 * expected < delays[4] < 2 * expected


def test_bench_delay_prints_each_step_and_its_ratio() -> None:
    done = CliRunner().invoke(app, ["delay", "--brands", "1"])
    assert done.exit_code == 0, done.output
    assert "Mean ratio" in done.output
    assert done.output.count("x2") == 3
