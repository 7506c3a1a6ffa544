"""Tokenizes labelled posts and forms the batches of an epoch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from brandpulse.text.normalization import MARKER
from model.data.training_examples import Example
from model.inputs.token_batches import token_window, window_start

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

Row = TypeVar("Row")
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as the network reads it."""

    ids: Ids
    """[CLS] first, [SEP] last."""
    places: tuple[int, ...]
    """Position of each marker."""
    numbers: tuple[int, ...]
    """Index of the target of each marker, within the example."""
    mentions: tuple[int, ...]
    """For each marker the column of its target's label in the head `target`, or -1 (unknown)."""
    gold: Mapping[str, tuple[float, ...] | int]
    """See `model.data.training_examples.Example`."""
    absent: frozenset[int] = frozenset()
    """Indexes of targets that the text does not name."""
    skipped: int = 0
    """Number of markers before the tokens that were kept."""
    answer: int = -1
    """Place of a teacher's stored answers for the text; -1: none."""


def encode_examples(
    examples: Sequence[Example], tokenizer: "Tokenizer", max_tokens: int, answer_of: Callable[[str], int] | None = None
) -> list[Encoded]:
    """*examples* as tokens. *tokenizer* must have the marker and must neither truncate nor pad.

    *answer_of* is the place of a teacher's stored answers for a text.
    """
    marker = tokenizer.token_to_id(MARKER)
    if marker is None or tokenizer.padding is not None or tokenizer.truncation is not None:
        raise ValueError("expected a tokenizer that has the marker and neither truncates nor pads")
    encodings = tokenizer.encode_batch_fast([example.marked.text for example in examples])
    return [
        _encoded(example, found.ids, marker, max_tokens, answer_of(example.marked.text) if answer_of else -1)
        for example, found in zip(examples, encodings, strict=True)
    ]


def _encoded(example: Example, ids: list[int], marker: int, max_tokens: int, answer: int) -> Encoded:
    skipped = ids[: window_start(ids, marker, max_tokens)].count(marker)
    ids = token_window(ids, marker, max_tokens) if len(ids) > max_tokens else ids
    places = tuple(at for at, token in enumerate(ids) if token == marker)
    numbers = example.marked.mentions[skipped : skipped + len(places)]
    mentions = tuple(example.mentions[number] if example.mentions else -1 for number in numbers)
    return Encoded(
        np.array(ids, dtype=np.int32),
        places,
        numbers,
        mentions,
        example.gold,
        example.marked.absent,
        skipped=skipped,
        answer=answer,
    )


def token_ids(texts: Sequence[str], tokenizer: "Tokenizer", max_tokens: int) -> list[Ids]:
    """The tokens of each of the normalized *texts*; [SEP] stays last in truncated ones."""
    found = [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]
    return [
        np.array(ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]], dtype=np.int32) for ids in found
    ]


def bucketed_batches(
    rows: Sequence[Row], lengths: Sequence[int], *, size: int, span: int, generator: np.random.Generator
) -> list[list[Row]]:
    """*rows* in random batches of at most *size* rows with similar lengths.

    Sorting within buckets of *span* batches keeps padding small; batches still differ between epochs.
    """
    order = generator.permutation(len(rows))
    batches: list[list[Row]] = []
    for start in range(0, len(order), size * span):
        bucket = sorted(order[start : start + size * span].tolist(), key=lengths.__getitem__)
        batches += [[rows[at] for at in bucket[first : first + size]] for first in range(0, len(bucket), size)]
    return [batches[at] for at in generator.permutation(len(batches)).tolist()]


def pad_tokens(ids: Sequence[Ids]) -> "tuple[torch.Tensor, torch.Tensor]":
    """Token ids, padded with 0, and their mask: (batch, length) each, the length a multiple of 8."""
    import torch

    # Few shapes: oneDNN builds kernels for each one, which took longer than the steps themselves.
    length = -(-max(map(len, ids)) // 8) * 8
    table = np.zeros((len(ids), length), dtype=np.int64)
    mask = np.zeros((len(ids), length), dtype=np.int64)
    for row, post in enumerate(ids):
        table[row, : len(post)] = post
        mask[row, : len(post)] = 1
    return torch.from_numpy(table), torch.from_numpy(mask)


def collate(batch: Sequence[Encoded]) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """Ids and mask (batch, length), and the row and position of each marker (mentions, 2)."""
    import torch

    places = [(at, place) for at, row in enumerate(batch) for place in row.places]
    return *pad_tokens([row.ids for row in batch]), torch.tensor(places, dtype=torch.long).reshape(-1, 2)
