"""Posts of any length side by side in rows of a few lengths: hardly any padding, and few shapes.

Attention stays within a post, so what stands beside it in its row changes nothing. An engine that builds kernels for
each shape it meets (OpenVINO: 60 ms and some MB each) meets two dozen at most.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.inputs.token_batches import MAX_MARKERS, batch_sizes

Ints = npt.NDArray[np.int32]

BATCH_ROWS = 16
"""Of 64 tokens: a tenth faster than 8, since the weights are read half as often; 32 are no faster."""
LONG_ROWS = 8
"""Of longer ones, so that they are no larger: what a stream holds for its largest batch it never gives back."""
ROW_LENGTHS = (32, 64)
"""In tokens; longer posts get rows of the longest that a post may be, a lone short one a row of 32."""


_FEW_READS, _MANY_READS = 8, 1 + MAX_MARKERS
"""How many states of a row may be read: [CLS] tokens and markers together."""
_SIZE_STEP = 16
"""Numbers of posts and markers of a batch are rounded up to multiples of it."""


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Some posts, where they stand in the rows of a batch, and which states the heads read.

    The arrays' sizes are of a few kinds: what is not needed repeats a place that is.
    """

    posts: npt.NDArray[np.int64]
    """(posts,): their numbers, as given, in the order of their places."""
    tokens: npt.NDArray[np.int64]
    """Place of each of their tokens in the flattened rows, post by post."""
    positions: Ints
    """(rows, length): of each token within its post."""
    segments: Ints
    """(rows, length): number of the post in its row that a token belongs to; -1: none."""
    wanted: Ints
    """(rows, reads): places in each row whose states are read."""
    firsts: Ints
    """(posts or more,): where each post's [CLS] stands among the flattened `wanted`."""
    marks: Ints
    """(2, markers or more): likewise each marker, and the [CLS] of its post, post by post."""


def packed_batches(
    lengths: Sequence[int],
    places: Sequence[Sequence[int]],
    *,
    limit: int,
    lanes: int = 1,
    sizes: Callable[[int, int, int], list[int]] = batch_sizes,
) -> Iterator[PackedBatch]:
    """Posts of *lengths* tokens, at most *limit* each, with markers at *places*, in batches for *lanes* workers.

    Each post is in exactly one batch. *sizes*: how many rows each has, given all, the most and the lanes.
    """
    kinds: dict[tuple[int, int], list[list[int]]] = {}
    for length, row in _rows(lengths, places, limit):
        usual = sum(1 + len(places[post]) for post in row) <= _FEW_READS
        kinds.setdefault((length, _FEW_READS if usual else _MANY_READS), []).append(row)
    for (length, reads), rows in kinds.items():
        at = 0
        for size in sizes(len(rows), BATCH_ROWS if length <= ROW_LENGTHS[-1] else LONG_ROWS, lanes):
            yield _batch(rows[at : at + size], lengths, places, length=length, reads=reads)
            at += size


def _rows(lengths: Sequence[int], places: Sequence[Sequence[int]], limit: int) -> Iterator[tuple[int, list[int]]]:
    """(length of the row, its posts): the longest post that is left, then the longest that fits, until none does."""
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
    """For a row that begins with a post of *longest* of the *tokens* that are left."""
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
