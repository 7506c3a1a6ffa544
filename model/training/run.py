"""`brandpulse model train`: from labelled posts to a weights folder for every engine.

Reads the sources of a recipe, checks them against each other, trains, chooses among the last snapshots, calibrates and
packs. The folder `{out}.run` keeps the state to resume a killed run.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from brandpulse.errors import ConfigError
from model.training.fit.recipe import HeadsRecipe

if TYPE_CHECKING:
    from model.graphs.torch_multihead import MultiHead
    from model.training.data.batches import Encoded
    from model.training.data.corpus import CheckedTexts, EncodedSource
    from model.training.distillation.stored_answers import StoredAnswers
    from model.training.fit.initial_weights import InitialNetwork


class NetworkSettings(TypedDict):
    """The settings of a recipe that change the form of the network."""

    seed: int
    layers: Sequence[int] | None
    pooling: str
    early_heads: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run before its first step."""

    start: "InitialNetwork"
    texts: "CheckedTexts"
    sources: "list[EncodedSource]"
    validation: "dict[str, list[Encoded]]"
    teacher: "MultiHead | StoredAnswers | None" = None


def train(
    data: Path,
    out: Path,
    *,
    recipe: HeadsRecipe,
    base: Path,
    teacher: Path | None = None,
    tests: Sequence[Path] = (),
    rows: int | None = None,
) -> str:
    """Trains the heads of *recipe* on *base*, packs them into *out*, and returns the version of the weights.

    *base* is a folder with an encoder or packed weights to start from, *teacher* packed weights to learn from, or a
    folder with their stored answers; posts of the files *tests* are excluded; *rows* is the maximum number of training
    rows. Called again, it resumes a killed run, or repeats the last phase of a completed one.
    """
    # Spinning OpenMP threads compete with other processes for the cores: this setting raised 13 tweets/s to 33.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from model.training.distillation.stored_answers import StoredAnswers
    from model.training.fit import lora
    from model.training.fit.initial_weights import freeze_layers, zero_untrained_heads
    from model.training.fit.loop import fit
    from model.training.fit.progress_log import log_progress
    from model.training.fit.run_state import claim_run, fingerprint, is_first_process, own_device, write_text
    from model.training.multi_head_task import HeadsTask

    if (recipe.teacher is None) != (teacher is None):
        raise ConfigError("--teacher and the recipe's setting `teacher` must be set together.")
    prepared = prepare(data, recipe, base=base, teacher=teacher, tests=tests, rows=rows)
    run = out.with_name(out.name + ".run")
    answers = prepared.teacher if isinstance(prepared.teacher, StoredAnswers) else None
    given = [recipe.model_dump(), str(base), str(teacher), rows, asdict(prepared.texts.checked)]
    # With more answers than before, or another teacher's, a resumed run would not be the same run.
    claim_run(run, fingerprint(*given, *([len(answers), answers.manifest.version] if answers is not None else [])))
    if is_first_process():
        write_text(run / "tokenizer.json", prepared.start.tokenizer)

    model = prepared.start.model
    if prepared.start.manifest is None:
        zero_untrained_heads(model, recipe.weights)
    if recipe.frozen_layers is not None:
        freeze_layers(model, recipe.frozen_layers)
    if recipe.lora is not None:
        lora.add_adapters(model, recipe.lora)
        log_progress("lora", **lora.count_weights(model))
    model.to(own_device())
    task = HeadsTask(model, recipe, prepared.sources, prepared.validation, prepared.teacher)
    progress = fit(task, recipe, run)
    if not is_first_process():
        return ""
    facts = {
        "rows_seen": progress.rows,
        "seconds": round(progress.seconds),
        "rows_per_second": round(progress.rows / max(progress.seconds, 1e-9), 1),
        "steps": progress.step,
        "checks": asdict(prepared.texts.checked),
    }
    write_text(run / "run.json", json.dumps(facts, indent=2) + "\n")
    return finish_run(run, out, prepared.texts, recipe=recipe, base=base, figures=progress.figures)


def prepare(
    data: Path,
    recipe: HeadsRecipe,
    *,
    base: Path,
    teacher: Path | None = None,
    tests: Sequence[Path] = (),
    rows: int | None = None,
) -> Prepared:
    """Reads and checks the posts and creates the initial network. Raises ConfigError for invalid input."""
    from model.training.data.corpus import encode_texts, read_texts
    from model.training.distillation.stored_answers import StoredAnswers, is_answers_folder
    from model.training.fit.initial_weights import initial_network, teaching_model, tokenizer_of

    texts = read_texts(data, recipe, tests=tests, limit=rows)
    words = (example.marked.text for _, examples, _ in texts.sources for example in examples)
    begun = initial_network(base, words, dropout=recipe.dropout, **network_settings(recipe))
    tokenizer = tokenizer_of(begun.tokenizer)
    answers = StoredAnswers(teacher) if teacher is not None and is_answers_folder(teacher) else None
    network = teaching_model(teacher, tokenizer) if teacher is not None and answers is None else None
    sources, validation = encode_texts(
        texts, tokenizer, recipe.max_tokens, answers.row if answers is not None else None
    )
    return Prepared(begun, texts, sources, validation, network if answers is None else answers)


def network_settings(recipe: HeadsRecipe) -> "NetworkSettings":
    return {
        "seed": recipe.first_seed,
        "layers": recipe.layers,
        "pooling": recipe.pooling,
        "early_heads": recipe.exit_weight > 0,
    }


def finish_run(
    run: Path,
    out: Path,
    texts: "CheckedTexts",
    *,
    recipe: HeadsRecipe,
    base: Path,
    snapshots: Path | None = None,
    figures: Sequence[float] = (),
) -> str:
    """Packs the snapshots of *run*, finished or not, into *out* and returns the version.

    *snapshots* is their folder (default: `run/snap`). If *figures* contains the validation metric of each, snapshots
    after the best one are left out.
    """
    from model.training.data.corpus import encode_validation
    from model.training.fit.initial_weights import base_name, initial_network, tokenizer_of
    from model.training.packaging import RunFacts
    from model.training.snapshot_selection import candidates, finish_snapshots

    tokenizer = run / "tokenizer.json"
    files = sorted((snapshots or run / "snap").glob("*.safetensors"))
    if figures:
        files = files[: figures.index(max(figures)) + 1]
    # A new network: the trained one may contain adapters, so that its tensor names differ from the snapshots'.
    plain = initial_network(base, (), **network_settings(recipe))
    facts = json.loads((run / "run.json").read_text(encoding="utf-8")) if (run / "run.json").exists() else {}
    return finish_snapshots(
        plain.model,
        candidates(files),
        out,
        recipe=recipe,
        validation=encode_validation(
            texts.validation, tokenizer_of(tokenizer.read_text(encoding="utf-8")), recipe.max_tokens
        ),
        posts=[example.marked for _, examples, _ in texts.sources for example in examples],
        facts=RunFacts(tokenizer, base_name(base), facts, plain.manifest),
    )
