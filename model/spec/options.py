"""Allowed values of the options that select a model and what it does."""

from typing import Literal

Engine = Literal["auto", "openvino", "torch", "keyword", "null"]

Precision = Literal["auto", "fp32", "bf16", "int8", "int8-onnxruntime"]
"""Of the openvino engine. `int8-onnxruntime` is for processors without int8 instructions: there onnxruntime needs half
the time of OpenVINO."""

ExitPolicy = Literal["auto", "early", "full"]
"""`early`: confident early heads give the final answer; `full`: never; `auto`: if the weights have exit thresholds."""

Task = Literal["sentiment", "target_sentiment", "emotion", "complaint", "crisis", "sarcasm"]
"""The task that the gold labels of a file belong to."""

TargetWords = Literal["auto", "keep", "drop"]
"""`keep`: the words of a target follow its marker (aspects); `drop`: the marker replaces them (brands)."""

ExportFormat = Literal["openvino", "onnx", "safetensors", "tensorrt"]

ExportPrecision = Literal["fp32", "fp16", "int8"]
"""Of an exported model; not every format supports every precision."""
