"""How many posts a second each engine scores, beside the plain Hugging Face pipeline, in one run."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from model.checkpoint import load
from model.cores import available_cores
from model.engine import Classifier
from model.labelled import read_texts
from model.load import WEIGHTS, torch_is_installed

PEER = "hugging face pipeline"
"""float32, batches of 32 in order of arrival."""

Score = Callable[[Sequence[str]], object]


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """One row of the table."""

    name: str
    posts_per_second: float
    """Of the median round, tokenising included."""
    spread: float
    """(slowest − fastest round) / median round: how noisy the machine was."""
    posts_per_core_second: float
    """Of the round that used least processor time, all threads together; says more than posts/s on a busy machine."""
    load_seconds: float


def run(
    data: Path, *, weights: Path = WEIGHTS, posts: int = 1_000, rounds: int = 3, threads: int | None = None
) -> list[EngineSpeed]:
    """Prints and returns the posts/s of each engine and precision on the first *posts* texts of *data*.

    The engines take turns, *rounds* times, so that a noisy neighbour slows all of them and the ratios stand.
    Without torch and transformers the torch engine and the pipeline are left out, with a word.
    """
    from rich.console import Console
    from rich.table import Table

    texts = read_texts(data, limit=posts)
    cores = threads or available_cores()
    console = Console()
    seconds: dict[str, list[float]] = {}
    core_seconds: dict[str, list[float]] = {}
    load_seconds: dict[str, float] = {}
    scorers: dict[str, Score] = {}
    for name, make in _contestants(weights, cores).items():
        started = time.perf_counter()
        scorers[name] = make()
        load_seconds[name] = time.perf_counter() - started
        scorers[name](texts[:: max(1, len(texts) // 128)])  # the first batch of each shape builds kernels
        seconds[name], core_seconds[name] = [], []
    for _ in range(rounds):
        for name, score in scorers.items():
            gc.collect()
            started, used = time.perf_counter(), time.process_time()
            score(texts)
            seconds[name].append(time.perf_counter() - started)
            core_seconds[name].append(time.process_time() - used)

    speeds = [
        EngineSpeed(
            name=name,
            posts_per_second=len(texts) / median(taken),
            spread=(max(taken) - min(taken)) / median(taken),
            posts_per_core_second=len(texts) / min(core_seconds[name]),
            load_seconds=load_seconds[name],
        )
        for name, taken in seconds.items()
    ]
    peer = next((speed for speed in speeds if speed.name == PEER), None)
    table = Table(title=f"{len(texts)} posts, {cores} cores, {rounds} rounds in turns")
    for heading in ("engine", "posts/s", "spread", "against pipeline", "posts/core-s", "against pipeline", "load s"):
        table.add_column(heading, justify="left" if heading == "engine" else "right")
    for speed in sorted(speeds, key=lambda speed: -speed.posts_per_second):
        table.add_row(
            speed.name,
            f"{speed.posts_per_second:,.0f}",
            f"{speed.spread:.0%}",
            f"{speed.posts_per_second / peer.posts_per_second:.2f} x" if peer else "-",
            f"{speed.posts_per_core_second:,.0f}",
            f"{speed.posts_per_core_second / peer.posts_per_core_second:.2f} x" if peer else "-",
            f"{speed.load_seconds:.1f}",
        )
    console.print(table)
    if peer is None:
        console.print("No pipeline to compare with: torch and transformers are not installed ('brandpulse[train]').")
    return speeds


def _contestants(weights: Path, threads: int) -> dict[str, Callable[[], Score]]:
    from model.openvino_engine import OpenVinoClassifier

    def openvino(precision: Any) -> Callable[[], Score]:
        return lambda: OpenVinoClassifier(weights, threads=threads, precision=precision).probabilities

    contestants = {f"openvino {precision}": openvino(precision) for precision in ("fp32", "bf16", "int8")}
    if not torch_is_installed():
        return contestants
    torch = {"torch": lambda: _torch(weights, threads).probabilities, PEER: lambda: _pipeline(weights, threads)}
    return contestants | torch


def _torch(weights: Path, threads: int) -> Classifier:
    from model.torch_engine import TorchClassifier

    return TorchClassifier(weights, threads=threads)


def hugging_face_pipeline(weights: Path = WEIGHTS) -> Callable[[Sequence[str]], list[str]]:
    """The peer as a function from texts to labels, on all cores."""
    classify = _pipeline(weights, available_cores())
    return lambda texts: [str(found["label"]) for found in classify(texts)]


def _pipeline(weights: Path, threads: int) -> "Callable[[Sequence[str]], list[dict[str, Any]]]":
    """The pipeline as its documentation starts it: fp32 on the CPU, batches of 32 in order of arrival."""
    import torch
    from transformers import PreTrainedTokenizerFast, TextClassificationPipeline

    from model.torch_engine import bert

    checkpoint = load(weights)
    torch.set_num_threads(threads)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(weights / "tokenizer.json"),
        pad_token="[PAD]",  # noqa: S106 - a token of text
        model_max_length=checkpoint.manifest.max_tokens,
    )
    model = bert(checkpoint).eval()
    pipeline = TextClassificationPipeline(model=model, tokenizer=tokenizer, device="cpu", batch_size=32)
    return lambda texts: pipeline(list(texts), truncation=True)
