"""The detector over weeks of simulated time, seeded. Figures of larger runs: docs/decisions/0005."""

import numpy as np
import pytest

from alerting.rules.models import FacetShareRule
from brandpulse.bench.alerting.facet_rules import false_pages, poisson_interval, surge
from brandpulse.bench.alerting.simulation import simulate, steady

FORTNIGHT = 14 * 1_440
FOUR_WEEKS = 28 * 1_440


def by_the_sun(at: np.ndarray) -> np.ndarray:
    return np.asarray(0.25 + 0.07 * np.sin(2 * np.pi * at / 1_440))


@pytest.mark.parametrize(
    ("per_minute", "rho", "share"), [(0.2, 0.03, 0.25), (1.0, 0.0, 0.25), (4.0, 0.03, 0.25), (1.0, 0.0, by_the_sun)]
)
def test_a_steady_brand_has_at_most_one_false_page_in_four_weeks(per_minute: float, rho: float, share: float) -> None:
    # Twelve seeds a cell have 0 to .7 pages; only a brand of .2 posts a minute that never wavers has more, 1.75.
    posts, negatives = steady(
        np.random.default_rng(7), FORTNIGHT + FOUR_WEEKS, per_minute=per_minute, share=share, rho=rho
    )
    assert len(simulate(posts, negatives, evaluate_from=FORTNIGHT).triggered) <= 1


@pytest.mark.parametrize(("per_minute", "within_minutes"), [(1.0, 90), (4.0, 30), (17.0, 10)])
def test_a_step_from_a_fifth_to_a_half_fires_in_time_in_95_percent(per_minute: float, within_minutes: int) -> None:
    # The tail is luck, not code: over 150 seeds at 4 a minute the mean is 12, the 95th percentile 23, the worst 40,
    # and the worst drew a share of .43 for its first half hour.
    delays = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        calm = steady(rng, FORTNIGHT // 2, per_minute=per_minute, share=0.2)
        crisis = steady(rng, 240, per_minute=per_minute, share=0.55)
        posts, negatives = (np.concatenate(part) for part in zip(calm, crisis, strict=True))
        seen = simulate(posts, negatives, evaluate_from=FORTNIGHT // 2 - 200)
        assert len(seen.triggered) == 1
        delays.append(seen.triggered[0] - FORTNIGHT // 2 + 1)
    assert np.percentile(delays, 95) <= within_minutes, delays
    assert min(delays) > 0, "fired before anything happened"


def test_a_share_near_the_threshold_for_six_hours_pages_at_most_twice() -> None:
    rng = np.random.default_rng(2)
    calm = steady(rng, FORTNIGHT // 2, per_minute=4.0, share=0.2)
    wobble = steady(rng, 360, per_minute=4.0, share=0.38)
    posts, negatives = (np.concatenate(part) for part in zip(calm, wobble, strict=True))
    assert len(simulate(posts, negatives, evaluate_from=FORTNIGHT // 2 - 200).triggered) <= 2


REFUNDS = FacetShareRule(name="refunds", kind="facet_share", facet="refund")


@pytest.mark.parametrize(("share", "per_minute", "rho"), [(0.1, 1.0, 0.03)])
def test_a_steady_facet_has_at_most_one_false_page_in_four_weeks(share: float, per_minute: float, rho: float) -> None:
    # More seeds and cells: `brandpulse bench facets`, docs/reference/detection-figures.md.
    assert false_pages(REFUNDS, share, per_minute, rho=rho, brands=1) <= 1


@pytest.mark.parametrize(("share", "per_minute", "within_minutes"), [(0.1, 4.0, 45), (0.1, 1.0, 120), (0.02, 4.0, 240)])
def test_a_facet_that_trebles_pages_in_time_and_resolves(share: float, per_minute: float, within_minutes: int) -> None:
    surges = [surge(REFUNDS, share, per_minute, seed) for seed in range(5)]
    delays = [one.detected_after for one in surges]
    assert all(minutes is not None and minutes <= within_minutes for minutes in delays), delays
    assert all(one.resolved_after is not None for one in surges)


@pytest.mark.parametrize(("seen", "low", "high"), [(0, 0.0, 3.69), (1, 0.025, 5.57), (10, 4.80, 18.39)])
def test_the_interval_of_a_count_is_garwoods(seen: int, low: float, high: float) -> None:
    assert poisson_interval(seen) == pytest.approx((low, high), abs=0.01)
