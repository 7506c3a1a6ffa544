"""How many posts a second each engine scores, beside the plain Hugging Face pipeline, in one run."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

from brandpulse.bench.model.engine_memory import memory_of
from model.cpu.cpu_info import available_cores
from model.data.labelled_posts import read_texts
from model.inputs.target_marking import plain
from model.loader import load_scorer, torch_is_installed
from model.spec.options import Engine, ExitPolicy, Precision
from model.spec.weights import WEIGHTS

PEER = "hugging face pipeline"
"""float32, batches of 32 in order of arrival, padded to multiples of 8."""

PEER_BATCH = 32

Score = Callable[[Sequence[str]], object]


Batches = Literal["all at once", "32 as they come", "32 by length"]
"""How posts come to an engine. All at once: it sorts and packs them itself, as a worker lets it."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to score posts. Those without an engine are the peer."""

    name: str
    engine: Engine | None = None
    precision: Precision = "fp32"
    exit_policy: ExitPolicy = "full"
    batches: Batches = "all at once"


CONTESTANTS = (
    *(Contestant(f"openvino {precision}", "openvino", precision) for precision in ("fp32", "bf16", "int8")),
    *(Contestant(f"openvino {precision} early", "openvino", precision, "early") for precision in ("fp32", "int8")),
    Contestant("onnxruntime int8", "openvino", "int8-onnxruntime"),
    Contestant("onnxruntime int8 early", "openvino", "int8-onnxruntime", "early"),
    Contestant("openvino int8, 32 as they come", "openvino", "int8", batches="32 as they come"),
    Contestant("openvino int8, 32 by length", "openvino", "int8", batches="32 by length"),
    Contestant("torch", "torch"),
    Contestant(PEER, batches="32 as they come"),
    Contestant(f"{PEER}, by length", batches="32 by length"),
)


@dataclass(slots=True)
class Measurement:
    """What one contestant did, round by round."""

    seconds: list[float] = field(default_factory=list)
    core_seconds: list[float] = field(default_factory=list)
    load_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """One row of the table."""

    name: str
    posts_per_second: float
    """Of the median round, normalising and tokenising included. Each post is one pass, whatever is asked about it."""
    spread: float
    """(slowest − fastest round) / median round: how noisy the machine was."""
    posts_per_core_second: float
    """Of the round that used least processor time, all threads together; says more than posts/s on a busy machine."""
    load_seconds: float
    settled: float | None
    """Share of the posts that the early heads settled, if they were asked."""
    memory: int | None
    """Most bytes that a process held which did only this; None where it was not measured."""


def run(
    data: Path,
    *,
    weights: Path = WEIGHTS,
    posts: int = 1_000,
    rounds: int = 3,
    threads: int | None = None,
    memory: bool = True,
) -> list[EngineSpeed]:
    """Prints and returns the posts/s of each engine, precision and tier policy on the first *posts* texts of *data*.

    They take turns, *rounds* times, so that a noisy neighbour slows all of them and the ratios stand. Without torch and
    transformers the torch engine and the pipeline are left out, with a word; so is what the weights do not offer.
    """
    texts = read_texts(data, limit=posts)
    cores = threads or available_cores()
    known = [contestant for contestant in CONTESTANTS if _is_offered(contestant, weights)]
    measured = {contestant.name: Measurement() for contestant in known}
    scorers: dict[str, Score] = {}
    settled: dict[str, Callable[[], int]] = {}
    for contestant in known:
        started = time.perf_counter()
        scorers[contestant.name], settled[contestant.name] = _make(contestant, weights, cores)
        measured[contestant.name].load_seconds = time.perf_counter() - started
        scorers[contestant.name](texts)  # the first batch of each shape builds kernels
    before = {name: count() for name, count in settled.items()}
    for _ in range(rounds):
        for name, score in scorers.items():
            gc.collect()
            started, used = time.perf_counter(), time.process_time()
            score(texts)
            measured[name].seconds.append(time.perf_counter() - started)
            measured[name].core_seconds.append(time.process_time() - used)
    shares = {name: (count() - before[name]) / (rounds * max(1, len(texts))) for name, count in settled.items()}
    scorers.clear()
    settled.clear()
    # How posts come changes the speed and not what is held.
    apart = [each for each in known if each.batches == "all at once" or each.name == PEER]
    held = {each.name: memory_of(partial(_make, each, weights, cores), texts) for each in apart} if memory else {}
    speeds = [
        EngineSpeed(
            name=contestant.name,
            posts_per_second=len(texts) / median(found.seconds),
            spread=(max(found.seconds) - min(found.seconds)) / median(found.seconds),
            posts_per_core_second=len(texts) / min(found.core_seconds),
            load_seconds=found.load_seconds,
            settled=shares[contestant.name] if contestant.exit_policy == "early" else None,
            memory=held.get(contestant.name),
        )
        for contestant, found in zip(known, measured.values(), strict=True)
    ]
    _print(speeds, title=f"{len(texts)} posts, {cores} cores, {rounds} rounds in turns")
    return speeds


