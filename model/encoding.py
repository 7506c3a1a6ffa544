"""Posts into padded batches of token ids, the same way for every engine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from model.normalise import normalise

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LENGTHS = (8, 16, 24, 32, 40, 48, 56, 64, 96, 128)
"""What posts are padded to, in tokens. OpenVINO builds kernels for each (batch, length) it meets and keeps them: 60 ms
and some MB each. With every length and batch size the memory of a soak grew from 250 to 800 MB in 200 calls."""


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Some posts of one call, of similar length."""

    rows: list[int]
    """Where each post stood among the texts."""
    ids: npt.NDArray[np.int32]
    """(batch, length), padded with 0."""
    mask: npt.NDArray[np.float32]
    """(batch, length), 1 where there is a token."""


def token_batches(
    texts: Sequence[str], tokenizer: "Tokenizer", *, batch_size: int, lanes: int = 1, window: int = 1024
) -> Iterator[TokenBatch]:
    """*texts* normalised, tokenised, sorted by length within each *window* and cut into batches for *lanes* workers.

    Each text is in exactly one batch of at most *batch_size* posts, itself a power of two. Sorting is worth 1.4 times
    the speed; the window bounds what a huge call holds in memory.
    """
    for start in range(0, len(texts), window):
        encodings = tokenizer.encode_batch_fast([normalise(text) for text in texts[start : start + window]])
        tokens = [encoding.ids for encoding in encodings]
        order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        at = 0
        for size in batch_sizes(len(order), batch_size, lanes):
            rows = order[at : at + size]
            at += size
            yield _padded([start + row for row in rows], [tokens[row] for row in rows])


def batch_sizes(posts: int, largest: int, lanes: int) -> list[int]:
    """Powers of two, at most *largest*, that sum to *posts*, so small that each lane gets a share where posts are few.

    Powers of two keep the number of shapes small without computing rows of padding: 21 posts in 2 lanes are 8, 8, 4, 1.
    """
    while largest > 1 and largest * lanes > posts:
        largest //= 2
    sizes = []
    while posts:
        while largest > posts:
            largest //= 2
        sizes.append(largest)
        posts -= largest
    return sizes


def _padded(rows: list[int], tokens: list[list[int]]) -> TokenBatch:
    longest = max(map(len, tokens))
    length = next((length for length in LENGTHS if length >= longest), longest)
    ids = np.zeros((len(tokens), length), dtype=np.int32)
    mask = np.zeros((len(tokens), length), dtype=np.float32)
    for row, post in enumerate(tokens):
        ids[row, : len(post)] = post
        mask[row, : len(post)] = 1.0
    return TokenBatch(rows, ids, mask)
