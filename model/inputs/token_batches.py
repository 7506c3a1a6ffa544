"""Posts into padded batches of token ids, the same way for every engine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from brandpulse.text.normalization import normalize
from model.inputs.target_marking import MarkedText

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
        encodings = tokenizer.encode_batch_fast([normalize(text) for text in texts[start : start + window]])
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


def even_sizes(posts: int, largest: int, lanes: int) -> list[int]:
    """As `batch_sizes`, for engines that no shape costs anything: few, as many for each lane, nearly of a size."""
    batches = min(posts, lanes * -(-posts // (largest * lanes)))
    return [posts // batches + (at < posts % batches) for at in range(batches)]


def _padded(rows: list[int], tokens: list[list[int]]) -> TokenBatch:
    longest = max(map(len, tokens))
    length = next((length for length in LENGTHS if length >= longest), longest)
    ids = np.zeros((len(tokens), length), dtype=np.int32)
    mask = np.zeros((len(tokens), length), dtype=np.float32)
    for row, post in enumerate(tokens):
        ids[row, : len(post)] = post
        mask[row, : len(post)] = 1.0
    return TokenBatch(rows, ids, mask)


MAX_MARKERS = 31
"""Of one post; those that come later are not read."""


@dataclass(frozen=True, slots=True)
class MarkedTokens:
    """One marked post as the encoder reads it."""

    ids: list[int]
    """[CLS] first, [SEP] last."""
    places: tuple[int, ...]
    """Where each marker that is left stands in `ids`."""
    skipped: int = 0
    """How many markers of the post stand before these; others may have been cut off behind them."""


@dataclass(frozen=True, slots=True)
class MarkedBatch:
    """Some marked posts of one call, of similar length."""

    rows: list[int]
    """Where each post stood among the posts."""
    ids: npt.NDArray[np.int32]
    """(batch, length), padded with 0."""
    mask: npt.NDArray[np.float32]
    """(batch, length), 1 where there is a token."""
    wanted: npt.NDArray[np.int32]
    """(batch, 1 + markers): the positions whose states are read: [CLS]'s, then each marker's, padded with 0."""


def tokenize_marked(
    posts: Sequence[MarkedText], tokenizer: "Tokenizer", *, marker: int, max_tokens: int
) -> list[MarkedTokens]:
    """*posts* as tokens, at most *max_tokens* each; *tokenizer* must not cut. *marker* is the marker's token.

    Of a post's markers the first `MAX_MARKERS` are read.
    """
    found = []
    encodings = tokenizer.encode_batch_fast([post.text for post in posts])
    for post, encoding in zip(posts, encodings, strict=True):
        ids: list[int] = encoding.ids
        skipped = 0
        if len(ids) > max_tokens:
            skipped = ids[: window_start(ids, marker, max_tokens)].count(marker)
            ids = token_window(ids, marker, max_tokens)
        places = [at for at, token in enumerate(ids) if token == marker] if post.mentions else ()
        found.append(MarkedTokens(ids, tuple(places[:MAX_MARKERS]), skipped))
    return found


def window_start(ids: Sequence[int], marker: int, max_tokens: int) -> int:
    """Where the window of a post that is too long begins (behind [CLS]): at 1, or a bit before the first marker."""
    if len(ids) <= max_tokens or marker not in ids:
        return 1
    first = ids.index(marker)
    return 1 if first < max_tokens - 1 else min(first - max_tokens // 2, len(ids) - max_tokens + 1)


def token_window(ids: Sequence[int], marker: int, max_tokens: int) -> list[int]:
    """At most *max_tokens* of *ids*, [CLS] first and [SEP] last, and the first marker among them."""
    start = window_start(ids, marker, max_tokens)
    return [ids[0], *ids[start:-1][: max_tokens - 2], ids[-1]]


def marked_batches(posts: Sequence[MarkedTokens], *, batch_size: int, lanes: int = 1) -> Iterator[MarkedBatch]:
    """*posts* sorted by length and cut into batches for *lanes* workers, each post in exactly one of them."""
    order = sorted(range(len(posts)), key=lambda row: len(posts[row].ids))
    at = 0
    for size in batch_sizes(len(order), batch_size, lanes):
        rows = order[at : at + size]
        at += size
        padded = _padded(rows, [posts[row].ids for row in rows])
        markers = max(len(posts[row].places) for row in rows)
        wanted = np.zeros((size, 1 + _rounded_up(markers)), dtype=np.int32)
        for place, row in enumerate(rows):
            wanted[place, 1 : 1 + len(posts[row].places)] = posts[row].places
        yield MarkedBatch(rows, padded.ids, padded.mask, wanted)


def _rounded_up(markers: int) -> int:
    """*markers* or somewhat more: 1, 2, 4, 8, …, for each shape costs the engine memory."""
    return 1 << max(0, markers - 1).bit_length()
