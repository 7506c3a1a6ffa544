"""Posts stored of each hour: all of them below the limit, a uniform sample above it, in any batches."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brandpulse.state.keys import DAY_MS, HOUR_MS, MINUTE_MS
from brandpulse.state.stored_posts import MOST_NEGATIVE, MOST_OTHERS, MOST_TEXT_CHARS, RETAINED_HOURS, HourPost
from stream_workers.aggregation.deduplication import DedupLimits
from stream_workers.aggregation.event_time import Retention
from stream_workers.aggregation.hour_posts import BURST, TRACKED_DIGESTS, HourBounds, PostAllowance, PostBudget
from stream_workers.aggregation.post_sample import SampleBounds
from stream_workers.aggregation.row_fold import fold_rows
from stream_workers.aggregation.types import (
    WAIT_FOR_ALERTER_MS,
    OfferedPost,
    Outcome,
    PostHour,
    Scored,
    Stored,
    build_scored,
)
from stream_workers.scoring.post_scores import build_post_scores
from stream_workers.state_store.memory_store import MemoryPartitionStore
from stream_workers.state_store.partition_store import Applied
from tests.support.builders import NOON_MS, PROBABILITIES, a_scored, a_status

RETENTION = Retention(lateness_ms=2 * MINUTE_MS, minutes_ms=48 * HOUR_MS, hours_ms=90 * DAY_MS)
LIMITS = DedupLimits(memory_ms=6 * HOUR_MS, max_ids=10_000)
NOON = NOON_MS // HOUR_MS


def left_by(
    batches: Sequence[Sequence[Outcome]], *, bounds: bool = True, allowance: PostAllowance = BURST
) -> dict[PostHour, set[HourPost]]:
    """What is stored after *batches*. With *bounds* the worker tracks the bounds of full hours."""
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
            allowance=allowance,
        )
        assert store.apply([change]) == [Applied()]
        known.hours.add(change.hour_posts)
        status = change.status
    return {hour: set(found) for hour, found in store.hour_posts("posts", 0).items()}


def posts(many: int) -> list[Outcome]:
    return [a_scored(str(n), ("negative", "neutral")[n % 2], NOON_MS, brands=("Acme", "Bolt")) for n in range(many)]


@given(st.integers(0, 400), st.lists(st.integers(0, 400), max_size=8), st.randoms(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_batches_and_order_change_nothing(many: int, cuts: list[int], rng: random.Random, bounds: bool) -> None:
    every = posts(many)
    expected = left_by([every])
    rng.shuffle(every)
    edges = [0, *sorted(min(cut, many) for cut in cuts), many]
    batches = [every[begin:end] for begin, end in pairwise(edges)]
    assert left_by(batches, bounds=bounds) == expected
    for hour, found in expected.items():
        assert len(found) == min((many + hour.negative) // 2, MOST_NEGATIVE if hour.negative else MOST_OTHERS)


def test_small_allowance_stores_part_of_the_posts() -> None:
    kept = left_by([posts(60)], allowance=PostAllowance(20, 8))
    assert {hour.negative: 0 for hour in kept} == {True: 0, False: 0}
    assert sum(len(found) for hour, found in kept.items() if hour.negative) == 20
    assert sum(len(found) for hour, found in kept.items() if not hour.negative) == 8
    assert left_by([posts(60)], allowance=PostAllowance(0, 0)) == {}


@pytest.mark.parametrize(("sentiment", "kept"), [("irrelevant", 0), ("positive", 1), ("negative", 1)])
def test_irrelevant_posts_are_not_stored(sentiment: str, kept: int) -> None:
    assert sum(map(len, left_by([[a_scored("1", sentiment)]]).values())) == kept


def test_expired_hour_stores_no_posts() -> None:
    old = NOON_MS - (RETAINED_HOURS + 2) * HOUR_MS - WAIT_FOR_ALERTER_MS
    kept = left_by([[a_scored("1"), a_scored("2", at_ms=old)]])
    assert set(kept) == {PostHour("Acme", NOON, negative=False)}


def test_long_text_is_masked_before_it_is_truncated() -> None:
    post = a_scored("1", "negative")
    long = build_scored(
        post.decoded,
        ("Acme",),
        build_post_scores((PROBABILITIES["negative"],), {"sentiment": (0.3, 0.4, 0.3)}, (None,)),
        author=1,
        mask=lambda _: "m" * 5_000,
    )
    [[kept]] = left_by([[long]]).values()
    assert kept.text == "m" * (MOST_TEXT_CHARS - 1) + "…"


def test_budget_refills_over_time_up_to_its_limit() -> None:
    budget = PostBudget(per_second=PostAllowance(10, 1), burst=PostAllowance(30, 5))
    assert budget.available(100.0) == (30, 5)
    budget.spend({PostHour("Acme", NOON, negative=True): [_offered(n) for n in range(30)]})
    budget.spend({PostHour("Acme", NOON, negative=False): [_offered(n) for n in range(7)]})
    assert budget.available(100.0) == (0, 0)
    assert budget.available(103.0) == (30, 1)
    assert budget.available(200.0) == (30, 5)


def test_tracked_hour_bounds_are_limited() -> None:
    bounds = HourBounds()
    for hour in range(2 * TRACKED_DIGESTS // MOST_NEGATIVE):
        bounds.add({PostHour("Acme", hour, negative=True): [_offered(n) for n in range(MOST_NEGATIVE)]})
    assert sum(map(len, bounds._smallest.values())) <= TRACKED_DIGESTS


def _offered(number: int) -> OfferedPost:
    post = HourPost(id=str(number), source="x", text="t", created_ms=0, author="a", negative=0.9)
    return OfferedPost(number.to_bytes(12, "big"), post)


def test_post_of_a_facet_is_stored_in_both_series() -> None:
    one = a_scored("1", "negative")
    both = Scored(
        one.decoded, one.brands, one.author, one.mask, one.heads, one.digest, (("Acme\x1frefund", one.brands[0]),)
    )
    assert {hour.series for hour in left_by([[both]])} == {"Acme", "Acme\x1frefund"}
