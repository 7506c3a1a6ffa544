"""A training run on disk: what it needs to go on after being killed, written so that a kill never leaves half of it.

run.json            `Facts`: what is trained, and how far it is
state.safetensors   the model's and the optimisers' tensors of one step; the step stands in the file's metadata
snap/*.safetensors  weights along the way, of which the last few are averaged
tokenizer.json      the tokenizer, with the words added for this run
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brandpulse.errors import ConfigError

STATE = "state.safetensors"


@dataclass(slots=True)
class Progress:
    """How far a run is. All randomness hangs on seed, epoch and step, so nothing else needs to be kept."""

    step: int = 0
    """Steps done, over all epochs."""
    rows: int = 0
    """Rows seen."""
    seconds: float = 0.0
    """Spent in training, over all starts."""
    figures: list[float] = field(default_factory=list)
    """The validation figure at each snapshot, where it is watched."""
    halves: bool | None = None
    """Whether products are taken in bfloat16, as the run began: another trial might end otherwise."""
    done: bool = False


def write_text(path: Path, text: str) -> None:
    """All of *text* or nothing."""
    scratch = path.with_name(path.name + ".part")
    scratch.write_text(text, encoding="utf-8")
    _replace(scratch, path)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """All of *tensors* or nothing."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".part")
    whole: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().to("cpu").contiguous()
        # Tied weights share their memory, which the format refuses.
        whole[name] = plain.clone() if plain.data_ptr() in places else plain
        places.add(plain.data_ptr())
    save_file(whole, scratch, metadata=dict(metadata or {}))
    _replace(scratch, path)


def _replace(scratch: Path, path: Path) -> None:
    with scratch.open("rb") as file:
        os.fsync(file.fileno())  # or a power cut may leave a whole name on half a file
    scratch.replace(path)


def is_first_process() -> bool:
    """Whether this process is the one that writes: under torchrun the first, else the only one."""
    return int(os.environ.get("RANK", "0")) == 0


def own_device() -> torch.device:
    """The GPU that is this process's under torchrun, else the only one; the CPU where there is none."""
    return (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if torch.cuda.is_available()
        else torch.device("cpu")
    )


def fingerprint(*parts: object) -> str:
    """Changes whenever a run with these settings and data would train something else."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def claim_run(run: Path, print_of: str) -> None:
    """Makes *run* the folder of the run with this `fingerprint`. Raises ConfigError when it holds another's."""
    if not is_first_process():
        return
    run.mkdir(parents=True, exist_ok=True)
    owner = run / "owner.json"
    if not owner.exists():
        write_text(owner, json.dumps({"fingerprint": print_of}) + "\n")
    elif json.loads(owner.read_text(encoding="utf-8"))["fingerprint"] != print_of:
        raise ConfigError(
            f"{run} holds a run with another recipe, base or data. Remove it to begin anew, or give another --out."
        )


def save_state(run: Path, weights: Mapping[str, Tensor], optimisers: Sequence[Any], progress: Progress) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in weights.items()}
    for number, optimiser in enumerate(optimisers):
        for parameter, entries in optimiser.state_dict()["state"].items():
            for name, value in entries.items():
                tensors[f"optimiser.{number}.{parameter}.{name}"] = torch.as_tensor(value)
    told = json.dumps({name: getattr(progress, name) for name in Progress.__slots__})
    write_tensors(run / STATE, tensors, {"progress": told})


def load_state(run: Path, optimisers: Sequence[Any]) -> tuple[dict[str, Tensor], Progress] | None:
    """The weights and how far they are, with the *optimisers* set to that step; None for a run not begun."""
    from safetensors import safe_open

    path = run / STATE
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        progress = Progress(**json.loads(file.metadata()["progress"]))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    for number, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, Any]] = {}
        for name in [name for name in tensors if name.startswith(f"optimiser.{number}.")]:
            _, _, parameter, entry = name.split(".", 3)
            value = tensors.pop(name)
            # SparseAdam counts its steps in a plain number, AdamW in a tensor.
            plain = entry == "step" and isinstance(optimiser, torch.optim.SparseAdam)
            state.setdefault(int(parameter), {})[entry] = int(value) if plain else value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return {name.removeprefix("model."): tensor for name, tensor in tensors.items()}, progress
