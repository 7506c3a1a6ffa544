"""Chooses and loads an engine."""

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
    """A ready classifier; `auto` is torch where it sees a CUDA device, else openvino.

    *weights* is a folder of ours, the shipped one by default, or a Hugging Face checkpoint (torch only). *threads* is
    all cores this process may use by default, *precision* (openvino only) goes by the processor. Raises ConfigError
    naming the path when the weights are missing or damaged, or the package when the engine is not installed.
    """
    # Every import stands where it is needed: a command that only shows its help must not wait for numpy.
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
    """A ready scorer of marked posts; the first arguments and errors are those of `load_classifier`.

    *exit_policy* and *overloaded* are of the openvino engine. With tiers `early` or `auto` the early heads settle the posts of
    whose sentiment, and of whose sentiment towards each target, they are sure: as good and twice as fast, but what the
    other heads say of such posts is a little worse. *overloaded* is asked at each call: while it says yes, posts in doubt
    keep the early answer too (`Scores.degraded`).

    Weights of other kinds than ours with many heads, and the engines without a network, judge whole posts: their scorer
    has the heads `sentiment` and `target` alone, and no target is irrelevant unless the post does not name it.
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
    """Head whose labels stand alone -> the probability from which each is given; empty for models without them."""
    from model.checkpoints.multi_head import read_heads_manifest
    from model.spec.heads import HEADS

    folder = weights or WEIGHTS
    if engine in ("keyword", "null") or _kind(folder) != MULTI_HEAD:
        return {}
    manifest = read_heads_manifest(folder)
    return {head.name: manifest.threshold(head.name) for head in HEADS if head.kind == "many"}


def languages_of(engine: Engine, weights: Path | None) -> tuple[str, ...]:
    """ISO 639-1 codes of the languages that the weights declare; empty: they are given every text."""
    folder = weights or WEIGHTS
    if engine in ("keyword", "null") or _kind(folder) == _HUGGING_FACE:
        return ()
    import json

    given = json.loads((folder / "model.json").read_text(encoding="utf-8")).get("languages", [])
    if not isinstance(given, list) or not all(re.fullmatch("[a-z]{2}", str(code)) for code in given):
        raise ConfigError(f'{folder / "model.json"}: languages is {given!r}, expected a list such as ["en", "de"]')
    return tuple(given)


def torch_is_installed() -> bool:
    """Whether the torch engine's packages are there, without importing them (which takes seconds)."""
    return find_spec("torch") is not None and find_spec("transformers") is not None


def _kind(folder: Path) -> str:
    from model.checkpoints.weights_folder import kind_of
    from model.inference.hugging_face_classifier import is_hugging_face

    return _HUGGING_FACE if is_hugging_face(folder) else kind_of(folder)


def _uses_torch(engine: Engine) -> bool:
    """Whether torch is to run our weights. Raises ConfigError when it is not installed, or there is no such engine."""
    if engine == "torch":
        _require_torch()
        return True
    if engine not in ("auto", "openvino"):
        raise ConfigError(f"Unknown engine {engine!r}: use auto, openvino, torch, keyword or null.")
    return engine == "auto" and _has_cuda()


def _load_hugging_face(engine: Engine, folder: Path, threads: int | None) -> "Classifier":
    if engine not in ("auto", "torch"):
        raise ConfigError(
            f"{folder} holds no model.json, so it is taken for a Hugging Face checkpoint, and that needs engine torch "
            f"or auto, not {engine}. Restore the folder if it is one of ours."
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
    # The driver's file first: importing torch only to learn that there is no GPU costs seconds and 300 MB.
    if not torch_is_installed() or not any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg")):
        return False
    import torch

    return torch.cuda.is_available()
