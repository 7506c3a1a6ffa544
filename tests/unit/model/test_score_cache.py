from collections.abc import Sequence

import numpy as np
import pytest

from model.engine import Probabilities
from model.keyword import KeywordClassifier
from model.score_cache import CachingClassifier


class Recording(KeywordClassifier):
    """Remembers which texts reached it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        self.seen += texts
        return super().probabilities(texts)


class Failing(KeywordClassifier):
    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        raise RuntimeError("engine is gone")


def test_a_text_seen_before_is_not_scored_again() -> None:
    inner = Recording()
    cached = CachingClassifier(inner, max_entries=10)
    first = cached.probabilities(["good day", "bad day"])
    again = cached.probabilities(["bad day", "good day"])
    assert inner.seen == ["good day", "bad day"]
    np.testing.assert_array_equal(first, again[::-1])
    assert (cached.hits, cached.misses) == (2, 2)


def test_copies_within_one_call_are_scored_once() -> None:
    inner = Recording()
    cached = CachingClassifier(inner, max_entries=10)
    scores = cached.probabilities(["bad day", "good day", "bad day"])
    assert inner.seen == ["bad day", "good day"]
    np.testing.assert_array_equal(scores[0], scores[2])
    assert (cached.hits, cached.misses) == (1, 2)


def test_texts_that_normalise_alike_share_an_entry() -> None:
    inner = Recording()
    CachingClassifier(inner, max_entries=10).probabilities(
        ["@ann  bad day http://a.example", "@bob bad day https://b.example"]
    )
    assert inner.seen == ["@user bad day http"]


def test_the_text_used_longest_ago_is_forgotten_first() -> None:
    inner = Recording()
    cached = CachingClassifier(inner, max_entries=2)
    cached.probabilities(["one", "two"])
    cached.probabilities(["one"])
    cached.probabilities(["three"])
    inner.seen.clear()
    cached.probabilities(["one", "three", "two"])
    assert inner.seen == ["two"]


@pytest.mark.parametrize("max_entries", [0, 1, 3])
def test_a_call_larger_than_the_cache_is_answered_whole(max_entries: int) -> None:
    cached = CachingClassifier(KeywordClassifier(), max_entries=max_entries)
    texts = [f"bad day {number}" for number in range(20)]
    np.testing.assert_array_equal(cached.probabilities(texts), KeywordClassifier().probabilities(texts))


def test_no_texts_give_no_rows() -> None:
    assert CachingClassifier(KeywordClassifier(), max_entries=3).probabilities([]).shape == (0, 3)


def test_a_failing_engine_leaves_nothing_behind() -> None:
    cached = CachingClassifier(Failing(), max_entries=3)
    with pytest.raises(RuntimeError, match="engine is gone"):
        cached.probabilities(["good day"])
    assert (cached.hits, cached.misses) == (0, 0)


def test_it_carries_the_name_and_version_of_its_engine() -> None:
    cached = CachingClassifier(KeywordClassifier(), max_entries=3)
    assert (cached.name, cached.version) == ("keyword", "keyword-1")
