"""`brandpulse model gap`: both sentiment heads on validation parts, and what new topics, months and sources cost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from brandpulse.errors import ConfigError
from model.checkpoints.weights_folder import MANIFEST as WEIGHTS_MANIFEST
from model.data.parts_manifest import MANIFEST, Kind, PartsManifest, file_hash, read_parts_manifest
from model.data.training_examples import numbered_rows
from model.evaluation.bootstrap_metrics import estimate, text_groups
from model.evaluation.metrics import Matrix
from model.evaluation.model_answers import Answers
from model.evaluation.side_by_side import (
    HEADS,
    TARGET_HEAD,
    WHOLE_POST,
    HeadAnswers,
    Part,
    difference,
    drawn_figures,
    mean_of,
    read_part,
    score_part,
    topics_in,
)
from model.loader import load_scorer
from model.report.evaluation_run import EvaluatedModel, keeps_words

MIN_KNOWN_ROWS = 200
"""Fewer rows of known topics give no gap: their macro recall would be noise."""

Figures = dict[str, dict[str, Matrix]]
"""Head -> figure -> (1 + resamples,), see `drawn_metrics`."""


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One file to evaluate."""

    name: str
    of: str
    kind: Kind | Literal["random", "source"]
    """`random`: the set's own validation file, `source`: the validation file of another set."""
    use: Literal["choose", "report"]
    part: Part


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What one model reaches on all parts."""

    weights: str
    engine: str
    version: str
    sources: frozenset[str]
    """Training sets that its manifest names."""
    held_out: frozenset[str]
    """Parts that its recipe keeps out of the training."""
    figures: dict[str, Figures]
    irrelevant: dict[str, float | None]
    known_topics: dict[str, Figures]
    """Set -> figures on posts of topics that the training file has; sets with too few of them are missing."""

    def may_have_trained_on(self, planned: PlannedPart) -> bool:
        """Whether the rows of the part may have been training rows of these weights."""
        taken = planned.kind not in ("random", "source")
        return taken and planned.of in self.sources and planned.name not in self.held_out


def measure_gap(
    data: Path,
    models: Sequence[EvaluatedModel],
    *,
    against: Sequence[EvaluatedModel] = (),
    limit: int | None = None,
) -> dict[str, Any]:
    """Evaluates *models* (several: seeds of one recipe) on the parts in *data*, and compares them with *against*.

    *data* is a folder of `brandpulse model split`; *limit* is the maximum number of posts of each part. Figures of
    several models are their mean; `each` has the single values, `spread` is the largest minus the smallest. Intervals
    are over posts, or over topics in parts of unseen topics, not over training seeds. Raises ConfigError if a file
    differs from the manifest.
    """
    manifest = read_parts_manifest(data)
    plan = planned_parts(data, manifest, limit=limit)
    topics = {name: _training_topics(data, name, manifest) for name in manifest.sets}
    results = [_measure(model, plan, topics) for model in models]
    others = [_measure(model, plan, topics) for model in against]
    return {
        "data": str(data),
        "manifest": file_hash(data / MANIFEST),
        "models": [_named(result) for result in results],
        "against": [_named(result) for result in others],
        "parts": {planned.name: _part_report(planned, results, others, topics) for planned in plan},
        "gaps": _gaps(plan, results) | ({"against": _gaps(plan, others)} if others else {}),
    }


def planned_parts(data: Path, manifest: PartsManifest, *, limit: int | None = None) -> list[PlannedPart]:
    """The random validation file of each split set, its parts, and the other sets of the manifest."""
    plan: list[PlannedPart] = []
    for name in manifest.sets:
        if f"{name}.val.jsonl.gz" in manifest.files and name not in manifest.parts:
            plan.append(PlannedPart(name, name, "random", "choose", _part(data, name, manifest, limit=limit)))
        for part_name, facts in manifest.parts.items():
            if facts.of == name:
                part = _part(data, part_name, manifest, by_topic=facts.kind == "topic", limit=limit)
                plan.append(PlannedPart(part_name, name, facts.kind, facts.use, part))
    for name in manifest.other_sets:
        plan.append(PlannedPart(name, name, "source", "report", _part(data, name, manifest, limit=limit)))
    return plan


def _part(data: Path, name: str, manifest: PartsManifest, *, by_topic: bool = False, limit: int | None = None) -> Part:
    path = data / f"{name}.val.jsonl.gz"
    facts = manifest.files.get(path.name)
    if facts is None or not path.exists():
        raise ConfigError(f"{path} is missing. Run `brandpulse model split` again.")
    if file_hash(path) != facts.sha256:
        raise ConfigError(
            f"{path} has changed since {data / MANIFEST} was written. Run `brandpulse model split` again."
        )
    try:
        return read_part(path, by_topic=by_topic, limit=limit)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _training_topics(data: Path, name: str, manifest: PartsManifest) -> set[str]:
    """The topics of the set's training rows, in lower case; empty if the set has no topics or no training rows."""
    column, path = manifest.rule["sets"][name].get("topic"), data / f"{name}.train.jsonl.gz"
    if column is None or not path.exists():
        return set()
    try:
        # An own file was written in the standard form, with its topic as `target`.
        return {
            str(topic).casefold()
            for _, row in numbered_rows(path)
            if (topic := row.get(column, row.get("target"))) is not None
        }
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _measure(model: EvaluatedModel, plan: Sequence[PlannedPart], topics: Mapping[str, set[str]]) -> ModelResult:
    scorer = load_scorer(
        model.engine, model.weights, model.threads, precision=model.precision, exit_policy=model.exit_policy
    )
    answers = {
        planned.name: score_part(
            scorer, planned.part, keep_words=planned.part.has_targets and keeps_words(planned.part.gold)
        )
        for planned in plan
    }
    sources, held_out = _training_of(model.weights)
    return ModelResult(
        weights=str(model.weights),
        engine=scorer.name,
        version=scorer.version,
        sources=sources,
        held_out=held_out,
        figures={
            planned.name: {
                head: drawn_figures(found, planned.part.groups, seed=_seed(at))
                for head, found in answers[planned.name].heads.items()
            }
            for at, planned in enumerate(plan)
        },
        irrelevant={name: found.irrelevant for name, found in answers.items()},
        known_topics=_on_known_topics(plan, answers, topics),
    )


