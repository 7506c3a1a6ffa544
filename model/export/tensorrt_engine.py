"""Builds a TensorRT engine from the ONNX graph for the GPU of this machine, and runs it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import HeadsCheckpoint
from model.graphs.onnx_padded import padded_onnx_model
from model.inference.logits_decoder import Floats
from model.inference.padded_scoring import MarkerPositions
from model.inputs.token_batches import MarkedBatch
from model.spec.heads import HEADS

_MOST_POSTS = 256


def build_engine(checkpoint: HeadsCheckpoint, *, halves: bool) -> bytes:
    """The serialized engine, for 1 to 256 posts of up to `max_tokens` tokens. Raises ConfigError if TensorRT fails."""
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(padded_onnx_model(checkpoint).SerializeToString()):
        raise ConfigError(f"TensorRT {trt.__version__} cannot read the graph: {parser.get_error(0)}")
    config = builder.create_builder_config()
    if halves:
        config.set_flag(trt.BuilderFlag.FP16)
    longest = checkpoint.manifest.max_tokens
    profile = builder.create_optimization_profile()
    for name in ("ids", "mask"):
        profile.set_shape(name, (1, 2), (64, 32), (_MOST_POSTS, longest))
    profile.set_shape("places", (1, 2), (64, 2), (_MOST_POSTS * 32, 2))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ConfigError(f"TensorRT {trt.__version__} could not build an engine from the graph.")
    return bytes(plan)


def engine_function(path: Path) -> Callable[[MarkedBatch, MarkerPositions], dict[str, Floats]]:
    """The engine in *path* as a function from a padded batch to the logits of each head."""
    import tensorrt as trt
    import torch

    engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(path.read_bytes())
    context: Any = engine.create_execution_context()

    def logits(batch: MarkedBatch, places: MarkerPositions) -> dict[str, Floats]:
        given = {
            "ids": torch.from_numpy(batch.ids).long(),
            "mask": torch.from_numpy(batch.mask).long(),
            "places": torch.from_numpy(places),
        }
        tensors = {name: tensor.cuda().contiguous() for name, tensor in given.items()}
        for name, tensor in tensors.items():
            context.set_input_shape(name, tuple(tensor.shape))
        for head in HEADS:
            tensors[head.name] = torch.empty(tuple(context.get_tensor_shape(head.name)), device="cuda")
        for name, tensor in tensors.items():
            context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.current_stream()
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return {head.name: tensors[head.name].float().cpu().numpy() for head in HEADS}

    return logits
