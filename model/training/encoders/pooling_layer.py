"""An additional layer through which the first token reads the mean of all tokens.

Sentence encoders are trained on the mean of their states, but the heads read the first token, whose state means little
there. With this layer they read the mean from the first training step on, and no engine needs another graph. It is
cheap: a last layer is computed only for the states that are read.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import BertModel

MEAN_SHARE = 3.0
"""Weight of the mean, against 1 for the token's own state. Both are normalized afterwards."""


def add_pooling_layer(encoder: "BertModel", *, seed: int = 0) -> None:
    """Appends a layer to *encoder*: state + `MEAN_SHARE` * mean of all states, normalized as in the layer below it.

    It can be trained like the others: only one factor of each zero product is zero, so that gradients reach both.
    """
    import torch
    from torch import nn
    from transformers.models.bert.modeling_bert import BertLayer

    generator = torch.Generator().manual_seed(seed)
    layer = BertLayer(encoder.config)
    attention, width = layer.attention, encoder.config.hidden_size
    with torch.no_grad():
        for dense in (module for module in layer.modules() if isinstance(module, nn.Linear)):
            dense.weight.normal_(std=0.02, generator=generator)
            dense.bias.zero_()
        attention.self.key.weight.zero_()  # equal attention to every token
        attention.self.value.weight.copy_(torch.eye(width))
        attention.output.dense.weight.copy_(MEAN_SHARE * torch.eye(width))
        layer.output.dense.weight.zero_()
    encoder.encoder.layer.append(layer)
    encoder.config.num_hidden_layers += 1
