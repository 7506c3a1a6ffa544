"""Chooses among the snapshots of a training run, calibrates the result and packs it as a weights folder."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from brandpulse.errors import ConfigError
from model.graphs.torch_multihead import MultiHead
from model.inputs.target_marking import MarkedText
from model.spec.heads import BY_NAME, HEADS
from model.training.calibration import (
    Calibration,
    Floats,
    SideAnswers,
    Validation,
    answer_sides,
    calibrate,
    head_metrics,
    pooled_answers,
)
from model.training.fit.progress_log import log_progress
from model.training.fit.recipe import HeadsRecipe
from model.training.fit.run_state import write_text
from model.training.offset_fitting import best_offsets
from model.training.packaging import RunFacts, pack_run

Candidate = tuple[str, dict[str, Tensor]]
"""Name, weights."""

AVERAGED_SNAPSHOTS = (1, 2, 3, 4)
"""Candidates: the last snapshot, and the mean of the last two, three and four."""


def finish_snapshots(
    model: MultiHead,
    weights: Iterable[Candidate],
    out: Path,
    *,
    recipe: HeadsRecipe,
    validation: Validation,
    posts: Sequence[MarkedText],
    facts: RunFacts,
) -> str:
    """Chooses among the *weights* for *model*, calibrates the best, packs it into *out* and returns its version.

    *posts* are training posts for the int8 ranges. Writes the metrics to `out/training.json`. Raises ConfigError if
    there is no candidate.
    """
    name, chosen, tried = choose_weights(model, weights, validation, recipe.judged_by)
    apply_offsets(chosen, recipe.offsets)
    model.load_state_dict(chosen)
    fitted = apply_fitted_offsets(model, chosen, validation, recipe)
    sides = {part: answer_sides(model, rows) for part, rows in validation.items()}
    full, early = ({part: both[side] for part, both in sides.items()} for side in (0, 1))
    # What only reports must not choose: a temperature fitted on a part makes its calibration error too good.
    fitting, fitting_early = (without_reporting_parts(answers, recipe) for answers in (full, early))
    late, soon = calibrate(fitting), calibrate(fitting_early)
    confidence = exit_thresholds(fitting, fitting_early, late, soon, loss=recipe.exit_loss)
    said = {part: head_metrics(answers, late) for part, answers in full.items()}
    out.mkdir(parents=True, exist_ok=True)
    report = {
        "candidates": tried,
        "chosen": name,
        "fitted_offsets": fitted,
        "settled_early": confidence,
        "words": target_word_policies(said),
        "full": said,
        "exit": {part: head_metrics(answers, soon) for part, answers in early.items()},
    }
    write_text(out / "training.json", json.dumps(_rounded(report), indent=2) + "\n")
    facts = replace(facts, facts=dict(facts.facts) | {"weights": name})
    least = {head: value for head, (value, _) in confidence.items()}
    version = pack_run(model, out, recipe=recipe, late=late, soon=soon, exit_confidence=least, posts=posts, facts=facts)
    log_progress("finished", weights=name, version=version, out=str(out))
    return version


def without_reporting_parts(answers: Mapping[str, SideAnswers], recipe: HeadsRecipe) -> dict[str, SideAnswers]:
    """*answers* of the parts that may choose: all but those in `held_out` that `judged_by` does not name.

    A head with labels in no other part is calibrated on all parts, because it cannot be used without.
    """
    reporting = set(recipe.held_out) - {name.removesuffix("+words") for name in recipe.judged_by}
    found = {part: each for part, each in answers.items() if part.removesuffix("+words") not in reporting}
    lost = {head for each in answers.values() for head in each.logits} - {
        head for each in found.values() for head in each.logits
    }
    return dict(answers) if lost else found


def candidates(snapshots: Sequence[Path]) -> Iterator[Candidate]:
    """(name, weights) of each candidate."""
    from safetensors.torch import load_file

    for count in AVERAGED_SNAPSHOTS:
        if count > len(snapshots):
            return
        chosen = snapshots[-count:]
        mean = {name: tensor / count for name, tensor in load_file(chosen[0]).items()}
        for path in chosen[1:]:
            for name, tensor in load_file(path).items():
                mean[name] += tensor / count
        yield ("last" if count == 1 else f"mean of last {count}"), mean


def choose_weights(
    model: MultiHead, weights: Iterable[Candidate], validation: Validation, judged_by: Mapping[str, str]
) -> tuple[str, dict[str, Tensor], list[dict[str, Any]]]:
    """Name and weights of the best candidate, and the metrics of all. Changes the weights of *model*."""
    report: list[dict[str, Any]] = []
    best: tuple[float, str, dict[str, Tensor]] | None = None
    for name, tensors in weights:
        model.load_state_dict(tensors)
        sides = {part: answer_sides(model, validation[part])[0] for part in judged_by}
        calibration = calibrate(sides)
        found = {part: head_metrics(answers, calibration) for part, answers in sides.items()}
        figure = mean_metric(found, judged_by)
        shown = {f"{part} {which}": round(found[part][which], 4) for part, which in judged_by.items()}
        report.append({"weights": name, "combined": round(figure, 4)} | shown)
        log_progress("candidate", **report[-1])
        if best is None or figure > best[0]:
            best = figure, name, tensors
    if best is None:
        raise ConfigError("The run has no snapshot: it was stopped before the first one was written.")
    return best[1], best[2], report


def mean_metric(found: Mapping[str, Mapping[str, float]], judged_by: Mapping[str, str]) -> float:
    """The mean of the metrics in *judged_by*. Raises ConfigError that names an unknown metric."""
    for name, figure in judged_by.items():
        if figure not in found[name]:
            raise ConfigError(f"judged_by.{name}: unknown metric {figure!r}; known are {', '.join(found[name])}")
    return float(np.mean([found[name][figure] for name, figure in judged_by.items()]))


def apply_offsets(weights: dict[str, Tensor], offsets: Mapping[str, Mapping[str, float]]) -> None:
    """Adds *offsets* (head -> label -> logit) to the biases of both sides."""
    for head, labels in offsets.items():
        for label, value in labels.items():
            for side in ("heads", "exit"):
                if (name := f"{side}.out.{head}.bias") in weights:
                    weights[name][BY_NAME[head].labels.index(label)] += value


def apply_fitted_offsets(
    model: MultiHead, weights: dict[str, Tensor], validation: Validation, recipe: HeadsRecipe
) -> dict[str, dict[str, float]]:
    """Fits the offsets of the heads in `fitted_offsets`, adds them to *weights* and *model*, and returns them."""
    found: dict[str, dict[str, float]] = {}
    # In the order of the heads: the logits of the sentiment are part of the target's.
    for head in (head.name for head in HEADS if head.name in recipe.fitted_offsets):
        sets = [part for part, metric in recipe.judged_by.items() if metric == f"{head}_recall"]
        found[head] = best_offsets(head, {part: answer_sides(model, validation[part])[0] for part in sets})
        log_progress("offsets", head=head, **found[head])
        apply_offsets(weights, {head: found[head]})
        model.load_state_dict(weights)
    return found


def target_word_policies(report: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Recall and accuracy with and without the words of targets, for each set with targets."""
    return {
        name: {
            f"{figure}, {way}": report[part][f"target_{figure}"]
            for way, part in (("marker alone", name), ("words kept", f"{name}+words"))
            for figure in ("recall", "accuracy")
        }
        for name in report
        if f"{name}+words" in report and "target_recall" in report[name]
    }


