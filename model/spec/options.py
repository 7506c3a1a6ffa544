"""What may be chosen when a classifier is loaded."""

from typing import Literal

Engine = Literal["auto", "openvino", "torch", "keyword", "null"]

Precision = Literal["auto", "fp32", "bf16", "int8", "int8-onnxruntime"]
"""Of the openvino engine. The last is for processors without instructions for bytes: onnxruntime multiplies these in
half of the time that OpenVINO takes there."""

ExitPolicy = Literal["auto", "early", "full"]
"""Whether the early heads settle the posts of which they are sure; auto: if the weights say when they are."""

Task = Literal["sentiment", "target_sentiment", "emotion", "complaint", "crisis", "sarcasm"]
"""What labelled rows are asked about."""

TargetWords = Literal["auto", "keep", "drop"]
"""Whether the words of a target stay behind its marker: aspects keep them, brands do not."""

ExportFormat = Literal["openvino", "onnx", "safetensors", "tensorrt"]

ExportPrecision = Literal["fp32", "fp16", "int8"]
"""Of an exported model; not every format offers each."""
