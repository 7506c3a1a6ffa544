"""Engines with the shipped weights, each loaded once for the whole run."""

from tests.support.model.engines import _own_cache, classifier, openvino, torch_engine

__all__ = ["_own_cache", "classifier", "openvino", "torch_engine"]