def _seed(at: int) -> int:
    """Models use the same resamples of a part; parts use different ones, because their rows are independent."""
    return 13 + at


def _training_of(weights: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Training sets and held-out parts in the manifest of *weights*; both empty if it does not state them."""
    try:
        recipe = json.loads((weights / WEIGHTS_MANIFEST).read_text(encoding="utf-8")).get("recipe") or {}
        names = [name for source in recipe.get("sources", ()) for name in source["names"]]
        return frozenset(names), frozenset(recipe.get("held_out", ()))
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return frozenset(), frozenset()  # a checkpoint of another origin


def _on_known_topics(
    plan: Sequence[PlannedPart], answers: Mapping[str, HeadAnswers], topics: Mapping[str, set[str]]
) -> dict[str, Figures]:
    """Figures on the rows of all parts of a set whose topic its training file has, together."""
    found: dict[str, Figures] = {}
    for at, (name, known) in enumerate(topics.items()):
        chosen = [planned for planned in plan if planned.of == name and planned.part.has_targets and known]
        masks = [topics_in(planned.part, known) for planned in chosen]
        texts = [
            text
            for planned, mask in zip(chosen, masks, strict=True)
            for text, keep in zip(planned.part.gold.texts, mask, strict=True)
            if keep
        ]
        if len(texts) < MIN_KNOWN_ROWS or len({planned.part.gold.labels for planned in chosen}) != 1:
            continue
        found[name] = {
            head: drawn_figures(
                _joined([answers[one.name].heads[head].rows(mask) for one, mask in zip(chosen, masks, strict=True)]),
                text_groups(texts),
                seed=_seed(len(plan) + at),
            )
            for head in HEADS
        }
    return found


def _joined(answers: Sequence[Answers]) -> Answers:
    """The rows of all *answers*, which have the same labels."""
    return Answers(
        answers[0].kind,
        answers[0].labels,
        np.concatenate([one.gold for one in answers]),
        np.concatenate([one.probabilities for one in answers]),
        np.concatenate([one.predicted for one in answers]),
    )


def _named(result: ModelResult) -> dict[str, str]:
    return {"weights": result.weights, "engine": result.engine, "version": result.version}


def _part_report(
    planned: PlannedPart, results: Sequence[ModelResult], others: Sequence[ModelResult], topics: Mapping[str, set[str]]
) -> dict[str, Any]:
    part, targets = planned.part, planned.part.has_targets
    known = topics_in(part, topics.get(planned.of, set())) if targets else np.zeros(0)
    mean = _mean_figures([result.figures[planned.name] for result in results])
    report: dict[str, Any] = {
        "kind": planned.kind,
        "use": planned.use,
        "of": planned.of,
        "rows": len(part.gold.texts),
        "topics": len({target.casefold() for target in part.gold.targets}) if targets else None,
        "rows_of_known_topics": int(known.sum()) if targets and planned.kind != "source" else None,
        "resampled": "topics" if part.by_topic else "texts",
        "may_be_trained_on": [result.may_have_trained_on(planned) for result in results],
        "heads": _head_reports(planned.name, results),
        "irrelevant": _mean_irrelevant(planned.name, results),
    }
    if targets:
        report["target_minus_whole_post"] = _estimates(difference(mean[TARGET_HEAD], mean[WHOLE_POST]))
    if others:
        other = _mean_figures([result.figures[planned.name] for result in others])
        report["against"] = {
            "may_be_trained_on": [result.may_have_trained_on(planned) for result in others],
            "heads": _head_reports(planned.name, others),
            "irrelevant": _mean_irrelevant(planned.name, others),
            "difference": {head: _estimates(difference(mean[head], other[head])) for head in mean},
        }
        if targets:
            report["against"]["target_minus_whole_post"] = _estimates(difference(other[TARGET_HEAD], other[WHOLE_POST]))
    return report


def _mean_figures(figures: Sequence[Figures]) -> Figures:
    return {head: mean_of([one[head] for one in figures]) for head in figures[0]}


def _mean_irrelevant(name: str, results: Sequence[ModelResult]) -> float | None:
    found = [share for result in results if (share := result.irrelevant[name]) is not None]
    return round(float(np.mean(found)), 4) if found else None


def _head_reports(name: str, results: Sequence[ModelResult]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for head, drawn in _mean_figures([result.figures[name] for result in results]).items():
        found[head] = {}
        for figure, (value, low, high) in _estimates(drawn).items():
            each = [round(float(result.figures[name][head][figure][0]), 4) for result in results]
            spread = round(max(each) - min(each), 4) if len(each) > 1 else None
            found[head][figure] = {"value": value, "low": low, "high": high, "each": each, "spread": spread}
    return found


def _estimates(figures: Mapping[str, Matrix]) -> dict[str, list[float]]:
    return {name: [round(value, 4) for value in estimate(drawn)] for name, drawn in figures.items()}


_AGAINST_RANDOM = {"time": "time", "column": "columns"}
"""Kind of a part -> name of its gap from the random validation part."""


def _gaps(plan: Sequence[PlannedPart], results: Sequence[ModelResult]) -> dict[str, Any]:
    """Macro recall on familiar posts minus that on new ones; positive: new posts are harder.

    `time` and `columns`: random validation part against the newest period, or the values of a column; `topics`: known
    against unseen topics; `sources`: mean over sources of the training against the others. Parts that choose are left
    out, except for the random one.
    """
    found: dict[str, Any] = {"time": {}, "columns": {}, "topics": {}, "sources": None}
    for planned in plan:
        if planned.use == "choose":
            continue
        if planned.kind in _AGAINST_RANDOM and any(one.name == planned.of for one in plan):
            familiar = [result.figures[planned.of] for result in results]
            new = [result.figures[planned.name] for result in results]
            found[_AGAINST_RANDOM[planned.kind]][planned.name] = _gap(familiar, new)
        if planned.kind == "topic":
            unseen = [result.figures[planned.name] for result in results]
            if all(planned.of in result.known_topics for result in results):
                found["topics"][planned.name] = _gap([result.known_topics[planned.of] for result in results], unseen)
            else:
                found["topics"][planned.name] = f"fewer than {MIN_KNOWN_ROWS} posts of known topics are held out"
    of_source = [planned.name for planned in plan if planned.kind == "source" and planned.part.has_targets]
    known = [name for name in of_source if all(name in result.sources for result in results)]
    unseen_names = [name for name in of_source if not any(name in result.sources for result in results)]
    if known and unseen_names:
        means = [
            [_mean_figures([result.figures[name] for name in names]) for result in results]
            for names in (known, unseen_names)
        ]
        found["sources"] = {"known": known, "unseen": unseen_names} | _gap(*means)
    return found


def _gap(familiar: Sequence[Figures], new: Sequence[Figures]) -> dict[str, list[float]]:
    """Head -> [gap in macro recall, low, high]."""
    before, after = _mean_figures(familiar), _mean_figures(new)
    return {
        head: [round(value, 4) for value in estimate(before[head]["macro_recall"] - after[head]["macro_recall"])]
        for head in HEADS
        if head in before and head in after
    }
