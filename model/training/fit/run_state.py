"""The state of a training run on disk, for resuming a killed run. All files are written atomically.

run.json            facts about the run
state.safetensors   tensors of the model and the optimizers at one step; the step is in the file's metadata
snap/*.safetensors  snapshots of the weights; the last ones are averaged
tokenizer.json      the tokenizer, with the tokens added for this run
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
    """Progress of a run. All random numbers depend on seed, epoch and step, so no other state is needed."""

    step: int = 0
    """Completed steps over all epochs."""
    rows: int = 0
    """Processed rows."""
    seconds: float = 0.0
    """Training time over all starts."""
    figures: list[float] = field(default_factory=list)
    """The validation metric at each snapshot, if the schedule has patience."""
    halves: bool | None = None
    """Whether products use bfloat16; fixed at the start of the run, because a new measurement may differ."""
    done: bool = False


def write_text(path: Path, text: str) -> None:
    """Writes *text* atomically."""
    scratch = path.with_name(path.name + ".part")
    scratch.write_text(text, encoding="utf-8")
    _replace(scratch, path)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes *tensors* atomically."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".part")
    whole: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().to("cpu").contiguous()
        # Tied weights share memory, which the format does not support.
        whole[name] = plain.clone() if plain.data_ptr() in places else plain
        places.add(plain.data_ptr())
    save_file(whole, scratch, metadata=dict(metadata or {}))
    _replace(scratch, path)


def _replace(scratch: Path, path: Path) -> None:
    with scratch.open("rb") as file:
        os.fsync(file.fileno())  # otherwise a power failure may leave a partial file under the final name
    scratch.replace(path)


def is_first_process() -> bool:
    """Whether this process writes files: the first one under torchrun, else the only one."""
    return int(os.environ.get("RANK", "0")) == 0


def own_device() -> torch.device:
    """This process's GPU under torchrun, else the only GPU; the CPU if there is none."""
    return (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if torch.cuda.is_available()
        else torch.device("cpu")
    )


def fingerprint(*parts: object) -> str:
    """A hash of the settings and data of a run."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def claim_run(run: Path, print_of: str) -> None:
    """Claims the folder *run* for the run with this `fingerprint`. Raises ConfigError if it belongs to another run."""
    if not is_first_process():
        return
    run.mkdir(parents=True, exist_ok=True)
    owner = run / "owner.json"
    if not owner.exists():
        write_text(owner, json.dumps({"fingerprint": print_of}) + "\n")
    elif json.loads(owner.read_text(encoding="utf-8"))["fingerprint"] != print_of:
        raise ConfigError(
            f"{run} contains a run with another recipe, base or data. Remove it to start again, or set another --out."
        )


def save_state(run: Path, weights: Mapping[str, Tensor], optimisers: Sequence[Any], progress: Progress) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in weights.items()}
    for number, optimiser in enumerate(optimisers):
        for parameter, entries in optimiser.state_dict()["state"].items():
            for name, value in entries.items():
                tensors[f"optimiser.{number}.{parameter}.{name}"] = torch.as_tensor(value)
    metadata = json.dumps({name: getattr(progress, name) for name in Progress.__slots__})
    write_tensors(run / STATE, tensors, {"progress": metadata})


def load_state(run: Path, optimisers: Sequence[Any]) -> tuple[dict[str, Tensor], Progress] | None:
    """Weights and progress, with the *optimisers* set to that step; None if the run has no state yet."""
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
            # SparseAdam stores its step as a number, AdamW as a tensor.
            plain = entry == "step" and isinstance(optimiser, torch.optim.SparseAdam)
            state.setdefault(int(parameter), {})[entry] = int(value) if plain else value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return {name.removeprefix("model."): tensor for name, tensor in tensors.items()}, progress
