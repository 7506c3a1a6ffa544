"""From the snapshots of a training run to a weights folder: chooses, calibrates, packs."""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brandpulse.errors import ConfigError
from model.heads import BY_NAME, HEADS
from model.heldout import Calibration, Floats, Judged, calibrate, figures, judge_sides, pool
from model.trainer import Encoded, Recipe, load_validation, say

if TYPE_CHECKING:
    import torch

    from model.heads_checkpoint import HeadsManifest

Validation = Mapping[str, Sequence[Encoded]]

MEANS = (1, 2, 3, 4)
"""The candidates: the last snapshot, and the mean of the last two, three and four."""


def candidates(snapshots: Sequence[Path]) -> Iterator[tuple[str, dict[str, "torch.Tensor"]]]:
    """(name, weights) of each mean worth trying, in the order of *snapshots*."""
    from safetensors.torch import load_file

    for count in MEANS:
        if count > len(snapshots):
            return
        chosen = snapshots[-count:]
        mean = {name: tensor / count for name, tensor in load_file(chosen[0]).items()}
        for path in chosen[1:]:
            for name, tensor in load_file(path).items():
                mean[name] += tensor / count
        yield ("last" if count == 1 else f"mean of last {count}"), mean


def combined(found: Mapping[str, Mapping[str, float]], judged_by: Mapping[str, str]) -> float:
    """The mean of the figures that the recipe names. Raises ConfigError naming one that there is not."""
    try:
        return float(np.mean([found[name][figure] for name, figure in judged_by.items()]))
    except KeyError as error:
        raise ConfigError(f"judged_by: no figure {error} among {json.dumps(found)}") from error


def choose(
    model: Any, snapshots: Sequence[Path], validation: Validation, judged_by: Mapping[str, str]
) -> tuple[str, dict[str, "torch.Tensor"], list[dict[str, Any]]]:
    """The name and weights of the best candidate, and the figures of all. *model* is left with other weights."""
    report: list[dict[str, Any]] = []
    best: tuple[float, str, dict[str, torch.Tensor]] | None = None
    for name, weights in candidates(snapshots):
        model.load_state_dict(weights)
        sides = {part: judge_sides(model, validation[part])[0] for part in judged_by}
        calibration = calibrate(sides)
        found = {part: figures(judged, calibration) for part, judged in sides.items()}
        figure = combined(found, judged_by)
        shown = {f"{part} {which}": round(found[part][which], 4) for part, which in judged_by.items()}
        report.append({"weights": name, "combined": round(figure, 4)} | shown)
        say("candidate", **report[-1])
        if best is None or figure > best[0]:
            best = figure, name, weights
    if best is None:
        raise ConfigError("no snapshot to finish from: the run was stopped before it wrote its first one")
    return best[1], best[2], report


def policies(report: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """What keeping the words of a target does on each set that has targets: recall and accuracy, with and without."""
    return {
        name: {
            f"{figure}, {way}": report[part][f"target_{figure}"]
            for way, part in (("marker alone", name), ("words kept", f"{name}+words"))
            for figure in ("recall", "accuracy")
        }
        for name in report
        if f"{name}+words" in report
    }


def settled(full: Floats, early: Floats, gold: npt.NDArray[np.int64], *, loss: float) -> tuple[float, float]:
    """The least confidence from which early answers may stand, and the share of rows that they then settle.

    *full* and *early* are probabilities (n, labels). Macro recall falls by at most *loss*; (1.0, 0.0) when even the
    most confident early answers cost more.
    """
    confidence = early.max(axis=1)
    present = np.unique(gold)
    aim = _recall(full.argmax(axis=1), gold, present) - loss
    best = (1.0, 0.0)
    for least in np.round(np.arange(0.99, 0.39, -0.01), 2):
        stands = confidence >= least
        if _recall(np.where(stands, early.argmax(axis=1), full.argmax(axis=1)), gold, present) < aim:
            break
        best = float(least), float(stands.mean())
    return best


def _recall(predicted: npt.NDArray[np.int64], gold: npt.NDArray[np.int64], present: npt.NDArray[np.int64]) -> float:
    return float(np.mean([(predicted[gold == label] == label).mean() for label in present]))


def finish(run: Path, data: Path, out: Path, *, recipe: Recipe, base: Path) -> "HeadsManifest":
    """Chooses among the snapshots of *run*, calibrates the best and packs it into *out*.

    *run* holds `snap/*.safetensors`, `tokenizer.json` and, for the record, `run.json`. The figures go to
    `out/training.json`. Raises ConfigError when there is no snapshot.
    """
    from tokenizers import Tokenizer

    from model.heads_checkpoint import EARLY, HeadsManifest, pack_heads
    from model.multihead import EXIT_LAYER, MultiHead

    tokenizer = Tokenizer.from_file(str(run / "tokenizer.json"))
    validation = load_validation(data, recipe, tokenizer)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    model = MultiHead.from_config(config)
    name, weights, tried = choose(model, sorted((run / "snap").glob("*.safetensors")), validation, recipe.judged_by)
    model.load_state_dict(weights)
    sides = {part: judge_sides(model, rows) for part, rows in validation.items()}
    full, early = ({part: both[side] for part, both in sides.items()} for side in (0, 1))
    late_calibration, early_calibration = calibrate(full), calibrate(early)
    confidence = exits(full, early, late_calibration, early_calibration, loss=recipe.exit_loss)
    facts = json.loads((run / "run.json").read_text(encoding="utf-8")) if (run / "run.json").exists() else {}
    manifest = HeadsManifest(
        name=recipe.name,
        version="",
        heads={head.name: head.labels for head in HEADS},
        temperatures=dict(late_calibration.temperatures)
        | {EARLY + head: value for head, value in early_calibration.temperatures.items()},
        thresholds=late_calibration.thresholds,
        exit_layer=EXIT_LAYER,
        exit_confidence={head: least for head, (least, _) in confidence.items()},
        max_tokens=recipe.max_tokens,
        base_model=base.parent.name if base.name == "model" else base.name,
        data=", ".join(name for source in recipe.sources for name in source.names),
        command=shlex.join(["brandpulse", *sys.argv[1:]]),
        recipe=asdict(recipe) | facts | {"weights_chosen": name},
    )
    arrays = {key: tensor.float().numpy() for key, tensor in weights.items()}
    manifest = pack_heads(out, arrays, config=config, tokenizer=run / "tokenizer.json", manifest=manifest)
    report = {"full": {part: figures(judged, late_calibration) for part, judged in full.items()}}
    report["exit"] = {part: figures(judged, early_calibration) for part, judged in early.items()}
    written = {"candidates": tried, "chosen": name, "words": policies(report["full"]), "settled_early": confidence}
    (out / "training.json").write_text(json.dumps(_rounded(written | report), indent=2) + "\n", encoding="utf-8")
    return manifest


def exits(
    full: Mapping[str, Judged],
    early: Mapping[str, Judged],
    late_calibration: Calibration,
    early_calibration: Calibration,
    *,
    loss: float,
) -> dict[str, tuple[float, float]]:
    """Head -> confidence from which its early answer stands, and the share it settles (`settled`)."""
    found: dict[str, tuple[float, float]] = {}
    for head in (BY_NAME["sentiment"], BY_NAME["target"]):
        logits, gold = pool(full, head)
        if len(logits):
            found[head.name] = settled(
                late_calibration.probabilities(head.name, logits),
                early_calibration.probabilities(head.name, pool(early, head)[0]),
                gold,
                loss=loss,
            )
    return found


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value
