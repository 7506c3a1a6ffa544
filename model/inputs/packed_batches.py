"""Packs posts of any length into rows of a few lengths: little padding, and few shapes.

Attention is limited to a post, so its neighbours in a row do not change its scores. OpenVINO builds kernels for each
shape (60 ms and some MB each); packing produces two dozen shapes at most.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.inputs.token_batches import MAX_MARKERS, batch_sizes

Ints = npt.NDArray[np.int32]

BATCH_ROWS = 16
"""Rows of up to 64 tokens per batch: a tenth faster than 8, because weights are read half as often; 32 is no faster."""
LONG_ROWS = 8
"""Longer rows per batch; fewer, because a stream never releases the memory of its largest batch."""
ROW_LENGTHS = (32, 64)
"""In tokens. Longer posts get rows of the maximum length; a last short one gets a row of 32."""


_FEW_READS, _MANY_READS = 8, 1 + MAX_MARKERS
"""Maximum number of states read per row: [CLS] tokens and markers together."""
_SIZE_STEP = 16
"""The numbers of posts and markers of a batch are rounded up to multiples of it."""


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Posts packed into rows, and the states that the heads read.

    Array sizes are rounded up, so that few shapes exist; surplus entries repeat index 0.
    """

    posts: npt.NDArray[np.int64]
    """(posts,): indexes of the posts, in packing order."""
    tokens: npt.NDArray[np.int64]
    """Index of each token in the flattened rows, post by post."""
    positions: Ints
    """(rows, length): position of each token within its post."""
    segments: Ints
    """(rows, length): number of the token's post within the row; -1: padding."""
    wanted: Ints
    """(rows, reads): positions in each row whose states are read."""
    firsts: Ints
    """(posts or more,): index of each post's [CLS] in the flattened `wanted`."""
    marks: Ints
    """(2, markers or more): index of each marker, and of the [CLS] of its post, post by post."""


def packed_batches(
    lengths: Sequence[int],
    places: Sequence[Sequence[int]],
    *,
    limit: int,
    streams: int = 1,
    sizes: Callable[[int, int, int], list[int]] = batch_sizes,
) -> Iterator[PackedBatch]:
    """Packs posts of *lengths* tokens (at most *limit*), with markers at *places*, into batches for *streams* streams.

    Each post is in exactly one batch. *sizes* returns the rows of each batch from all rows, the maximum and *streams*.
    """
    kinds: dict[tuple[int, int], list[list[int]]] = {}
    for length, row in _rows(lengths, places, limit):
        usual = sum(1 + len(places[post]) for post in row) <= _FEW_READS
        kinds.setdefault((length, _FEW_READS if usual else _MANY_READS), []).append(row)
    for (length, reads), rows in kinds.items():
        at = 0
        for size in sizes(len(rows), BATCH_ROWS if length <= ROW_LENGTHS[-1] else LONG_ROWS, streams):
            yield _batch(rows[at : at + size], lengths, places, length=length, reads=reads)
            at += size


def _rows(lengths: Sequence[int], places: Sequence[Sequence[int]], limit: int) -> Iterator[tuple[int, list[int]]]:
    """(length of the row, its posts): the longest remaining post, then the longest that fits, until none fits."""
    waiting: list[list[int]] = [[] for _ in range(limit + 1)]
    for post, length in enumerate(lengths):
        waiting[length].append(post)
    tokens = sum(lengths)
    longest = limit
    while tokens:
        while not waiting[longest]:
            longest -= 1
        row: list[int] = []
        size = room = _row_length(longest, tokens, limit)
        reads = _MANY_READS
        at = longest
        while at:
            bucket = waiting[at]
            if bucket and 1 + len(places[bucket[-1]]) <= reads:
                post = bucket.pop()
                row.append(post)
                room -= at
                reads -= 1 + len(places[post])
                at = min(at, room)
            else:
                at -= 1
        tokens -= size - room
        yield size, row


def _row_length(longest: int, tokens: int, limit: int) -> int:
    """Length of a row whose first post has *longest* tokens; *tokens* remain in total."""
    short, usual = (min(length, limit) for length in ROW_LENGTHS)
    if tokens <= short:
        return short
    return usual if longest <= usual else limit


def _batch(
    rows: Sequence[Sequence[int]],
    lengths: Sequence[int],
    places: Sequence[Sequence[int]],
    *,
    length: int,
    reads: int,
) -> PackedBatch:
    posts, starts, wanted, firsts = [], [], np.zeros((len(rows), reads), dtype=np.int32), []
    marks: tuple[list[int], list[int]] = ([], [])
    in_row: list[int] = []
    for number, row in enumerate(rows):
        at, slot = 0, 0
        for place, post in enumerate(row):
            read = [at, *(at + marker for marker in places[post])]
            wanted[number, slot : slot + len(read)] = read
            first = number * reads + slot
            firsts.append(first)
            marks[0].extend(range(first + 1, first + len(read)))
            marks[1].extend([first] * (len(read) - 1))
            posts.append(post)
            starts.append(number * length + at)
            in_row.append(place)
            at += lengths[post]
            slot += len(read)
    sizes = np.array([lengths[post] for post in posts], dtype=np.int64)
    within = _offsets(sizes)
    tokens = np.repeat(np.array(starts, dtype=np.int64), sizes) + within
    positions = np.zeros((len(rows), length), dtype=np.int32)
    segments = np.full((len(rows), length), -1, dtype=np.int32)
    positions.reshape(-1)[tokens] = within
    segments.reshape(-1)[tokens] = np.repeat(in_row, sizes)
    return PackedBatch(
        np.array(posts, dtype=np.int64),
        tokens,
        positions,
        segments,
        wanted,
        _padded(firsts),
        np.stack([_padded(part) for part in marks]),
    )


def _padded(numbers: Sequence[int]) -> Ints:
    found = np.zeros(max(1, -(-len(numbers) // _SIZE_STEP)) * _SIZE_STEP, dtype=np.int32)
    found[: len(numbers)] = numbers
    return found


def _offsets(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """0, 1, …, sizes[0] - 1, 0, 1, …"""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
