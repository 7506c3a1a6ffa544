import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.inputs.packed_batches import PackedBatch, packed_batches
from model.inputs.token_batches import MAX_MARKERS

LIMIT = 96
POSTS = st.lists(
    st.integers(2, LIMIT).flatmap(
        lambda length: st.tuples(
            st.just(length), st.lists(st.integers(1, length - 1), max_size=MAX_MARKERS, unique=True).map(sorted)
        )
    ),
    max_size=60,
)


def packed(posts: list[tuple[int, list[int]]], streams: int = 1) -> list[PackedBatch]:
    return list(
        packed_batches([length for length, _ in posts], [places for _, places in posts], limit=LIMIT, streams=streams)
    )


@given(POSTS, st.integers(1, 3))
def test_every_post_is_in_one_batch_and_keeps_its_tokens_in_order(
    posts: list[tuple[int, list[int]]], streams: int
) -> None:
    batches = packed(posts, streams)
    assert sorted(post for batch in batches for post in batch.posts.tolist()) == list(range(len(posts)))
    for batch in batches:
        assert len(set(batch.tokens.tolist())) == len(batch.tokens)
        positions, segments = batch.positions.reshape(-1)[batch.tokens], batch.segments.reshape(-1)[batch.tokens]
        at = 0
        for post in batch.posts.tolist():
            length = posts[post][0]
            np.testing.assert_array_equal(positions[at : at + length], np.arange(length))
            rows = batch.tokens[at : at + length] // batch.positions.shape[1]
            assert len(set(rows.tolist())) == len(set(segments[at : at + length].tolist())) == 1
            at += length
        assert (batch.segments >= 0).sum() == at


@given(POSTS)
def test_posts_in_one_row_have_their_own_segments(posts: list[tuple[int, list[int]]]) -> None:
    for batch in packed(posts):
        for row in batch.segments:
            sizes = np.bincount(row[row >= 0]).tolist()
            assert all(sizes)
        assert len(batch.posts) == sum(len(set(row[row >= 0].tolist())) for row in batch.segments)


@given(POSTS)
def test_the_heads_read_the_first_token_and_the_markers_of_each_post(posts: list[tuple[int, list[int]]]) -> None:
    for batch in packed(posts):
        length = batch.positions.shape[1]
        read = (batch.wanted + length * np.arange(len(batch.wanted))[:, None]).reshape(-1)  # indexes in flattened rows
        starts = np.cumsum([0, *(posts[post][0] for post in batch.posts)])
        mark = 0
        for at, post in enumerate(batch.posts.tolist()):
            tokens = batch.tokens[starts[at] : starts[at + 1]]
            assert read[batch.firsts[at]] == tokens[0]
            for place in posts[post][1]:
                assert read[batch.marks[0, mark]] == tokens[place]
                assert read[batch.marks[1, mark]] == tokens[0]
                mark += 1


@given(st.lists(POSTS, min_size=1, max_size=4))
def test_all_kinds_of_calls_use_few_shapes(calls: list[list[tuple[int, list[int]]]]) -> None:
    for batch in (batch for call in calls for batch in packed(call, streams=2)):
        rows, length = batch.positions.shape
        assert length in (32, 64, LIMIT)
        assert rows in (1, 2, 4, 8, 16)
        assert batch.wanted.shape[1] in (8, 32)
        assert len(batch.firsts) % 16 == batch.marks.shape[1] % 16 == 0


def test_rows_are_filled() -> None:
    generator = np.random.default_rng(13)
    posts = [(int(length), [1]) for length in generator.integers(8, 60, 500)]
    room = sum(batch.positions.size for batch in packed(posts))
    assert room < 1.08 * sum(length for length, _ in posts)


def test_a_lone_short_post_is_not_padded_to_a_long_row() -> None:
    assert [batch.positions.shape for batch in packed([(20, [])])] == [(1, 32)]
