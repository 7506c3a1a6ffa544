"""How large reads get."""

from stream_workers.consumer.adaptive_batch_size import MIN_POSTS, TARGET_SECONDS, AdaptiveBatchSize


def test_a_read_is_what_the_model_gets_through_in_a_half_a_second() -> None:
    pace = AdaptiveBatchSize(512)
    assert pace.posts == 512
    for _ in range(30):
        pace.observe(100, 0.5)
    assert pace.posts == 200 * TARGET_SECONDS
    for _ in range(30):
        pace.observe(100, 0.1)
    assert 490 <= pace.posts <= 500


def test_it_is_neither_more_than_was_set_nor_fewer_than_fill_a_row() -> None:
    pace = AdaptiveBatchSize(512)
    pace.observe(1_000, 0.001)
    assert pace.posts == 512
    for _ in range(50):
        pace.observe(1, 1.0)
    assert pace.posts == MIN_POSTS
    small = AdaptiveBatchSize(10)
    small.observe(1, 1.0)
    assert small.posts == 10


def test_a_call_without_posts_tells_nothing() -> None:
    pace = AdaptiveBatchSize(512)
    pace.observe(0, 3.0)
    assert pace.posts == 512
