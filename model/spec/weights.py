"""The weights folders that ship with the package."""

from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "weights"

WEIGHTS = _FOLDER / "minilm-brand"
"""The default: all heads."""

MULTILINGUAL_WEIGHTS = _FOLDER / "minilm-multilingual"
"""For the languages that its manifest declares, beside the default."""

WHOLE_POST_WEIGHTS = _FOLDER / "minilm-sentiment"
"""The first model, for comparison: the sentiment of whole posts only."""

MULTI_HEAD = "multi-head"
WHOLE_POST = "whole-post"
"""The default kind: manifests of `model.checkpoints.whole_post` have no field `kind`."""
