"""Selects and loads an inference engine."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from brandpulse.errors import ConfigError
from model.spec.options import Engine, ExitPolicy, Precision
from model.spec.weights import MULTI_HEAD, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from model.inference.scorer import Classifier, Scorer

_HUGGING_FACE = "hugging-face"


def load_classifier(
    engine: Engine = "auto", weights: Path | None = None, threads: int | None = None, *, precision: Precision = "auto"
) -> "Classifier":
    """A classifier of whole posts. Engine `auto` is torch if a CUDA device is present, else openvino.

    *weights* is a weights folder (default: the shipped one) or a Hugging Face checkpoint (torch only). *threads* is the
    number of CPU cores (default: all available), *precision* is for openvino only. Raises ConfigError that names the
    path if the weights are missing or damaged, or the package if the engine is not installed.
    """
    # Imports are local: a command that only shows its help must not wait for numpy.
    if engine in ("keyword", "null"):
        from model.inference.keyword_classifier import KeywordClassifier, NullClassifier

        return KeywordClassifier() if engine == "keyword" else NullClassifier()
    folder = weights or WEIGHTS
    kind = _kind(folder)
    if kind == MULTI_HEAD:
        from model.inference.adapters import ScorerClassifier

        return ScorerClassifier(load_scorer(engine, weights, threads, precision=precision))
    if kind == _HUGGING_FACE:
        return _load_hugging_face(engine, folder, threads)
    if _uses_torch(engine):
        from model.inference.torch_classifier import TorchClassifier

        return TorchClassifier(folder, threads=threads)
    from model.cpu.openvino_classifier import OpenVinoClassifier

    return OpenVinoClassifier(folder, threads=threads, precision=precision)


def load_scorer(
    engine: Engine = "auto",
    weights: Path | None = None,
    threads: int | None = None,
    *,
    precision: Precision = "auto",
    exit_policy: ExitPolicy = "full",
    overloaded: "Callable[[], bool] | None" = None,
) -> "Scorer":
    """A scorer of marked posts; the first arguments and errors are those of `load_classifier`.

    *exit_policy* and *overloaded* are for openvino only. With policy `early` or `auto`, posts whose sentiment, and
    sentiment towards each target, the early heads predict confidently get their answer: twice as fast and as accurate,
    but the other heads are slightly less accurate. *overloaded* is called once per call: while it returns True, all
    posts keep the early answer (`Scores.degraded`).

    Classifiers of whole posts are adapted: their scorer has the heads `sentiment` and `target` only, and a target is
    irrelevant only if the post does not name it.
    """
    folder = weights or WEIGHTS
    if engine in ("keyword", "null") or _kind(folder) != MULTI_HEAD:
        from model.inference.adapters import ClassifierScorer

        return ClassifierScorer(load_classifier(engine, weights, threads, precision=precision))
    if _uses_torch(engine):
        from model.inference.torch_scorer import TorchScorer

        return TorchScorer(folder, threads=threads)
    from model.cpu.openvino_scorer import OpenVinoScorer

    return OpenVinoScorer(folder, threads=threads, precision=precision, exit_policy=exit_policy, overloaded=overloaded)


def label_thresholds(engine: Engine, weights: Path | None) -> "Mapping[str, Sequence[float]]":
    """Head of kind `many` -> minimum probability of each label; empty for models without such heads."""
    from model.checkpoints.multi_head import read_heads_manifest
    from model.spec.heads import HEADS

    folder = weights or WEIGHTS
    if engine in ("keyword", "null") or _kind(folder) != MULTI_HEAD:
        return {}
    manifest = read_heads_manifest(folder)
    return {head.name: manifest.threshold(head.name) for head in HEADS if head.kind == "many"}


def languages_of(engine: Engine, weights: Path | None) -> tuple[str, ...]:
    """ISO 639-1 codes of the languages that the weights support; empty: every text is scored."""
    folder = weights or WEIGHTS
    if engine in ("keyword", "null") or _kind(folder) == _HUGGING_FACE:
        return ()
    import json

    given = json.loads((folder / "model.json").read_text(encoding="utf-8")).get("languages", [])
    if not isinstance(given, list) or not all(re.fullmatch("[a-z]{2}", str(code)) for code in given):
        raise ConfigError(f'{folder / "model.json"}: languages is {given!r}, expected a list such as ["en", "de"]')
    return tuple(given)


def torch_is_installed() -> bool:
    """Whether the packages of the torch engine are installed; does not import them (which takes seconds)."""
    return find_spec("torch") is not None and find_spec("transformers") is not None


def _kind(folder: Path) -> str:
    from model.checkpoints.weights_folder import kind_of
    from model.inference.hugging_face_classifier import is_hugging_face

    return _HUGGING_FACE if is_hugging_face(folder) else kind_of(folder)


def _uses_torch(engine: Engine) -> bool:
    """Whether torch runs the weights. Raises ConfigError if torch is not installed or *engine* is unknown."""
    if engine == "torch":
        _require_torch()
        return True
    if engine not in ("auto", "openvino"):
        raise ConfigError(f"Unknown engine {engine!r}: use auto, openvino, torch, keyword or null.")
    return engine == "auto" and _has_cuda()


def _load_hugging_face(engine: Engine, folder: Path, threads: int | None) -> "Classifier":
    if engine not in ("auto", "torch"):
        raise ConfigError(
            f"{folder} has no model.json, so it is read as a Hugging Face checkpoint, which needs engine torch or "
            f"auto, not {engine}. Restore the folder if it is a brandpulse weights folder."
        )
    _require_torch()
    from brandpulse.config.settings import load_settings
    from model.inference.hugging_face_classifier import HuggingFaceClassifier, parse_label_mapping
    from model.settings import ModelSettings

    return HuggingFaceClassifier(
        folder, threads=threads, labels=parse_label_mapping(load_settings(ModelSettings).labels)
    )


def _require_torch() -> None:
    if not torch_is_installed():
        raise ConfigError("The torch engine needs torch and transformers: pip install 'brandpulse[gpu]'.")


def _has_cuda() -> bool:
    # Check the driver's file first: importing torch only to find no GPU costs seconds and 300 MB.
    if not torch_is_installed() or not any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg")):
        return False
    import torch

    return torch.cuda.is_available()
