"""What a window proves: weights from panes, and their evidence beside that of votes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.detection.evidence import deviance_nats, mean_weight, weight_quarters
from brandpulse.state.panes import EMPTY_PANE, MICROS, Pane

COUNTS = st.integers(0, 1_000)
PANES = st.builds(Pane, COUNTS, COUNTS, COUNTS, st.just(0), COUNTS)


@pytest.mark.parametrize(
    ("pane", "weight"),
    [
        (Pane(negative=1, score_micros=-MICROS), 1.0),
        (Pane(negative=1, score_micros=-200_000), 0.6),
        (Pane(neutral=1), 0.25),
        (Pane(positive=1, score_micros=MICROS), 0.0),
        (Pane(negative=1, positive=1), 0.5),
        (Pane(irrelevant=7), None),
        (EMPTY_PANE, None),
    ],
)
def test_the_weight_of_a_post_is_between_zero_and_one(pane: Pane, weight: float | None) -> None:
    assert mean_weight(weight_quarters(pane), pane.relevant) == weight


@given(PANES, PANES)
def test_weights_of_panes_add_up_exactly(one: Pane, other: Pane) -> None:
    assert weight_quarters(one + other) == weight_quarters(one) + weight_quarters(other)


def test_evidence_of_votes_is_the_maximum_likelihood_ratio() -> None:
    fitted = 30 * math.log(0.6 / 0.2) + 20 * math.log(0.4 / 0.8)
    assert deviance_nats(0.6, 50, 0.2, 0.0) == pytest.approx(fitted)
    assert deviance_nats(0.6, 50, 0.2, 0.02) == pytest.approx(fitted / (1 + 49 * 0.02))


@given(st.floats(0, 1), st.floats(0, 5_000), st.floats(0.005, 0.95), st.floats(0, 0.5))
def test_without_a_rise_evidence_is_zero(share: float, many: float, usual: float, rho: float) -> None:
    nats = deviance_nats(share, many, usual, rho)
    assert nats >= 0
    assert share > usual or nats == 0