def exit_thresholds(
    full: Mapping[str, SideAnswers],
    early: Mapping[str, SideAnswers],
    late_calibration: Calibration,
    early_calibration: Calibration,
    *,
    loss: float,
) -> dict[str, tuple[float, float]]:
    """Head -> (minimum confidence of an early answer, share of rows that reach it), see `exit_threshold`."""
    found: dict[str, tuple[float, float]] = {}
    for head in (BY_NAME["sentiment"], BY_NAME["target"]):
        logits, gold = pooled_answers(full, head)
        early_logits, _ = pooled_answers(early, head)
        if len(logits) and len(early_logits):
            late = late_calibration.probabilities(head.name, logits)
            soon = early_calibration.probabilities(head.name, early_logits)
            found[head.name] = exit_threshold(late, soon, gold, loss=loss)
    return found


def exit_threshold(full: Floats, early: Floats, gold: npt.NDArray[np.int64], *, loss: float) -> tuple[float, float]:
    """The lowest minimum confidence of early answers that costs at most *loss* of macro recall, and the share of rows
    that reach it.

    *full* and *early* are probabilities (n, labels). (1.0, 0.0) if even the most confident early answers cost more.
    """
    confidence = early.max(axis=1)
    present = np.unique(gold)
    aim = _recall(full.argmax(axis=1), gold, present) - loss
    best = (1.0, 0.0)
    for least in np.round(np.arange(0.99, 0.39, -0.01), 2):
        confident = confidence >= least
        if _recall(np.where(confident, early.argmax(axis=1), full.argmax(axis=1)), gold, present) < aim:
            break
        best = float(least), float(confident.mean())
    return best


def _recall(predicted: npt.NDArray[np.int64], gold: npt.NDArray[np.int64], present: npt.NDArray[np.int64]) -> float:
    return float(np.mean([(predicted[gold == label] == label).mean() for label in present]))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value