def hugging_face_pipeline(weights: Path = WEIGHTS) -> Callable[[Sequence[str]], list[str]]:
    """The peer as a function from texts to labels, on all cores."""
    classify = _pipeline(weights, available_cores())
    return lambda texts: [str(found["label"]) for found in classify(texts)]


def _is_offered(contestant: Contestant, weights: Path) -> bool:
    from model.checkpoints.multi_head import read_heads_manifest
    from model.checkpoints.weights_folder import kind_of
    from model.cpu.onnxruntime_requests import onnx_is_installed
    from model.spec.weights import MULTI_HEAD

    if contestant.engine != "openvino":
        return torch_is_installed()
    if kind_of(weights) != MULTI_HEAD:
        return contestant.exit_policy == "full" and contestant.precision != "int8-onnxruntime"
    if contestant.precision == "int8-onnxruntime" and not onnx_is_installed():
        return False
    manifest = read_heads_manifest(weights)
    bytes_too = manifest.ranges or not contestant.precision.startswith("int8")
    return bool(bytes_too and (manifest.exit_confidence or contestant.exit_policy == "full"))


def _make(contestant: Contestant, weights: Path, threads: int) -> tuple[Score, Callable[[], int]]:
    """A function that scores texts, and one that counts what the early heads settled so far."""
    if contestant.engine is None:
        classify = _pipeline(weights, threads)
        return (
            classify if contestant.batches == "32 as they come" else lambda texts: classify(_by_length(texts))
        ), _nothing_settled
    scorer = load_scorer(
        contestant.engine, weights, threads, precision=contestant.precision, exit_policy=contestant.exit_policy
    )

    def score(texts: Sequence[str]) -> None:
        ordered = _by_length(texts) if contestant.batches == "32 by length" else texts
        size = len(texts) if contestant.batches == "all at once" else PEER_BATCH
        for start in range(0, len(ordered), size):
            scorer.score([plain(text) for text in ordered[start : start + size]])

    return score, lambda: getattr(scorer, "settled", 0)


def _by_length(texts: Sequence[str]) -> list[str]:
    return sorted(texts, key=len)


def _nothing_settled() -> int:
    return 0


def _pipeline(weights: Path, threads: int) -> "Callable[[Sequence[str]], list[dict[str, Any]]]":
    """The pipeline on the same encoder with its head for whole posts, in fp32 on the CPU."""
    import torch
    from transformers import PreTrainedTokenizerFast, TextClassificationPipeline

    from model.inference.torch_classifier import whole_post_bert

    model, max_tokens = whole_post_bert(weights)
    torch.set_num_threads(threads)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(weights / "tokenizer.json"),
        pad_token="[PAD]",  # noqa: S106 - a token of text
        model_max_length=max_tokens,
    )
    pipeline = TextClassificationPipeline(model=model.eval(), tokenizer=tokenizer, device="cpu", batch_size=PEER_BATCH)
    return lambda texts: pipeline(list(texts), truncation=True, padding=True, pad_to_multiple_of=8)


def _print(speeds: Sequence[EngineSpeed], *, title: str) -> None:
    from rich.table import Table

    from brandpulse.runtime.console import Console

    peer = next((speed for speed in speeds if speed.name == PEER), None)
    table = Table(title=title)
    right = ("posts/s", "spread", "x pipeline", "posts/core-s", "x pipeline", "settled early", "load s", "memory MB")
    for heading in ("engine", *right):
        table.add_column(heading, justify="right" if heading in right else "left")
    for speed in sorted(speeds, key=lambda speed: -speed.posts_per_second):
        table.add_row(
            speed.name,
            f"{speed.posts_per_second:,.0f}",
            f"{speed.spread:.0%}",
            f"{speed.posts_per_second / peer.posts_per_second:.2f}" if peer else "-",
            f"{speed.posts_per_core_second:,.0f}",
            f"{speed.posts_per_core_second / peer.posts_per_core_second:.2f}" if peer else "-",
            "-" if speed.settled is None else f"{speed.settled:.1%}",
            f"{speed.load_seconds:.1f}",
            "-" if speed.memory is None else f"{speed.memory / 1e6:,.0f}",
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a file or a pipe has no width of its own, and 80 columns cut the headings
    console.print(table)
    console.print(
        "A post is one pass, however many brands it is asked about. `early` is BRANDPULSE_WORKER_TIERS=early; "
        "without it a worker runs the full depth."
    )
    if peer is None:
        console.print("No pipeline to compare with: torch and transformers are not installed ('brandpulse[train]').")
