"""Turns posts into padded batches of token ids, in the same way for every engine."""

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
"""Padded lengths, in tokens. OpenVINO builds and keeps kernels for each (batch, length): 60 ms and some MB each. With
arbitrary lengths and batch sizes memory grew from 250 to 800 MB in 200 calls of a soak test."""


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Posts of one call with similar lengths."""

    rows: list[int]
    """Index of each post among the texts."""
    ids: npt.NDArray[np.int32]
    """(batch, length), padded with 0."""
    mask: npt.NDArray[np.float32]
    """(batch, length), 1 for tokens, 0 for padding."""


def token_batches(
    texts: Sequence[str], tokenizer: "Tokenizer", *, batch_size: int, streams: int = 1, window: int = 1024
) -> Iterator[TokenBatch]:
    """*texts* normalized, tokenized, sorted by length within each *window*, and split into batches for *streams*.

    Each text is in exactly one batch of at most *batch_size* posts (a power of two). Sorting makes scoring 1.4 times as
    fast; the window limits the memory of a large call.
    """
    for start in range(0, len(texts), window):
        encodings = tokenizer.encode_batch_fast([normalize(text) for text in texts[start : start + window]])
        tokens = [encoding.ids for encoding in encodings]
        order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        at = 0
        for size in batch_sizes(len(order), batch_size, streams):
            rows = order[at : at + size]
            at += size
            yield _padded([start + row for row in rows], [tokens[row] for row in rows])


def batch_sizes(posts: int, largest: int, streams: int) -> list[int]:
    """Powers of two, at most *largest*, that sum to *posts*; small enough to give work to every stream.

    Powers of two keep the number of shapes small without rows of padding: 21 posts in 2 streams are 8, 8, 4, 1.
    """
    while largest > 1 and largest * streams > posts:
        largest //= 2
    sizes = []
    while posts:
        while largest > posts:
            largest //= 2
        sizes.append(largest)
        posts -= largest
    return sizes


def even_sizes(posts: int, largest: int, streams: int) -> list[int]:
    """As `batch_sizes`, for engines without a cost per shape: few batches of nearly equal size, the same per stream."""
    batches = min(posts, streams * -(-posts // (largest * streams)))
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
"""Maximum number of markers read per post; later ones are ignored."""


@dataclass(frozen=True, slots=True)
class MarkedTokens:
    """One marked post as the encoder reads it."""

    ids: list[int]
    """[CLS] first, [SEP] last."""
    places: tuple[int, ...]
    """Position of each remaining marker in `ids`."""
    skipped: int = 0
    """Number of markers truncated before these; others may be truncated after them."""


@dataclass(frozen=True, slots=True)
class MarkedBatch:
    """Marked posts of one call with similar lengths."""

    rows: list[int]
    """Index of each post among the posts of the call."""
    ids: npt.NDArray[np.int32]
    """(batch, length), padded with 0."""
    mask: npt.NDArray[np.float32]
    """(batch, length), 1 for tokens, 0 for padding."""
    wanted: npt.NDArray[np.int32]
    """(batch, 1 + markers): positions whose states are read: [CLS], then each marker; padded with 0."""


def tokenize_marked(
    posts: Sequence[MarkedText], tokenizer: "Tokenizer", *, marker: int, max_tokens: int
) -> list[MarkedTokens]:
    """*posts* as tokens, at most *max_tokens* each; *tokenizer* must not truncate. *marker* is the marker's token.

    The first `MAX_MARKERS` markers of a post are read.
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
    """Start of the window of a long post (after [CLS]): 1, or a position shortly before the first marker."""
    if len(ids) <= max_tokens or marker not in ids:
        return 1
    first = ids.index(marker)
    return 1 if first < max_tokens - 1 else min(first - max_tokens // 2, len(ids) - max_tokens + 1)


def token_window(ids: Sequence[int], marker: int, max_tokens: int) -> list[int]:
    """At most *max_tokens* of *ids*: [CLS] first, [SEP] last, the first marker included."""
    start = window_start(ids, marker, max_tokens)
    return [ids[0], *ids[start:-1][: max_tokens - 2], ids[-1]]


def marked_batches(posts: Sequence[MarkedTokens], *, batch_size: int, streams: int = 1) -> Iterator[MarkedBatch]:
    """*posts* sorted by length and split into batches for *streams* streams; each post is in exactly one batch."""
    order = sorted(range(len(posts)), key=lambda row: len(posts[row].ids))
    at = 0
    for size in batch_sizes(len(order), batch_size, streams):
        rows = order[at : at + size]
        at += size
        padded = _padded(rows, [posts[row].ids for row in rows])
        markers = max(len(posts[row].places) for row in rows)
        wanted = np.zeros((size, 1 + _rounded_up(markers)), dtype=np.int32)
        for place, row in enumerate(rows):
            wanted[place, 1 : 1 + len(posts[row].places)] = posts[row].places
        yield MarkedBatch(rows, padded.ids, padded.mask, wanted)


def _rounded_up(markers: int) -> int:
    """*markers* rounded up to a power of two, because each shape costs memory."""
    return 1 << max(0, markers - 1).bit_length()
