import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.checkpoints.whole_post import truncating_tokenizer
from model.inputs.token_batches import batch_sizes, even_sizes, token_batches
from model.spec.weights import WEIGHTS

TOKENIZER = truncating_tokenizer(WEIGHTS / "tokenizer.json", max_tokens=128)


@given(st.lists(st.integers(0, 200), max_size=40), st.sampled_from([1, 2, 8]), st.integers(8, 20))
def test_every_text_is_in_exactly_one_batch(words: list[int], batch_size: int, window: int) -> None:
    texts = ["good " * count for count in words]
    batches = list(token_batches(texts, TOKENIZER, batch_size=batch_size, window=window))
    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(texts)))
    for batch in batches:
        lengths = np.minimum([words[row] for row in batch.rows], 126) + 2  # [CLS] and [SEP]
        np.testing.assert_array_equal(batch.mask.sum(axis=1), lengths)
        assert len(batch.rows) <= batch_size


@given(st.integers(0, 300), st.sampled_from([1, 8, 32]), st.integers(1, 4))
def test_batch_sizes_are_powers_of_two_that_hold_every_post(posts: int, largest: int, streams: int) -> None:
    sizes = batch_sizes(posts, largest, streams)
    assert sum(sizes) == posts
    assert all(size <= largest and size & (size - 1) == 0 for size in sizes)


@pytest.mark.parametrize(
    ("posts", "sizes"), [(0, []), (1, [1]), (2, [1, 1]), (21, [8, 8, 4, 1]), (32, [16, 16]), (70, [32, 32, 4, 2])]
)
def test_few_posts_are_shared_between_two_streams(posts: int, sizes: list[int]) -> None:
    assert batch_sizes(posts, 32, 2) == sizes


def test_lengths_are_padded_to_few_sizes_and_truncated() -> None:
    batches = list(token_batches(["hi", "good " * 500], TOKENIZER, batch_size=1))
    assert [batch.ids.shape for batch in batches] == [(1, 8), (1, 128)]


def test_texts_of_like_length_share_a_batch() -> None:
    texts = ["hi", "good " * 60, "yo", "good " * 58]
    batches = list(token_batches(texts, TOKENIZER, batch_size=2))
    assert [sorted(batch.rows) for batch in batches] == [[0, 2], [1, 3]]


@given(st.integers(1, 3_000), st.sampled_from([8, 16]), st.integers(1, 9))
def test_even_sizes_differ_by_one_and_serve_all_streams(posts: int, largest: int, streams: int) -> None:
    sizes = even_sizes(posts, largest, streams)
    assert sum(sizes) == posts
    assert max(sizes) <= largest
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) % streams == 0 or sizes == [1] * posts


def test_no_rows_are_no_batches() -> None:
    assert even_sizes(0, 16, 2) == batch_sizes(0, 16, 2) == []
