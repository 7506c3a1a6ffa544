"""Chooses and loads an engine."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from brandpulse.errors import ConfigError
from model.choices import Engine, Precision, Tiers

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.engine import Classifier, Scorer

WEIGHTS = Path(__file__).parent / "weights" / "minilm-sentiment"
"""The weights shipped with the service."""


def load_classifier(
    engine: Engine = "auto", weights: Path | None = None, threads: int | None = None, *, precision: Precision = "auto"
) -> "Classifier":
    """A ready classifier; `auto` is torch where it sees a CUDA device, else openvino.

    *weights* defaults to the shipped ones, *threads* to all cores this process may use, *precision* (openvino only) to
    the faster of fp32 and bf16 here. Raises ConfigError naming the
    path when the weights are missing or damaged, or the package when the engine is not installed.
    """
    # Every import stands where it is needed: a command that only shows its help must not wait for numpy.
    if engine == "keyword":
        from model.keyword import KeywordClassifier

        return KeywordClassifier()
    if engine == "null":
        from model.keyword import NullClassifier

        return NullClassifier()
    folder = weights or WEIGHTS
    if engine == "torch" or (engine == "auto" and _cuda_is_there()):
        return _torch(folder, threads)
    if engine in ("auto", "openvino"):
        from model.openvino_engine import OpenVinoClassifier

        return OpenVinoClassifier(folder, threads=threads, precision=precision)
    raise _unknown(engine)


def load_scorer(
    engine: Engine = "auto",
    weights: Path | None = None,
    threads: int | None = None,
    *,
    precision: Precision = "auto",
    tiers: Tiers = "auto",
    hurry: "Callable[[], bool] | None" = None,
) -> "Scorer":
    """A ready scorer of marked posts; the first arguments and errors are those of `load_classifier`.

    *tiers* and *hurry* are of the openvino engine. *hurry* is asked at each call: while it says yes, posts in doubt
    keep the early heads' answer (`Scores.hurried`). Weights of the older kind, and the engines without a network, judge
    whole posts: their scorer has the heads `sentiment` and `target` alone, and no target is irrelevant unless the post
    does not name it.
    """
    from model.classifier_scorer import ClassifierScorer
    from model.heads_checkpoint import KIND, kind_of

    folder = weights or WEIGHTS
    if engine in ("keyword", "null") or kind_of(folder) != KIND:
        return ClassifierScorer(load_classifier(engine, weights, threads, precision=precision))
    if engine == "torch" or (engine == "auto" and _cuda_is_there()):
        _check_torch()
        from model.torch_scorer import TorchScorer

        return TorchScorer(folder, threads=threads)
    if engine in ("auto", "openvino"):
        from model.openvino_scorer import OpenVinoScorer

        return OpenVinoScorer(folder, threads=threads, precision=precision, tiers=tiers, hurry=hurry)
    raise _unknown(engine)


def torch_is_installed() -> bool:
    """Whether the torch engine's packages are there, without importing them (which takes seconds)."""
    return find_spec("torch") is not None and find_spec("transformers") is not None


def _unknown(engine: str) -> ConfigError:
    return ConfigError(f"Unknown engine {engine!r}: use auto, openvino, torch, keyword or null.")


def _check_torch() -> None:
    if not torch_is_installed():
        raise ConfigError("The torch engine needs torch and transformers: pip install 'brandpulse[gpu]'.")


def _torch(folder: Path, threads: int | None) -> "Classifier":
    _check_torch()
    from model.torch_engine import TorchClassifier

    return TorchClassifier(folder, threads=threads)


def _cuda_is_there() -> bool:
    # The driver's file first: importing torch only to learn that there is no GPU costs seconds and 300 MB.
    if not torch_is_installed() or not any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg")):
        return False
    import torch

    return torch.cuda.is_available()
