"""`brandpulse model average`: one weights folder from the mean of several runs that began with the same weights.

Runs that saw the same posts in another order end in the same valley, so their mean is a model, and usually a better one
(Wortsman et al., 2022). Runs that began with other heads do not.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from brandpulse.errors import ConfigError
from model.checkpoints.multi_head import HeadsCheckpoint, load_heads
from model.checkpoints.weights_folder import TOKENIZER
from model.training.fit.recipe import HeadsRecipe
from model.training.snapshot_selection import Candidate


def average(runs: Sequence[Path], out: Path, *, data: Path, recipe: HeadsRecipe, tests: Sequence[Path] = ()) -> str:
    """Packs the best of the mean of *runs*, the means without one of them, and each run alone; returns the version.

    The validation sets and metrics of *recipe* choose; the result is calibrated on them. Raises ConfigError if a run
    has other shapes, another tokenizer or another start than the first.
    """
    from model.inference.torch_scorer import multi_head
    from model.training.data.corpus import encode_validation, read_texts
    from model.training.packaging import RunFacts
    from model.training.snapshot_selection import finish_snapshots

    if len(runs) < 2:
        raise ConfigError(f"expected at least two weights folders to average, got {len(runs)}")
    first = load_heads(runs[0])
    for run in runs[1:]:
        _check_equal_start(runs[0], first, run)
    if out.resolve() in {run.resolve() for run in runs}:
        raise ConfigError(f"--out {out}: one of the runs; set another folder")
    texts = read_texts(data, recipe, tests=tests)
    manifest = first.manifest
    versions = {run.name: load_heads(run).manifest.version for run in runs}
    return finish_snapshots(
        multi_head(first).float(),
        mean_candidates(runs),
        out,
        # The runs' biases contain the offsets already.
        recipe=recipe.model_copy(update={"offsets": {}}),
        validation=encode_validation(texts.validation, first.tokenizer, manifest.max_tokens),
        posts=[example.marked for _, examples, _ in texts.sources for example in examples],
        facts=RunFacts(runs[0] / TOKENIZER, manifest.base_model, {"averaged": versions}, manifest),
    )


def mean_candidates(runs: Sequence[Path]) -> Iterator[Candidate]:
    """The mean of all *runs*, with three or more the means without one of them, then each run."""
    yield f"mean of {len(runs)}", _mean(runs)
    if len(runs) > 2:
        for left_out in runs:
            yield f"mean without {left_out.name}", _mean([run for run in runs if run != left_out])
    for run in runs:
        yield run.name, _mean([run])


def _mean(runs: Sequence[Path]) -> dict[str, Any]:
    import torch

    found: dict[str, Any] = {}
    for run in runs:
        for name, tensor in load_heads(run).tensors.items():
            part = torch.from_numpy(tensor) / len(runs)
            found[name] = found[name] + part if name in found else part
    return found


def _check_equal_start(one: Path, first: HeadsCheckpoint, other: Path) -> None:
    second = load_heads(other)
    shapes = [{name: tensor.shape for name, tensor in each.tensors.items()} for each in (first, second)]
    for name in sorted(shapes[0].keys() | shapes[1].keys()):
        if shapes[0].get(name) != shapes[1].get(name):
            raise ConfigError(
                f"{other} cannot be averaged with {one}: {name} has shape {shapes[1].get(name, 'none')}, "
                f"not {shapes[0].get(name, 'none')}"
            )
    if (one / TOKENIZER).read_bytes() != (other / TOKENIZER).read_bytes():
        raise ConfigError(f"{other} cannot be averaged with {one}: their tokenizers differ")
    starts = [_start(each) for each in (first, second)]
    if starts[0] != starts[1]:
        raise ConfigError(
            f"{other} cannot be averaged with {one}: it began with {starts[1]}, not with {starts[0]}. "
            "Train both with the same --base and recipe, and another --seed."
        )


def _start(checkpoint: HeadsCheckpoint) -> str:
    """The weights that a run began with."""
    settings: Mapping[str, Any] = checkpoint.manifest.recipe
    seed = settings.get("start_seed")
    return f"{checkpoint.manifest.base_model}, heads of seed {settings.get('seed') if seed is None else seed}"
