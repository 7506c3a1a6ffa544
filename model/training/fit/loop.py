"""The training loop of all tasks (heads, students, masked words, pairs); resumes a killed run."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, distributed, nn

from model.training.fit.progress_log import log_progress
from model.training.fit.recipe import Schedule
from model.training.fit.run_state import Progress, load_state, own_device, save_state, write_tensors


class Task(Protocol):
    """A model with its data and loss."""

    @property
    def model(self) -> nn.Module: ...

    def batches(self, epoch: int) -> Sequence[Any]:
        """The batches of *epoch*, from 0: deterministic, and the same number in each epoch."""
        ...

    def size(self, batch: Any) -> int:
        """Number of posts in the batch."""
        ...

    def loss(self, batch: Any, step: int) -> Tensor:
        """A scalar. Its random numbers depend on *step* only."""
        ...

    def weights(self) -> Mapping[str, Tensor]:
        """The content of a snapshot."""
        ...

    def figure(self) -> float:
        """The metric of the model on validation posts; higher is better."""
        ...


def fit(task: Task, schedule: Schedule, run: Path) -> Progress:
    """Trains for the epochs of *schedule*, from the state in *run*; writes snapshots to `run/snap`.

    Under torchrun each process takes a share of the batches and the gradients are averaged: the effective batch is
    larger by the number of processes. Stops early when the schedule's patience is exceeded.
    """
    rank, world = _processes()
    device = next(task.model.parameters()).device
    optimisers = _optimisers(task.model, schedule, sparse=device.type == "cpu" and world == 1)
    parameters = [parameter for parameter in task.model.parameters() if parameter.requires_grad]
    progress = Progress()
    if (found := load_state(run, optimisers)) is not None:
        weights, progress = found
        task.model.load_state_dict(weights)
        log_progress("resumed", step=progress.step)
    if progress.done:
        return progress
    per_epoch = -(-len(task.batches(0)) // world)
    steps = per_epoch * schedule.epochs
    if progress.halves is None:
        progress.halves = in_bfloat16(schedule.precision, device)
    precision = "bfloat16" if progress.halves else "float32"
    log_progress("training", steps=steps, device=str(device), precision=precision, processes=world)
    marks = {round(per_epoch * (number + 1) / schedule.average) for number in range(schedule.average)}
    started, before, total = time.monotonic(), progress.seconds, 0.0
    task.model.train()
    for epoch in range(progress.step // per_epoch, schedule.epochs):
        batches = task.batches(epoch)
        for number in range(progress.step % per_epoch, per_epoch):
            batch = batches[(number * world + rank) % len(batches)]
            _set_rate(optimisers, schedule, progress.step, steps)
            # Dropout draws the same numbers with and without a resume.
            torch.manual_seed((schedule.seed * steps + progress.step) * world + rank)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=progress.halves):
                loss = task.loss(batch, progress.step)
            loss.backward()  # type: ignore[no-untyped-call]
            _average_gradients(parameters, world)
            _clip(parameters, schedule.clip)
            for optimiser in optimisers:
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
            progress.step += 1
            progress.rows += task.size(batch) * world
            progress.seconds = before + time.monotonic() - started
            total += float(loss.detach())
            if progress.step % STEPS_PER_LOG == 0 or progress.step == steps:
                done = progress.step % STEPS_PER_LOG or STEPS_PER_LOG
                speed = progress.rows / max(progress.seconds, 1e-9)
                log_progress("step", step=progress.step, of=steps, loss=total / done, rows_per_second=speed)
                total = 0.0
            if number + 1 in marks:
                _snapshot(task, run, epoch, number + 1, progress, watched=bool(schedule.patience), write=rank == 0)
            progress.done = progress.step == steps or has_stalled(progress.figures, schedule.patience)
            if rank == 0 and (progress.done or progress.step % schedule.save_every == 0):
                save_state(run, task.model.state_dict(), optimisers, progress)
            if progress.done:
                return progress
    return progress


STEPS_PER_LOG = 50
"""Steps between two lines of the progress log."""


def has_stalled(figures: Sequence[float], patience: int) -> bool:
    """Whether the best of *figures* is at least *patience* snapshots old; never if *patience* is 0."""
    return bool(patience and figures) and len(figures) - 1 - figures.index(max(figures)) >= patience


def learning_rate_share(step: int, steps: int, warm_up: float) -> float:
    """The share of the full learning rate at *step*: rises linearly for *warm_up* of *steps*, then falls to 0."""
    rising = max(1, round(steps * warm_up))
    return min((step + 1) / rising, max(0.0, (steps - step) / max(1, steps - rising)))


def _optimisers(model: nn.Module, schedule: Schedule, *, sparse: bool) -> list[torch.optim.Optimizer]:
    """AdamW; with *sparse* gradients, SparseAdam for the word table, which updates only the words of the batch.

    On two cores this is a third faster (78-90 posts/s instead of 56-65): the table is half of all weights, and a batch
    contains a hundredth of its words.
    """
    tables = [
        module
        for module in model.modules()
        if isinstance(module, nn.Embedding) and module.num_embeddings > MIN_WORD_TABLE_ROWS
    ]
    tables = [table for table in tables if sparse and table.weight.requires_grad and not _is_tied(model, table)]
    for table in tables:
        table.sparse = True
    sparse_ids = {id(table.weight) for table in tables}
    rest = [
        parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in sparse_ids
    ]
    heads = {id(parameter) for name, parameter in model.named_parameters() if name.startswith(HEADS)}
    groups = [
        {"params": chosen, "weight_decay": schedule.weight_decay if matrices else 0.0, "multiple": multiple}
        for in_heads, multiple in ((False, 1.0), (True, schedule.heads_rate))
        for matrices in (True, False)
        if (chosen := [each for each in rest if (id(each) in heads) == in_heads and (each.ndim > 1) == matrices])
    ]
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)]
    if tables:
        found.append(torch.optim.SparseAdam([table.weight for table in tables], lr=schedule.learning_rate))
    return found


HEADS = ("heads.", "exit.")
"""Prefixes of the names of the heads' weights."""

