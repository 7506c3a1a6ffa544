"""Counting in the competitors: Python and native decoding give the same mentions."""

import pytest

from brandpulse.bench.competitors.runner import Counts, NativeCounts
from brandpulse.bench.environment import BRANDS, records_of_posts
from brandpulse.schema.posts import POST_DECODER


def test_python_and_native_counts_are_equal() -> None:
    pytest.importorskip("stream_workers._native", reason="make native")
    values = records_of_posts(300, seed=1)
    counts = Counts(BRANDS)
    in_python = [key for value in values for key in counts.keys_of(POST_DECODER.decode(value))]
    assert NativeCounts(BRANDS).keys_of(values) == in_python
    assert len(in_python) > 250


def test_counts_are_per_brand_and_minute() -> None:
    counts = Counts(BRANDS)
    counts.add(records_of_posts(300, seed=1, step_ms=1_000))
    assert sum(counts.cells.values()) > 250
    assert len({minute for _, minute in counts.cells}) == 5
