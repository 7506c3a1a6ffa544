"""Compares the answers of two models to the same rows."""

from typing import Any

import numpy as np

from brandpulse.errors import ConfigError
from model.evaluation.bootstrap_metrics import differences, metrics_of
from model.evaluation.predictions_file import Predictions


def compare(one: Predictions, other: Predictions, *, net: bool, seed: int = 13) -> dict[str, Any]:
    """`differences`: [one minus the other, low, high] of each metric (paired bootstrap); `mcnemar`: the exact test.

    Raises ValueError if the models answered different rows, ConfigError without scipy.
    """
    if one.rows != other.rows:
        raise ValueError("the other model answered other rows or labels: evaluate it on this file first")
    here, there = (metrics_of(model.answers, net=net) for model in (one, other))
    return {
        "model": other.model,
        "differences": differences(here, there, one.groups, seed=seed),
        "mcnemar": mcnemar(one, other),
    }


def mcnemar(one: Predictions, other: Predictions) -> dict[str, Any]:
    """Rows that only one model answered correctly, and the p-value of that split if both models were equally good."""
    try:
        from scipy.stats import binomtest
    except ImportError as error:
        raise ConfigError("--against needs scipy: pip install 'brandpulse[evaluate]'.") from error
    right = [model.answers.right for model in (one, other)]
    here, there = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
    p = binomtest(here, here + there).pvalue if here + there else 1.0
    return {"only_this_right": here, "only_the_other_right": there, "p": float(p)}
