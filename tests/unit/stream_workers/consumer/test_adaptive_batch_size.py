"""How large reads get."""

from stream_workers.consumer.adaptive_batch_size import MIN_POSTS, TARGET_SECONDS, AdaptiveBatchSize


def test_batch_size_is_what_the_model_scores_in_half_a_second() -> None:
    batch_size = AdaptiveBatchSize(512)
    assert batch_size.posts == 512
    for _ in range(30):
        batch_size.observe(100, 0.5)
    assert batch_size.posts == 200 * TARGET_SECONDS
    for _ in range(30):
        batch_size.observe(100, 0.1)
    assert 490 <= batch_size.posts <= 500


def test_batch_size_stays_between_minimum_and_limit() -> None:
    batch_size = AdaptiveBatchSize(512)
    batch_size.observe(1_000, 0.001)
    assert batch_size.posts == 512
    for _ in range(50):
        batch_size.observe(1, 1.0)
    assert batch_size.posts == MIN_POSTS
    small = AdaptiveBatchSize(10)
    small.observe(1, 1.0)
    assert small.posts == 10


def test_call_without_posts_changes_nothing() -> None:
    batch_size = AdaptiveBatchSize(512)
    batch_size.observe(0, 3.0)
    assert batch_size.posts == 512
