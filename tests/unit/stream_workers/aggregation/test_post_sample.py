"""The sample of a brand's usual posts is the same in any batches, any order and with duplicates."""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS
from brandpulse.state.stored_posts import MOST_OTHERS, SAMPLE_DAYS, SampledPost
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.post_sample import SAMPLE_SIZE, TRACKED_DAYS, SampleBounds
from stream_workers.aggregation.row_fold import fold_rows
from stream_workers.aggregation.types import Outcome, Sampled, SampleDay, Scored, Stored
from stream_workers.state_store.memory_store import MemoryPartitionStore
from stream_workers.state_store.partition_store import Applied
from tests.support.builders import NOON_MS, a_scored, a_status

RETENTION = Retention(lateness_ms=2 * MINUTE_MS, minutes_ms=48 * HOUR_MS, hours_ms=90 * DAY_MS)
LIMITS = DedupLimits(memory_ms=6 * HOUR_MS, max_ids=10_000)
TODAY = SampleDay("Acme", NOON_MS // DAY_MS)


def left_by(batches: Sequence[Sequence[Outcome]], *, bounds: bool = True) -> dict[SampleDay, set[SampledPost]]:
    """The samples after *batches*. With *bounds* the worker tracks the bounds of full samples."""
    store = MemoryPartitionStore()
    status = a_status()
    assert store.rebase(None, status)
    known = SampleBounds()
    for batch in batches:
        change = fold_rows(
            status,
            batch,
            status.next + len(batch),
            Stored(),
            retention=RETENTION,
            limits=LIMITS,
            bounds=known if bounds else None,
        )
        assert store.apply([change]) == [Applied()]
        known.add(change.samples)
        status = change.status
    return {day: set(found) for day, found in store.samples("posts", 0).items()}


def posts(many: int) -> list[Outcome]:
    return [a_scored(str(n), ("negative", "neutral")[n % 2], NOON_MS, brands=("Acme", "Bolt")) for n in range(many)]


@given(st.integers(0, 150), st.lists(st.integers(0, 150), max_size=8), st.randoms(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_batches_order_and_bounds_change_nothing(many: int, cuts: list[int], rng: random.Random, bounds: bool) -> None:
    every = posts(many)
    expected = left_by([every])
    rng.shuffle(every)
    edges = [0, *sorted(min(cut, many) for cut in cuts), many]
    batches = [every[begin:end] for begin, end in pairwise(edges)]
    assert left_by(batches, bounds=bounds) == expected
    assert all(len(found) == min(many, SAMPLE_SIZE) for found in expected.values())


def test_sample_is_uniform() -> None:
    [sample] = [found for day, found in left_by([posts(3_000)]).items() if day == TODAY]
    assert 5 <= sum(post.negative for post in sample) <= 25, "half of the posts are negative"


def test_full_sample_computes_the_terms_of_few_posts() -> None:
    computed: list[str] = []

    def noting(text: str) -> str:
        computed.append(text)
        return text

    bounds, status = SampleBounds(), a_status()
    every = [a_scored(str(n)) for n in range(4_000)]
    for start in range(0, 4_000, 200):
        batch: list[Outcome] = [_masked_by(post, noting) for post in every[start : start + 200]]
        change = fold_rows(
            status, batch, status.next + 200, Stored(), retention=RETENTION, limits=LIMITS, bounds=bounds
        )
        bounds.add(change.samples)
        bounds.hours.add(change.hour_posts)
        status = change.status
    # With k = SAMPLE_SIZE, k (1 + ln(n / k)) posts enter a running bottom-k; a batch may add some that it later drops.
    assert len(computed) < 8 * (SAMPLE_SIZE + MOST_OTHERS), "posts of an hour are stored next to the sample of the day"


def _masked_by(post: Scored, mask: Callable[[str], str]) -> Scored:
    return msgspec.structs.replace(post, mask=mask)


@pytest.mark.parametrize(("sentiment", "kept"), [("irrelevant", 0), ("positive", 1), ("negative", 1)])
def test_only_relevant_posts_are_sampled(sentiment: str, kept: int) -> None:
    assert len(left_by([[a_scored("1", sentiment)]]).get(TODAY, ())) == kept


def test_expired_day_starts_no_sample() -> None:
    old = NOON_MS - (SAMPLE_DAYS + 1) * DAY_MS
    assert set(left_by([[a_scored("1"), a_scored("2", at_ms=old)]])) == {TODAY}


def test_tracked_bounds_are_limited() -> None:
    bounds = SampleBounds()
    one = Sampled(b"\0" * 12, SampledPost("00", negative=False, terms=()))
    for day in range(2 * TRACKED_DAYS + 10):
        bounds.add({SampleDay("Acme", day): [one]})
    assert len(bounds._smallest) <= TRACKED_DAYS
