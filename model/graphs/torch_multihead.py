"""The network in torch: a BERT or MPNet encoder, its heads, and the same heads again on an early layer."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, BertConfig, BertModel, MPNetConfig, MPNetModel, PretrainedConfig, PreTrainedModel

from model.spec.heads import HEADS, SENTIMENT, TARGET

EXIT_LAYER = 3
"""Number of layers before the early heads."""

ENCODERS: dict[str, tuple[type[PretrainedConfig], type[PreTrainedModel]]] = {
    "bert": (BertConfig, BertModel),
    "mpnet": (MPNetConfig, MPNetModel),
}
"""`model_type` of a config -> its classes. MPNet is for teachers: only torch runs it."""


class Heads(nn.Module):
    """The logits of every head from the states of one layer.

    With *from_sentiment* the target's logits are a sum: what the post says about the target, and the logits of the
    post's sentiment times `target_from_sentiment`. At the start that is the identity, so a target head that has learned
    nothing answers with the mood of the whole post.
    """

    def __init__(self, width: int, *, from_sentiment: bool = True) -> None:
        super().__init__()
        self.dense = nn.ModuleDict(
            {head.name: nn.Linear(2 * width if head.reads == "mention" else width, width) for head in HEADS}
        )
        self.out = nn.ModuleDict({head.name: nn.Linear(width, len(head.labels)) for head in HEADS})
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.target_from_sentiment: nn.Linear | None = None
        if from_sentiment:
            self.target_from_sentiment = nn.Linear(len(SENTIMENT), len(TARGET), bias=False)
            nn.init.eye_(self.target_from_sentiment.weight)

    def forward(self, states: Tensor, post: Tensor, places: Tensor) -> dict[str, Tensor]:
        """*states* (batch, length, width), *post* (batch, width), *places* (mentions, 2): row and position of a marker.

        Returns (batch, labels) for each head that reads the post, (mentions, labels) for the one that reads mentions.
        """
        about = torch.cat([states[places[:, 0], places[:, 1]], post[places[:, 0]]], dim=1)  # (mentions, 2 x width)
        logits = {
            head.name: self.out[head.name](
                torch.tanh(self.dense[head.name](about if head.reads == "mention" else post))
            )
            for head in HEADS
        }
        if self.target_from_sentiment is not None:
            logits["target"] = logits["target"] + self.target_from_sentiment(logits["sentiment"][places[:, 0]])
        return logits


class MultiHead(nn.Module):
    """The network that the recipes train. Tensors are named as in `model.checkpoints.multi_head`.

    An encoder with at most `EXIT_LAYER` layers has no early heads.
    """

    def __init__(self, encoder: PreTrainedModel, *, from_sentiment: bool = True) -> None:
        super().__init__()
        self.bert = encoder
        self.pooling = pooling_of(encoder.config.to_dict())
        width, layers = encoder.config.hidden_size, encoder.config.num_hidden_layers
        self.heads = Heads(width, from_sentiment=from_sentiment)
        self.exit = Heads(width, from_sentiment=from_sentiment) if layers > EXIT_LAYER else None

    @classmethod
    def from_base(cls, base: str, *, pooling: str = "first") -> "MultiHead":
        """With the encoder of the Hugging Face folder *base* and new heads. Raises ValueError for another encoder."""
        config = AutoConfig.from_pretrained(base)
        _, encoder = _classes(config.model_type)
        if pooling != "first":
            config.pooling = pooling
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        return cls(encoder.from_pretrained(base, config=config, add_pooling_layer=False))

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, from_sentiment: bool = True) -> "MultiHead":
        """With random weights, to be replaced; *from_sentiment* as in `Heads`."""
        of_config, encoder = _classes(config["model_type"])
        return cls(encoder(of_config(**config), add_pooling_layer=False), from_sentiment=from_sentiment)

    def forward(self, ids: Tensor, mask: Tensor, places: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The logits of the full depth and of the exit layer (empty without early heads)."""
        found = self.bert(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        early = self._answers(self.exit, found.hidden_states[EXIT_LAYER], mask, places) if self.exit is not None else {}
        return self._answers(self.heads, found.last_hidden_state, mask, places), early

    def _answers(self, heads: Heads, states: Tensor, mask: Tensor, places: Tensor) -> dict[str, Tensor]:
        post = states[:, 0]
        if self.pooling == "mean":
            weights = mask.unsqueeze(-1).to(states.dtype)
            post = (states * weights).sum(dim=1) / weights.sum(dim=1)
        answers: dict[str, Tensor] = heads(states, post, places)
        return answers


def pooling_of(config: Mapping[str, Any]) -> str:
    """The state that heads for whole posts read: of the `first` token (the default), or the `mean` of all tokens."""
    return str(config.get("pooling", "first"))


def _classes(model_type: str) -> tuple[type[PretrainedConfig], type[PreTrainedModel]]:
    if model_type not in ENCODERS:
        raise ValueError(f"config.json: model_type {model_type!r}, expected one of {', '.join(ENCODERS)}")
    return ENCODERS[model_type]
