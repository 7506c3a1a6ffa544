"""The network in torch: a BERT encoder, its heads, and the same heads again on an early layer."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from model.spec.heads import HEADS

EXIT_LAYER = 3
"""Number of layers before the early heads."""


class Heads(nn.Module):
    """The logits of every head from the states of one layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.ModuleDict(
            {head.name: nn.Linear(2 * width if head.reads == "mention" else width, width) for head in HEADS}
        )
        self.out = nn.ModuleDict({head.name: nn.Linear(width, len(head.labels)) for head in HEADS})
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, states: Tensor, places: Tensor) -> dict[str, Tensor]:
        """*states* (batch, length, width), *places* (mentions, 2): row and position of each marker.

        Returns (batch, labels) for each head that reads the post, (mentions, labels) for the one that reads mentions.
        """
        post = states[:, 0]
        about = torch.cat([states[places[:, 0], places[:, 1]], post[places[:, 0]]], dim=1)  # (mentions, 2 x width)
        return {
            head.name: self.out[head.name](
                torch.tanh(self.dense[head.name](about if head.reads == "mention" else post))
            )
            for head in HEADS
        }


class MultiHead(nn.Module):
    """The network that the recipes train. Tensors are named as in `model.checkpoints.multi_head`.

    An encoder with at most `EXIT_LAYER` layers has no early heads.
    """

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        self.bert = encoder
        self.heads = Heads(encoder.config.hidden_size)
        self.exit = Heads(encoder.config.hidden_size) if encoder.config.num_hidden_layers > EXIT_LAYER else None

    @classmethod
    def from_base(cls, base: str) -> "MultiHead":
        """With the encoder of the Hugging Face folder *base* and new heads."""
        encoder = BertModel.from_pretrained(
            base, add_pooling_layer=False, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        )
        return cls(encoder)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "MultiHead":
        """With random weights, to be replaced."""
        return cls(BertModel(BertConfig(**config), add_pooling_layer=False))

    def forward(self, ids: Tensor, mask: Tensor, places: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The logits of the full depth and of the exit layer (empty without early heads)."""
        found = self.bert(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        early = self.exit(found.hidden_states[EXIT_LAYER], places) if self.exit is not None else {}
        return self.heads(found.last_hidden_state, places), early
