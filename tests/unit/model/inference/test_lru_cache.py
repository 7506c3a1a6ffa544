import subprocess
import sys
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.inference.lru_cache import LruCache
from tests.support.patience import patience


def test_stored_entries_are_found() -> None:
    entries: LruCache[str, int] = LruCache(4)
    entries.put("a", 1)
    entries.put("a", 2)
    assert (entries.get("a"), entries.get("b"), len(entries)) == (2, None, 1)


def test_a_cache_of_one_keeps_the_last_entry() -> None:
    entries: LruCache[str, int] = LruCache(1)
    entries.put("a", 1)
    assert len(entries) <= 1
    entries.put("b", 2)
    assert entries.get("a") is None


@given(st.integers(1, 9), st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=200))
def test_a_small_cache_removes_the_least_recently_used(most: int, uses: list[tuple[bool, int]]) -> None:
    entries: LruCache[int, str] = LruCache(most)
    expected: OrderedDict[int, str] = OrderedDict()
    for puts, key in uses:
        if puts:
            entries.put(key, f"{key}")
            expected[key] = f"{key}"
        assert entries.get(key) == expected.get(key)
        if key in expected:
            expected.move_to_end(key)
        if len(expected) > most:
            expected.popitem(last=False)
        assert len(entries) == len(expected)


@pytest.mark.parametrize("most", [127, 128, 1_000, 50_000])
def test_a_large_cache_is_bounded_and_nearly_full(most: int) -> None:
    entries: LruCache[bytes, int] = LruCache(most)
    for number in range(2 * most):
        entries.put(number.to_bytes(16, "big"), number)
        assert entries.get(number.to_bytes(16, "big")) == number
    assert 0.9 * most <= len(entries) <= most


CHURN = """
import itertools, os
from brandpulse.runtime.process_memory import resident_bytes
from model.inference.lru_cache import LruCache

entries = LruCache(50_000)
numbers = itertools.count()

def churn(posts):
    for number in itertools.islice(numbers, posts):
        entries.put(number.to_bytes(16, "big"), bytes(170) + number.to_bytes(8, "big"))

churn(80_000)
before = resident_bytes(os.getpid())
churn(600_000)
print(resident_bytes(os.getpid()) - before)
"""


def test_a_full_cache_needs_no_more_memory() -> None:
    told = subprocess.run(
        [sys.executable, "-c", CHURN], capture_output=True, text=True, timeout=patience(60), check=True
    )
    # An OrderedDict needs 12 MB.
    assert int(told.stdout) < 1_000_000
