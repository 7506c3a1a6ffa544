"""How large reads get."""

from stream_workers.consumer.adaptive_batch_size import LEAST, SECONDS, Pace


def test_a_read_is_what_the_model_gets_through_in_a_half_a_second() -> None:
    pace = Pace(512)
    assert pace.posts == 512
    for _ in range(30):
        pace.took(100, 0.5)
    assert pace.posts == 200 * SECONDS
    for _ in range(30):
        pace.took(100, 0.1)
    assert 490 <= pace.posts <= 500


def test_it_is_neither_more_than_was_set_nor_fewer_than_fill_a_row() -> None:
    pace = Pace(512)
    pace.took(1_000, 0.001)
    assert pace.posts == 512
    for _ in range(50):
        pace.took(1, 1.0)
    assert pace.posts == LEAST
    small = Pace(10)
    small.took(1, 1.0)
    assert small.posts == 10


def test_a_call_without_posts_tells_nothing() -> None:
    pace = Pace(512)
    pace.took(0, 3.0)
    assert pace.posts == 512
