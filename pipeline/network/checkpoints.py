"""Files of weights: tensors by name, read without running any code that they bring."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from pipeline.common.errors import UserError

WRAPPINGS = ("state_dict", "model_state_dict", "model")
SHOWN = 10  # names in a message
OURS = "backbone."  # what the backbone's tensors begin with in a model of ours

Tensors = dict[str, torch.Tensor]


def read(path: Path, advice: str) -> Tensors:
    """Read a state dict, plain or under a key of WRAPPINGS, from a file of safetensors or of torch.

    A prefix `module.` of all names is taken off. Raise UserError, ending in `advice`, where the file holds no tensors.
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
    except Exception as error:  # whatever the damage makes torch stumble over: OSError, RuntimeError, KeyError, ...
        raise UserError(f"{path}: not a readable weights file ({type(error).__name__}); {advice}") from None


@dataclass(frozen=True)
class Fitted:
    """What a network takes of a file, under the network's names, and the names of what is left out."""

    tensors: Tensors
    dropped: tuple[str, ...]


def fit(source: str, tensors: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor],
        classifier: Collection[str], architecture: str) -> Fitted:  # fmt: skip
    """Return a file's tensors for the network whose state is `own`, by name.

    Tensors of the source task's classifier (`classifier`: the first parts of their names) are left out, and of a model
    of ours all but its backbone. Counts of batches that an old file lacks are 0. Raise UserError where others are
    missing, unexpected, or of another shape, naming up to ten each.
    """
    ours = any(name.startswith(OURS) for name in tensors) and not any(name.startswith(OURS) for name in own)
    prefix = OURS if ours else ""
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    counters = {name: torch.zeros((), dtype=torch.long) for name in own if name.endswith("num_batches_tracked")}
    found = {**counters, **found}
    unexpected = [name for name in found if name not in own]
    strange = [name for name in unexpected if name.split(".")[0] not in classifier]
    missing = [name for name in own if name not in found]
    other = [f"{name} {tuple(found[name].shape)} for {tuple(own[name].shape)}"
             for name in own if name in found and found[name].shape != own[name].shape]  # fmt: skip
    problems = [("missing", missing), ("unexpected", strange), ("of another shape", other)]
    if any(names for _, names in problems):
        told = "\n".join(f"  {what}: {_listed(names)}" for what, names in problems if names)
        raise UserError(f"{source}: does not fit {architecture}\n{told}\nname the architecture that the weights are of")
    left = [name for name in tensors if not name.startswith(prefix)]
    return Fitted({name: found[name] for name in own}, (*left, *unexpected))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
