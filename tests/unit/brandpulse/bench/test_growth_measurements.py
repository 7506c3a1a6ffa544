"""Measurements of the growth benchmark without a broker."""

from pathlib import Path

import redis

from brandpulse.bench.growth_measurements import brands_of, match_cost, store_size, stored_days_cost
from brandpulse.devstack.embedded_servers import EmbeddedStore


def test_made_up_brands_are_distinct_and_reproducible() -> None:
    brands = brands_of(500)
    assert len({brand.name for brand in brands}) == 500
    assert brands == brands_of(500)


def test_match_cost_is_measured_for_the_given_brands() -> None:
    cost = match_cost(["a post about"], 200, posts=200, rounds=1)
    assert cost.brands == 200
    assert 0 < cost.microseconds_per_post < 10_000


def test_store_size_is_split_into_panes_ids_and_samples(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    try:
        small = store_size(redis.Redis.from_url(store.url), ["My luggage is lost"], posts_per_second=0.05)
    finally:
        store.stop()
    assert small.posts == 4_320
    # Six hours and the generation that is being filled: 12 bytes per id, and the overhead of a set.
    assert 0.25 * 4_320 * 12 < small.dedup_window < 0.35 * 4_320 * 120
    assert 50_000 < small.panes_and_sketches < 500_000
    assert 4 * 30 * 40 < small.samples < 4 * 30 * 400


def test_more_stored_days_take_more_memory(tmp_path: Path) -> None:
    sizes = []
    for days in (1, 60):
        store = EmbeddedStore(tmp_path / str(days))
        try:
            sizes.append(
                stored_days_cost(redis.Redis.from_url(store.url), ["My luggage is lost"], days, live_posts=1_024)
            )
        finally:
            store.stop()
    assert sizes[1].store_bytes > sizes[0].store_bytes + 100_000
    assert all(0 < size.microseconds_per_post < 10_000 for size in sizes)
