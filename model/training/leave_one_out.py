"""`brandpulse model leave-out`: how a recipe does on a source that it was not trained on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brandpulse.errors import ConfigError
from model.checkpoints.weights_folder import MANIFEST
from model.data.labelled_posts import leak_key
from model.data.parts_manifest import file_hash
from model.data.training_examples import numbered_rows
from model.evaluation.bootstrap_metrics import estimate
from model.evaluation.metrics import Matrix
from model.evaluation.side_by_side import HEADS, Part, difference, drawn_figures, read_part, score_part
from model.loader import load_scorer
from model.training.data.corpus import set_files
from model.training.fit.progress_log import log_progress
from model.training.fit.recipe import HeadsRecipe
from model.training.fit.run_state import claim_run, fingerprint
from model.training.run import train

_FILE = "leave_out.json"
_REFERENCE = "all"
"""Name of the run with every source."""

Figures = dict[str, dict[str, Matrix]]
"""Head -> figure -> (1 + resamples,), see `drawn_metrics`."""


def leave_one_out(
    data: Path,
    out: Path,
    *,
    recipe: HeadsRecipe,
    base: Path,
    sources: Sequence[str] = (),
    rows: int | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Trains *recipe* once with all sources, and once without each of *sources*, and compares on that source's posts.

    *sources* are by default all sets of the recipe with a sentiment towards a target; *rows* limits the training posts
    of each run. Called again with the same settings, it continues with the first run that is not complete. Returns the
    report, and writes it after each source, so that a long command can be stopped. Raises ConfigError for an unknown
    source or a missing file, or if *out* belongs to other settings.
    """
    known = [name for source in recipe.sources for name in source.names]
    chosen = list(sources) or [name for name in known if _has_targets(data, name)]
    if not chosen:
        raise ConfigError(f"The recipe {recipe.name} has no source with a sentiment towards a target: set --source.")
    for name in chosen:
        _recipe_without(recipe, name)  # an invalid name must stop the command before the first long run
    try:
        hashes = {name: [file_hash(path) for path in set_files(data, name)] for name in known}
    except OSError as error:
        raise ConfigError(f"--data {data}: {error}") from error
    _claim(out, fingerprint(recipe.model_dump(), str(base), rows, hashes))
    unseen: dict[str, Figures] = {}
    seen: dict[str, Figures] = {}
    counts: dict[str, int] = {}
    report: dict[str, Any] = {}
    # The compared posts are validation posts: the run with every source is not trained on them either.
    reference = _trained(data, out / _REFERENCE, recipe=recipe, base=base, rows=rows)
    for number, name in enumerate(chosen):
        part = _held_out_part(data, out, recipe, name)
        weights = _trained(
            data,
            out / f"without-{name}",
            recipe=_recipe_without(recipe, name),
            base=base,
            rows=rows,
            tests=[part.gold.path],
        )
        unseen[name], seen[name] = (_figures(each, part, threads, seed=number) for each in (weights, reference))
        counts[name] = len(part.gold.texts)
        settings = {"recipe": recipe.name, "base": str(base), "rows": rows, "seed": recipe.seed}
        report = settings | report_of(unseen, seen, counts)
        (out / _FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def report_of(unseen: Mapping[str, Figures], seen: Mapping[str, Figures], rows: Mapping[str, int]) -> dict[str, Any]:
    """For each source and for their mean: figures without the source, with it, and the difference: the gap.

    Each figure is [value, low, high]; intervals are over posts, not over training seeds.
    """
    sources = {name: {"rows": rows[name]} | _compared(unseen[name], seen[name]) for name in unseen}
    return {"sources": sources, "mean": _compared(_mean(list(unseen.values())), _mean(list(seen.values())))}


def table(report: Mapping[str, Any]) -> str:
    """Macro recall by source, for a terminal."""
    lines = [f"{'macro recall':16} {'rows':>6}  {'target head':>11} {'whole post':>11}  {'gap, target head':>24}"]
    for name, found in [*report["sources"].items(), ("mean", report["mean"])]:
        shown = {
            head: f"{found['unseen'][head]['macro_recall'][0]:.3f}" if head in found["unseen"] else "-"
            for head in HEADS
        }
        gap = found["unseen_minus_seen"].get("target", {}).get("macro_recall")
        gap_text = "-" if gap is None else f"{gap[0]:+.3f} [{gap[1]:+.3f}, {gap[2]:+.3f}]"
        lines.append(
            f"{name:16} {found.get('rows', ''):>6}  {shown['target']:>11} {shown['whole_post']:>11}  {gap_text:>24}"
        )
    return "\n".join(lines)


def _trained(
    data: Path, out: Path, *, recipe: HeadsRecipe, base: Path, rows: int | None, tests: Sequence[Path] = ()
) -> Path:
    """The folder *out* with the weights of the run; trains them unless an earlier call completed them."""
    if (out / MANIFEST).exists():
        log_progress("complete", run=out.name)
    else:
        train(data, out, recipe=recipe, base=base, tests=tests, rows=rows)
    return out


def _claim(out: Path, settings: str) -> None:
    """Raises ConfigError if *out* holds runs with other settings, whose figures must not be mixed with new ones."""
    try:
        claim_run(out, settings)
    except ConfigError as error:
        raise ConfigError(f"--out {out}: {error}") from error


def _has_targets(data: Path, name: str) -> bool:
    try:
        return next((row for _, row in numbered_rows(set_files(data, name)[1])), {}).get("target_sentiment") is not None
    except ValueError as error:
        raise ConfigError(f"--data {data}: {error}") from error


def _recipe_without(recipe: HeadsRecipe, name: str) -> HeadsRecipe:
    known = [each for source in recipe.sources for each in source.names]
    if name not in known:
        raise ConfigError(f"--source {name}: the recipe {recipe.name} has no such source, only {', '.join(known)}")
    sources = []
    for source in recipe.sources:
        names = tuple(each for each in source.names if each != name)
        if names:
            sources.append(source.model_copy(update={"names": names}))
    judged_by = {part: figure for part, figure in recipe.judged_by.items() if part.removesuffix("+words") != name}
    if not sources or not judged_by:
        missing = "sources" if not sources else "judged_by"
        raise ConfigError(f"--source {name}: without it the recipe {recipe.name} has nothing left in `{missing}`.")
    for head in recipe.fitted_offsets:
        if f"{head}_recall" not in judged_by.values():
            raise ConfigError(
                f"--source {name}: without it the recipe {recipe.name} has no set in `judged_by` to fit the offsets of "
                f"{head} on (`fitted_offsets`)."
            )
    return recipe.model_copy(update={"sources": tuple(sources), "judged_by": judged_by})


def _held_out_part(data: Path, out: Path, recipe: HeadsRecipe, name: str) -> Part:
    """The validation posts of the source *name*, without those in another validation part, as a file in *out*.

    The runs exclude the texts of the file from their training.
    """
    others = ({each for source in recipe.sources for each in source.names} | set(recipe.held_out)) - {name}
    try:
        taken = {leak_key(row["text"]) for other in others for _, row in numbered_rows(set_files(data, other)[1])}
        rows = [row for _, row in numbered_rows(set_files(data, name)[1]) if leak_key(row["text"]) not in taken]
        path = out / f"{name}.posts.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return read_part(path)
    except ValueError as error:
        raise ConfigError(f"--data {data}: {error}") from error


def _figures(weights: Path, part: Part, threads: int | None, *, seed: int) -> Figures:
    answers = score_part(load_scorer("auto", weights, threads), part)
    return {head: drawn_figures(found, part.groups, seed=seed) for head, found in answers.heads.items()}


def _mean(found: Sequence[Figures]) -> Figures:
    """The mean over sources; a head or source that lacks in one lacks in the mean."""
    heads = [head for head in HEADS if all(head in one for one in found)]
    return {
        head: {name: np.mean([one[head][name] for one in found], axis=0) for name in found[0][head]} for head in heads
    }


def _compared(unseen: Figures, seen: Figures) -> dict[str, Any]:
    return {
        "unseen": _estimates(unseen),
        "seen": _estimates(seen),
        "unseen_minus_seen": _estimates({head: difference(unseen[head], seen[head]) for head in unseen}),
    }


def _estimates(figures: Figures) -> dict[str, dict[str, list[float]]]:
    return {
        head: {name: [round(value, 4) for value in estimate(drawn)] for name, drawn in found.items()}
        for head, found in figures.items()
    }
