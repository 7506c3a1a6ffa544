"""Any Hugging Face sequence-classification checkpoint as a classifier of whole posts; never loads pickles or code."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brandpulse.config.validation import reason_of
from brandpulse.errors import ConfigError
from brandpulse.text.normalization import normalize
from model.inference.probabilities import softmax
from model.inference.scorer import Probabilities
from model.inputs.token_batches import batch_sizes
from model.spec.heads import SENTIMENT

KNOWN_LABELS = {
    "negative": "negative",
    "neg": "negative",
    "very negative": "negative",
    "1 star": "negative",
    "2 stars": "negative",
    "neutral": "neutral",
    "neu": "neutral",
    "3 stars": "neutral",
    "positive": "positive",
    "pos": "positive",
    "very positive": "positive",
    "4 stars": "positive",
    "5 stars": "positive",
}
"""Labels with a known meaning, in `_canonical` form -> our label. Probabilities of labels with the same meaning are
added. A checkpoint without a neutral label never predicts neutral."""

SETTING = "BRANDPULSE_MODEL_LABELS"
_MAX_TOKENS = 512


def is_hugging_face(folder: Path) -> bool:
    """Whether *folder* is a checkpoint in the format of transformers and not a brandpulse weights folder."""
    return (folder / "config.json").is_file() and not (folder / "model.json").exists()


def label_columns(labels: Sequence[str], mapping: Mapping[str, str] | None = None) -> npt.NDArray[np.float32]:
    """(labels, 3): 1 where a label of the checkpoint means one of our labels.

    *mapping* gives the meaning of labels that `KNOWN_LABELS` lacks. Raises ConfigError that names a label without
    meaning.
    """
    given = {_canonical(label): meaning for label, meaning in (mapping or {}).items()}
    for label, meaning in (mapping or {}).items():
        if meaning not in SENTIMENT or _canonical(label) not in map(_canonical, labels):
            raise ConfigError(
                f"{SETTING}: {label}={meaning} is invalid. The checkpoint has the labels {', '.join(labels)}; "
                f"each must mean one of {', '.join(SENTIMENT)}."
            )
    table = np.zeros((len(labels), len(SENTIMENT)), dtype=np.float32)
    for row, label in enumerate(labels):
        known = given.get(_canonical(label), KNOWN_LABELS.get(_canonical(label)))
        if known is None:
            example = ",".join(f"{name}={SENTIMENT[min(at, 2)]}" for at, name in enumerate(labels))
            raise ConfigError(
                f"The meaning of the checkpoint's label {label!r} is unknown. Set the meaning of its labels, "
                f"for example {SETTING}={example}."
            )
        table[row, SENTIMENT.index(known)] = 1.0
    for needed in ("negative", "positive"):
        if not table[:, SENTIMENT.index(needed)].any():
            raise ConfigError(f"None of the checkpoint's labels {', '.join(labels)} means {needed}. Set {SETTING}.")
    return table


def parse_label_mapping(setting: str) -> dict[str, str]:
    """`LABEL_0=negative,LABEL_1=positive` as a mapping. Raises ConfigError."""
    pairs = [pair.partition("=") for pair in setting.split(",") if pair.strip()]
    for label, equals, meaning in pairs:
        if not (label.strip() and equals and meaning.strip()):
            raise ConfigError(f"{SETTING}: expected LABEL=meaning,…, got {setting!r}.")
    return {label.strip(): meaning.strip().lower() for label, _, meaning in pairs}


class HuggingFaceClassifier:
    """Scores posts with the checkpoint in *folder* on CUDA if present, else on the CPU; one thread at a time.

    *labels* gives the meaning of labels that `KNOWN_LABELS` lacks. *threads* is the number of CPU cores that torch may
    use in the whole process.
    """

    def __init__(self, folder: Path, *, threads: int | None = None, labels: Mapping[str, str] | None = None) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        config = _checked_config(folder)
        names = [config["id2label"][str(at)] for at in range(len(config["id2label"]))]
        self._columns = label_columns(names, labels)
        self._folder = folder
        self._model, self._tokenizer, self._device = _load(folder, threads)
        # RoBERTa counts its positions from 2.
        room = int(config.get("max_position_embeddings", _MAX_TOKENS)) - 2
        self._max_tokens = min(room, _MAX_TOKENS, self._tokenizer.model_max_length) // 8 * 8
        self._version = _version(folder, self._columns)

    @property
    def name(self) -> str:
        return f"torch {self._device.type} {self._folder.name}"

    @property
    def version(self) -> str:
        return self._version

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        found = np.zeros((len(texts), len(SENTIMENT)), dtype=np.float32)
        normal = [normalize(text) for text in texts]
        order = sorted(range(len(texts)), key=lambda row: len(normal[row]))
        at = 0
        for size in batch_sizes(len(order), 32, 1):
            rows = order[at : at + size]
            found[rows] = softmax(self._logits([normal[row] for row in rows])) @ self._columns
            at += size
        return found

    def _logits(self, texts: list[str]) -> npt.NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            inputs = self._tokenizer(
                texts,
                padding=True,
                truncation=True,
                max_length=self._max_tokens,
                pad_to_multiple_of=8,
                return_tensors="pt",
            )
            logits = self._model(**inputs.to(self._device)).logits  # (batch, labels)
        return np.asarray(logits.float().cpu().numpy())


def _checked_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a checkpoint that may be loaded. Raises ConfigError with the reason if it may not."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architecture = str(config["architectures"][0])
        labels = {str(at): str(label) for at, label in config.get("id2label", {}).items()}
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ConfigError(f"The checkpoint in {folder} cannot be used: config.json: {reason_of(error)}.") from error
    safe = [*folder.glob("model.safetensors"), *folder.glob("model.safetensors.index.json")]
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.pkl") for path in folder.glob(pattern))
    if not safe:
        refused = f" {', '.join(pickles)} is not loaded: reading a pickle can run any code." if pickles else ""
        raise ConfigError(
            f"The checkpoint in {folder} has no model.safetensors.{refused} Save the checkpoint again with "
            "save_pretrained(folder, safe_serialization=True)."
        )
    if "auto_map" in config:
        raise ConfigError(f"The checkpoint in {folder} contains its own code (auto_map), which is never run.")
    if not architecture.endswith("ForSequenceClassification"):
        raise ConfigError(f"The checkpoint in {folder} is a {architecture}, expected one ForSequenceClassification.")
    if config.get("problem_type") not in (None, "single_label_classification"):
        raise ConfigError(f"The checkpoint in {folder} predicts several labels per post (problem_type); expected one.")
    if not labels or set(labels) != {str(at) for at in range(len(labels))}:
        raise ConfigError(f"The checkpoint in {folder} does not name its labels: config.json has no complete id2label.")
    return config | {"id2label": labels}


def _load(folder: Path, threads: int | None) -> tuple[Any, Any, Any]:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if threads is not None:
        torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    given: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    try:
        model, missing = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **given
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **given)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        raise ConfigError(f"The checkpoint in {folder} cannot be used: {error}") from error
    if missing["missing_keys"]:
        # transformers would fill them with random numbers.
        raise ConfigError(f"The checkpoint in {folder} lacks weights: {', '.join(sorted(missing['missing_keys']))}.")
    halves = torch.bfloat16 if device.type == "cuda" else torch.float32
    return model.to(device, halves).eval(), tokenizer, device


def _version(folder: Path, table: npt.NDArray[np.float32]) -> str:
    digest = hashlib.sha256(table.tobytes())
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("model", "config.json", "tokenizer", "vocab", "merges", "special_tokens")):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def _canonical(label: str) -> str:
    return re.sub(r"[\s_-]+", " ", label).strip().casefold()
