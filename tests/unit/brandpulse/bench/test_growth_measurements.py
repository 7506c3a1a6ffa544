"""The parts of the growth bench that need no broker: what they measure is what they say."""

from pathlib import Path

import redis

from brandpulse.bench.growth_measurements import brands_of, kept_cost, match_cost, store_size
from brandpulse.devstack.embedded_servers import EmbeddedStore


def test_made_up_brands_are_distinct_and_the_same_each_time() -> None:
    brands = brands_of(500)
    assert len({brand.name for brand in brands}) == 500
    assert brands == brands_of(500)


def test_the_cost_of_matching_is_told_for_the_brands_asked() -> None:
    cost = match_cost(["a post about"], 200, posts=200, rounds=1)
    assert cost.brands == 200
    assert 0 < cost.microseconds_a_post < 10_000


def test_a_days_state_is_panes_sketches_and_six_hours_of_ids(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    try:
        small = store_size(redis.Redis.from_url(store.url), ["My luggage is lost"], posts_a_second=0.05)
    finally:
        store.stop()
    assert small.posts == 4_320
    # Six hours and the generation that is being filled: 12 bytes an id, and what a set needs beside.
    assert 0.25 * 4_320 * 12 < small.repeat_memory < 0.35 * 4_320 * 120
    assert 50_000 < small.panes_and_sketches < 500_000
    assert 4 * 30 * 40 < small.samples < 4 * 30 * 400


def test_what_is_kept_costs_memory(tmp_path: Path) -> None:
    sizes = []
    for days in (1, 60):
        store = EmbeddedStore(tmp_path / str(days))
        try:
            sizes.append(kept_cost(redis.Redis.from_url(store.url), ["My luggage is lost"], days, live_posts=1_024))
        finally:
            store.stop()
    assert sizes[1].store_bytes > sizes[0].store_bytes + 100_000
    assert all(0 < size.microseconds_a_post < 10_000 for size in sizes)
