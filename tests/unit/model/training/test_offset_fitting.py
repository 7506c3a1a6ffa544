"""Offsets of labels that are predicted too rarely."""

import numpy as np
import pytest

from brandpulse.errors import ConfigError
from model.training.calibration import SideAnswers
from model.training.fit.recipe import HeadsRecipe
from model.training.offset_fitting import best_offsets
from tests.support.model.training_data import a_recipe


def answers(shift: float, *, rows: int = 600, seed: int = 3) -> SideAnswers:
    """Targets with one negative row in ten, whose logits are too low by *shift*; no row is irrelevant."""
    rng = np.random.default_rng(seed)
    gold = rng.choice(3, rows, p=[0.1, 0.6, 0.3])
    logits = rng.normal(size=(rows, 4))
    logits[np.arange(rows), gold] += 2.0
    logits[:, 0] -= shift
    logits[:, 3] = 9.0
    return SideAnswers({"target": logits}, {"target": gold})


def test_a_label_that_is_predicted_too_rarely_is_raised() -> None:
    found = best_offsets("target", {"one": answers(0.8), "other": answers(0.8, seed=4)})
    assert 0.5 <= found["negative"] <= 1.0
    assert "neutral" not in found
    assert "irrelevant" not in found


def test_right_logits_keep_small_offsets() -> None:
    found = best_offsets("target", {"one": answers(0.0, rows=6_000)})
    assert all(abs(value) <= 0.4 for value in found.values())


def test_a_head_without_a_set_to_fit_on_is_a_config_error() -> None:
    with pytest.raises((ConfigError, ValueError), match="fitted_offsets: 'target' needs a set in judged_by"):
        HeadsRecipe.model_validate(
            a_recipe().model_dump() | {"judged_by": {"x": "sentiment_recall"}, "fitted_offsets": ["target"]}
        )
