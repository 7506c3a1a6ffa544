"""Measures the inputs of the encoder's dense layers, which int8 quantization needs."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from model.checkpoints.multi_head import HeadsCheckpoint
from model.checkpoints.tensor_files import Floats
from model.checkpoints.whole_post import WholePostCheckpoint
from model.cpu.openvino_core import openvino_core
from model.graphs.openvino_bert import Ranges, bert_graph
from model.graphs.openvino_multihead import multi_head_graph
from model.inputs.packed_batches import packed_batches
from model.inputs.target_marking import MarkedText
from model.inputs.token_batches import token_batches, tokenize_marked

SAMPLE = 320
"""Posts measured; the extremes hardly change after the first hundred."""


def activation_ranges(checkpoint: WholePostCheckpoint, texts: Sequence[str]) -> Ranges:
    """The smallest and largest input of each dense layer of the encoder on a sample of *texts*.

    One post at a time, because padding would count as text. The heads are not quantized: they cost nothing.
    """
    picked = texts[:: max(1, len(texts) // SAMPLE)]
    batches = token_batches(picked, checkpoint.tokenizer, batch_size=1)
    return _extremes(
        bert_graph(checkpoint, observe=True), (_without_padding(batch.ids, batch.mask) for batch in batches)
    )


def multi_head_ranges(checkpoint: HeadsCheckpoint, posts: Sequence[MarkedText]) -> Ranges:
    """As `activation_ranges`, for the model with many heads."""
    picked = posts[:: max(1, len(posts) // SAMPLE)]
    tokens = tokenize_marked(
        picked, checkpoint.tokenizer, marker=checkpoint.marker, max_tokens=checkpoint.manifest.max_tokens
    )
    one = [next(packed_batches([len(post.ids)], [post.places], limit=len(post.ids))) for post in tokens]
    inputs = (
        [np.array([post.ids], dtype=np.int32), batch.positions, batch.segments, batch.wanted, batch.firsts, batch.marks]
        for post, batch in zip(tokens, one, strict=True)
    )
    return _extremes(multi_head_graph(checkpoint, observe=True), inputs)


def _without_padding(ids: npt.NDArray[np.int32], mask: Floats) -> list[npt.NDArray[Any]]:
    """A batch of one without its padding."""
    length = int(mask.sum())
    return [ids[:, :length], mask[:, :length]]


def _extremes(graph: ov.Model, inputs: Iterable[Sequence[npt.NDArray[Any]]]) -> Ranges:
    names = [output.get_node().get_friendly_name() for output in graph.outputs]
    compiled = openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for arrays in inputs:
        seen = compiled(list(arrays))
        low = np.minimum(low, [seen[at].min() for at in range(len(names))])
        high = np.maximum(high, [seen[at].max() for at in range(len(names))])
    return {
        name: (round(float(least), 4), round(float(largest), 4))
        for name, least, largest in zip(names, low, high, strict=True)
        if name.startswith("bert.encoder.")
    }
