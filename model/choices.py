"""What may be chosen when a classifier is loaded."""

from typing import Literal

Engine = Literal["auto", "openvino", "torch", "keyword", "null"]

Precision = Literal["auto", "fp32", "bf16", "int8"]
"""Of the openvino engine."""
