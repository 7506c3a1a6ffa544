"""Posts per second of each engine and of the plain Hugging Face pipeline, in one run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

from brandpulse.bench.model.engine_process import EngineCrashedError, EngineProcess, Round, Score
from model.cpu.cpu_info import available_cores
from model.data.labelled_posts import read_texts
from model.inputs.target_marking import plain
from model.loader import load_scorer, torch_is_installed
from model.spec.options import Engine, ExitPolicy, Precision
from model.spec.weights import WEIGHTS

PEER = "hugging face pipeline"
"""float32, batches of 32 in input order, padded to multiples of 8."""

PEER_BATCH = 32

Batches = Literal["all at once", "32 as they come", "32 by length"]
"""How posts are passed to an engine. All at once: the engine sorts and packs them, as in a worker."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to score posts; without an engine: the Hugging Face pipeline."""

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


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """One row of the table."""

    name: str
    posts_per_second: float
    """Of the median round, with normalization and tokenization. Each post is one pass for any number of targets."""
    spread: float
    """(slowest − fastest round) / median round: the noise of the machine."""
    posts_per_core_second: float
    """Of the round with the least processor time of all threads; more reliable than posts/s on a busy machine."""
    load_seconds: float
    settled: float | None
    """Share of posts with a final early answer; None without early exit."""
    memory: int | None
    """Peak bytes of the engine's process; None if the system does not report it."""


def run(
    data: Path,
    *,
    weights: Path = WEIGHTS,
    posts: int = 1_000,
    rounds: int = 3,
    threads: int | None = None,
) -> list[EngineSpeed]:
    """Prints and returns the posts/s of each engine, precision and exit policy on the first *posts* texts of *data*.

    Each has its own process. They take turns in *rounds* rounds, so that a noisy neighbour slows all of them and ratios
    stay valid. Engines that the packages or the weights do not support, or whose process crashes, are left out.
    """
    texts = read_texts(data, limit=posts)
    cores = threads or available_cores()
    processes: dict[Contestant, EngineProcess] = {}
    crashed: dict[str, str] = {}
    measured: dict[Contestant, list[Round]] = {}
    speeds: list[EngineSpeed] = []
    for contestant in CONTESTANTS:
        if _is_offered(contestant, weights):
            with _noting(crashed, contestant):
                processes[contestant] = EngineProcess(partial(_make, contestant, weights, cores), texts)
    for _ in range(rounds):
        for contestant, process in processes.items():
            if contestant.name not in crashed:
                with _noting(crashed, contestant):
                    measured.setdefault(contestant, []).append(process.round())
    for contestant, process in processes.items():
        if contestant.name not in crashed:
            with _noting(crashed, contestant):
                peak = process.end()
                speeds.append(_speed(contestant, process, measured[contestant], len(texts), peak))
    _print(speeds, crashed, title=f"{len(texts)} posts, {cores} cores, {rounds} rounds in turns")
    return speeds


@contextmanager
def _noting(crashed: dict[str, str], contestant: Contestant) -> Iterator[None]:
    """Records an engine that crashes in *crashed*; the others continue."""
    try:
        yield
    except EngineCrashedError as error:
        crashed[contestant.name] = str(error)


def _speed(
    contestant: Contestant, process: EngineProcess, rounds: Sequence[Round], posts: int, peak: int | None
) -> EngineSpeed:
    seconds = [each.seconds for each in rounds]
    return EngineSpeed(
        name=contestant.name,
        posts_per_second=posts / median(seconds),
        spread=(max(seconds) - min(seconds)) / median(seconds),
        posts_per_core_second=posts / min(each.core_seconds for each in rounds),
        load_seconds=process.load_seconds,
        settled=sum(each.settled for each in rounds) / (len(rounds) * max(1, posts))
        if contestant.exit_policy == "early"
        else None,
        memory=peak,
    )


def hugging_face_pipeline(weights: Path = WEIGHTS) -> Callable[[Sequence[str]], list[str]]:
    """The Hugging Face pipeline as a function from texts to labels, on all cores."""
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
    """A function that scores texts, and one that returns the number of final early answers so far."""
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
    """The pipeline with the same encoder and its head for whole posts, in fp32 on the CPU."""
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


def _print(speeds: Sequence[EngineSpeed], crashed: Mapping[str, str], *, title: str) -> None:
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
        console = Console(width=160)  # files and pipes have no width, and 80 columns would truncate the headings
    console.print(table)
    console.print(
        "A post is one pass for any number of brands. `early` is BRANDPULSE_WORKER_TIERS=early; the default of a "
        "worker is the full depth."
    )
    for name, reason in crashed.items():
        console.print(f"{name} is left out: {reason}.")
    if peer is None and PEER not in crashed:
        console.print("The Hugging Face pipeline was not measured: pip install 'brandpulse[train]'.")
