"""Checkpoint files: tensors by name, read without running code from the file."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from pipeline.common.errors import UserError

WRAPPINGS = ("state_dict", "model_state_dict", "model")
SHOWN = 10  # names in a message
OURS = "backbone."  # prefix of the backbone's tensors in a model of this pipeline

Tensors = dict[str, torch.Tensor]


def read(path: Path, advice: str) -> Tensors:
    """Read a state dict, plain or under a key of WRAPPINGS, from a safetensors or PyTorch file.

    A prefix `module.` of all names is removed. Raise UserError, ending in `advice`, where the file holds no tensors.
    """
    found = _content(path, advice)
    for key in WRAPPINGS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    if not isinstance(found, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in found.values()):
        raise UserError(f"{path}: expected tensors by name, found something else; {advice}")
    prefix = "module." if found and all(name.startswith("module.") for name in found) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in found.items()}


def _content(path: Path, advice: str) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {advice}") from None
    except Exception as error:  # a damaged file makes torch raise OSError, RuntimeError, KeyError, ...
        raise UserError(f"{path}: not a readable weights file ({type(error).__name__}); {advice}") from None


@dataclass(frozen=True)
class FittedTensors:
    """The tensors of a file that a network uses, under the network's names, and the names of the others."""

    tensors: Tensors
    dropped: tuple[str, ...]


def fit(source: str, tensors: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor],
        classifier: Collection[str], architecture: str) -> FittedTensors:  # fmt: skip
    """Match a file's tensors by name to the network whose state dict is `own`.

    Tensors of the source task's classifier are dropped (`classifier` holds the first parts of their names), and of a
    model of this pipeline all but the backbone's. Batch counters that an old file lacks are 0. Raise UserError, naming
    up to ten each, where tensors are missing, unexpected, or of a different shape.
    """
    ours = any(name.startswith(OURS) for name in tensors) and not any(name.startswith(OURS) for name in own)
    prefix = OURS if ours else ""
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    counters = {name: torch.zeros((), dtype=torch.long) for name in own if name.endswith("num_batches_tracked")}
    found = {**counters, **found}
    unexpected = [name for name in found if name not in own]
    unknown = [name for name in unexpected if name.split(".")[0] not in classifier]
    missing = [name for name in own if name not in found]
    other = [f"{name} {tuple(found[name].shape)} for {tuple(own[name].shape)}"
             for name in own if name in found and found[name].shape != own[name].shape]  # fmt: skip
    problems = [("missing", missing), ("unexpected", unknown), ("of another shape", other)]
    if any(names for _, names in problems):
        listed = "\n".join(f"  {what}: {_listed(names)}" for what, names in problems if names)
        raise UserError(
            f"{source}: does not fit {architecture}\n{listed}\nname the architecture that the weights belong to"
        )
    left = [name for name in tensors if not name.startswith(prefix)]
    return FittedTensors({name: found[name] for name in own}, (*left, *unexpected))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