MIN_WORD_TABLE_ROWS = 5_000
"""An embedding with more rows is the word table."""


def _is_tied(model: nn.Module, table: nn.Embedding) -> bool:
    """Whether the table is also the weight of a dense layer (masked words): then its gradients are dense."""
    return any(isinstance(module, nn.Linear) and module.weight is table.weight for module in model.modules())


def _set_rate(optimisers: Sequence[torch.optim.Optimizer], schedule: Schedule, step: int, steps: int) -> None:
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            share = learning_rate_share(step, steps, schedule.warm_up)
            group["lr"] = schedule.learning_rate * group.get("multiple", 1.0) * share


def _clip(parameters: Sequence[nn.Parameter], norm: float) -> None:
    dense = [parameter for parameter in parameters if parameter.grad is not None and not parameter.grad.is_sparse]
    torch.nn.utils.clip_grad_norm_(dense, norm)


def _snapshot(task: Task, run: Path, epoch: int, batch: int, progress: Progress, *, watched: bool, write: bool) -> None:
    if write:
        write_tensors(run / "snap" / f"{epoch:03d}-{batch:06d}.safetensors", task.weights())
    if watched:
        progress.figures.append(task.figure())
        log_progress(
            "snapshot",
            step=progress.step,
            epoch=epoch,
            batch=batch,
            figure=progress.figures[-1],
            best=max(progress.figures),
        )
        task.model.train()


def _processes() -> tuple[int, int]:
    """(rank, world size) as torchrun set them; (0, 1) without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(own_device())
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return (distributed.get_rank(), world) if world > 1 else (0, 1)


def _average_gradients(parameters: Sequence[nn.Parameter], world: int) -> None:
    """Averages the gradients over all processes; a gradient that no process has stays None, as in one process."""
    if world == 1:
        return
    used = torch.stack([parameter.new_tensor(float(parameter.grad is not None)) for parameter in parameters])
    every = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
    flat = torch.cat([used, *(gradient.flatten() for gradient in every)])
    distributed.all_reduce(flat)
    used, *parts = torch.split(flat, [len(parameters), *(parameter.numel() for parameter in parameters)])
    for parameter, part, share in zip(parameters, parts, used.tolist(), strict=True):
        parameter.grad = part.view_as(parameter) / world if share else None


def in_bfloat16(precision: str, device: torch.device) -> bool:
    return bfloat16_is_faster(device) if precision == "auto" else precision == "bfloat16"


def bfloat16_is_faster(device: torch.device) -> bool:
    """Whether matrix products of the encoder's size are faster in bfloat16 than in float32 on *device* (measured).

    The instruction alone is not enough: a Xeon with avx512_bf16, whose AMX the hypervisor hides, reached 160 GFLOP/s in
    bfloat16 and 290 in float32; with AMX bfloat16 is 4 to 10 times as fast as float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(2048, 384, dtype=dtype), torch.ones(384, 1536, dtype=dtype)
        rounds = []
        for _ in range(8):
            started = time.perf_counter()
            torch.mm(left, right)
            rounds.append(time.perf_counter() - started)
        seconds[dtype] = min(rounds)  # the fastest round: other processes only add time
    return seconds[torch.bfloat16] < seconds[torch.float32]
