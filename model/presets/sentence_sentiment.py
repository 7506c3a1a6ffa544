"""The presets `tweets`, `finance` and `reviews`: the sentiment of whole texts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from model.presets.preset import Preset, data_file
from model.presets.result_table import Row, rows_of, show_table
from model.presets.review_data import BINARY, imdb_reviews, sample_reviews, sst2, without_held_out, write_reviews
from model.report.evaluation_run import EvaluatedModel, evaluate_file

THREE_CLASS_METRICS = {"macro_recall": "macro recall", "macro_f1": "macro F1", "accuracy": "accuracy"}
TWO_CLASS_METRICS = {"accuracy": "accuracy", "macro_f1": "macro F1"}
TRAINING_REVIEWS, TEST_REVIEWS = 3_000, 300
"""Numbers of reviews, as in the Hugging Face tutorial."""


def tweets(chosen: Preset, data: Path, model: EvaluatedModel, *, json_out: Path | None = None) -> dict[str, Any]:
    """Evaluates *model* on tweets; prints and returns the results."""
    rows: list[Row] = []
    for one in chosen.data:
        report = evaluate_file(model, data_file(data, one.files[-1]), task="sentiment")[0].report
        rows += rows_of("as shipped", report, THREE_CLASS_METRICS, data=one.name)
    return show_table(chosen, rows, json_out=json_out, weights=str(model.weights))


def finance(
    chosen: Preset,
    data: Path,
    model: EvaluatedModel,
    out: Path,
    *,
    json_out: Path | None = None,
    rows: int | None = None,
) -> dict[str, Any]:
    """Trains the weights of *model* on financial news into *out*; prints and returns the results before and after."""
    held_out = data_file(data, chosen.data[0].files[1])
    trained = fine_tune(chosen, held_out.parent, model, out, rows=rows)
    found: list[Row] = []
    for name, evaluated in (("as shipped", model), ("trained on it", trained)):
        report = evaluate_file(evaluated, held_out, task="sentiment")[0].report
        found += rows_of(name, report, THREE_CLASS_METRICS, data=chosen.data[0].name)
    return show_table(chosen, found, json_out=json_out, weights=str(out))


def reviews(
    chosen: Preset,
    data: Path,
    model: EvaluatedModel,
    out: Path,
    *,
    imdb: Path | None = None,
    json_out: Path | None = None,
    rows: int | None = None,
) -> dict[str, Any]:
    """Trains on 3,000 reviews into *out*; prints and returns the results before and after, on 300 and on all others.

    *imdb* is the path for `imdb_reviews`; default: SST-2.
    """
    work = out.with_name(out.name + ".data")
    work.mkdir(parents=True, exist_ok=True)
    seed = chosen.recipe["seed"] if chosen.recipe else 0
    given, held_out = imdb_reviews(imdb) if imdb else sst2(data, chosen)
    learnt = sample_reviews(
        without_held_out(given, held_out), min(rows or TRAINING_REVIEWS, TRAINING_REVIEWS), seed=seed
    )
    test_sets = {"test": sample_reviews(held_out, TEST_REVIEWS, seed=seed), "all others": held_out}
    write_reviews(work / "reviews.train.jsonl", learnt)
    for part, chosen_rows in test_sets.items():
        write_reviews(work / f"{part}.jsonl", chosen_rows)
    recipe = dict(chosen.recipe or {})
    if imdb:
        recipe["max_tokens"] = REVIEW_TOKENS
    trained = fine_tune(chosen.model_copy(update={"recipe": recipe}), work, model, out)
    source, found = "IMDB" if imdb else "SST-2", list[Row]()
    for name, evaluated in (("as shipped", model), (f"trained on {len(learnt):,}", trained)):
        for part in test_sets:
            report = evaluate_file(evaluated, work / f"{part}.jsonl", task="sentiment", labels=BINARY)[0].report
            found += rows_of(name, report, TWO_CLASS_METRICS, data=f"{source}, {part}")
            found.append(_f1_of_positive(found[-1], report))
    return show_table(chosen, found, json_out=json_out, source=source, weights=str(out))


REVIEW_TOKENS = 256
"""Maximum tokens of a film review, as in most tutorials."""


def _f1_of_positive(beside: Row, report: dict[str, Any]) -> Row:
    """The metric of the tutorial."""
    return replace(beside, figure="F1 of positive", value=report["per_class"]["positive"]["f1"], interval=None)


def fine_tune(
    chosen: Preset, data: Path, model: EvaluatedModel, out: Path, *, rows: int | None = None
) -> EvaluatedModel:
    """*model* with weights that the recipe of *chosen* trained further on files in *data*."""
    from model.training.fit.recipe import HeadsRecipe
    from model.training.run import train

    train(data, out, recipe=HeadsRecipe.model_validate(chosen.recipe), base=model.weights, rows=rows)
    return replace(model, weights=out)
