"""Measures what flows through the encoder, so that the int8 engine knows how far to reach."""

from collections.abc import Sequence

import numpy as np
import openvino as ov

from model.bert_graph import Ranges, bert_graph
from model.checkpoint import Checkpoint
from model.encoding import token_batches

SAMPLE = 320
"""Posts measured; the extremes hardly move after the first hundred."""


def activation_ranges(checkpoint: Checkpoint, texts: Sequence[str]) -> Ranges:
    """The least and largest value that entered each dense layer of the encoder on some of *texts*.

    Post by post, without padding, which would count as text. Pooler and classifier are left out: they cost nothing.
    """
    graph = bert_graph(checkpoint, observe=True)
    names = [output.get_node().get_friendly_name() for output in graph.outputs]
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for batch in token_batches(texts[:: max(1, len(texts) // SAMPLE)], checkpoint.tokenizer, batch_size=1):
        length = int(batch.mask.sum())
        seen = compiled({0: batch.ids[:, :length], 1: batch.mask[:, :length]})
        low = np.minimum(low, [seen[at].min() for at in range(len(names))])
        high = np.maximum(high, [seen[at].max() for at in range(len(names))])
    return {
        name: (round(float(least), 4), round(float(largest), 4))
        for name, least, largest in zip(names, low, high, strict=True)
        if name.startswith("bert.encoder.")
    }
