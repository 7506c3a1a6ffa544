"""Low-rank adapters with peft: a hundredth of the weights is trained; the result contains no adapters."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from brandpulse.errors import ConfigError
from model.graphs.torch_multihead import MultiHead
from model.training.fit.recipe import Lora


def add_adapters(model: MultiHead, settings: Lora) -> None:
    """Freezes the encoder of *model* and adds adapters to its dense layers; the heads stay trainable.

    Raises ConfigError if peft is not installed or no layer matches the names in *settings*.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError("The setting `lora` needs peft: pip install 'brandpulse[lora]'.") from error
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=list(settings.modules))
    try:
        inject_adapter_in_model(config, model.bert)
    except ValueError as error:
        raise ConfigError(f"lora.modules: {error}") from error
    for name, parameter in model.bert.named_parameters():
        parameter.requires_grad = ".lora_" in name


def merged_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights of *model* with each adapter merged into its layer, under the names before `add_adapters`."""
    from peft.tuners.lora import LoraLayer

    added: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            added[f"{name}.weight"] = cast(Any, module).get_delta_weight("default")
    plain = {
        name.replace(".base_layer", ""): tensor.detach()
        for name, tensor in model.state_dict().items()
        if ".lora_" not in name
    }
    with torch.no_grad():
        return {name: tensor + added[name] if name in added else tensor for name, tensor in plain.items()}


def count_weights(model: nn.Module) -> Mapping[str, int]:
    """The number of trained weights, and of all."""
    return {
        "trained": sum(each.numel() for each in model.parameters() if each.requires_grad),
        "all": sum(each.numel() for each in model.parameters()),
    }
