"""What all units of a stage share: the images, how they are seen, and where features and finished units are kept."""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import nn

from pipeline.common.code_digest import code_digest
from pipeline.common.errors import UserError
from pipeline.common.files import atomic
from pipeline.common.hashes import digest
from pipeline.common.outcome import Cost, Epoch
from pipeline.config.backbone_table import folder_of
from pipeline.config.features import AUTO, Features
from pipeline.config.params import Runtime
from pipeline.config.recipe import Recipe
from pipeline.data.folds import train_valid
from pipeline.data.image_set import ImageSet
from pipeline.inference.network import Network
from pipeline.network import flops
from pipeline.network.cut import SHARES, place, stages
from pipeline.network.devices import Precision, keep_memory
from pipeline.network.pretrained import PACKAGED, LocalBackbone, WeightStore
from pipeline.training.feature_cache import cached
from pipeline.training.feature_pass import Pixels
from pipeline.training.ranks import ALONE, Ranks, current
from pipeline.training.samples import Inputs, Samples, first_view, resident

OnEpoch = Callable[[Epoch], object]
OnImages = Callable[[int], object]


@dataclass(frozen=True)
class RunContext:
    """What all units of a stage share."""

    dev: ImageSet  # train and valid
    valid_fraction: float
    views: tuple[str, ...]  # seen in training
    scored: tuple[str, ...]  # averaged in the final predictions: the first of `views`, or all
    work: Path  # where features and finished units are kept
    device: torch.device
    threads: int
    precision: Precision = "float32"
    cache_bytes: int | None = None  # how much disk features may take
    cuts: tuple[int | str, ...] = ()  # where else features will be asked for: one pass serves all
    weight_store: WeightStore = PACKAGED  # where weights that no package holds are
    devices: int = 1  # that share a training
    micro_batch: int | None = None  # images that a device trains on at once
    ranks: Ranks = ALONE  # which of the processes that share a training this is

    def of(self, recipe: Recipe) -> "RunContext":
        """Return the context in which a recipe is trained: one device is enough for a head on fixed features."""
        return replace(self, devices=1, micro_batch=None, ranks=ALONE) if recipe.cut == "head" else self

    def samples(self, inputs: Inputs, rows: np.ndarray) -> Samples:
        """Return these rows of train and valid as a training takes them: with their labels, and weights if any."""
        return Samples(inputs, self.dev.labels, rows, self.dev.weights)

    def validated(self, seed: int) -> np.ndarray:
        """Return the positions in train and valid of the images that are validated on with a seed."""
        return train_valid(self.dev, self.valid_fraction, seed)[1]

    def identity(self) -> dict[str, Any]:
        """Return all of this that changes a result."""
        return {
            "data": self.dev.digest,
            "valid_fraction": self.valid_fraction,
            "views": [self.views, self.scored],
            "device": self.device.type,
            "threads": self.threads,
            "precision": self.precision,
            "versions": [torch.__version__, timm.__version__],
            "code": code_digest("units"),
            # Not where they are what they always were, so that what was stored before there was a choice is found.
            **({"devices": self.devices} if self.devices > 1 else {}),
            **({"micro_batch": self.micro_batch} if self.micro_batch else {}),
        }


def make_run_context(
    dev: ImageSet,
    valid_fraction: float,
    features: Features,
    work: Path,
    runtime: Runtime,
    cuts: Sequence[int | str] = (),
    weight_store: WeightStore = PACKAGED,
) -> RunContext:
    """Return a context on this machine: so many threads, on the device asked for; raise UserError without one.

    Of processes that share a training each gets a device of its own.
    """
    keep_memory()
    torch.set_num_threads(runtime.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise UserError("runtime.device: cuda was asked for and there is none; use cpu or auto")
    gpu = runtime.device != "cpu" and torch.cuda.is_available()
    ranks = current()
    if gpu and runtime.devices > torch.cuda.device_count():
        raise UserError(
            f"runtime.devices: {runtime.devices} are to share each training, and this process sees "
            f"{torch.cuda.device_count()} CUDA devices; lower it"
        )
    device = torch.device("cuda", ranks.rank) if gpu and ranks.size > 1 else torch.device("cuda" if gpu else "cpu")
    if device.index:
        torch.cuda.set_device(device)
    assert features.views != AUTO  # stage `views` comes first
    scored = features.views if features.tta else features.views[:1]
    automatic: Precision = "bf16" if device.type == "cuda" else "float32"
    return RunContext(
        dev,
        valid_fraction,
        features.views,
        scored,
        work,
        device,
        runtime.threads,
        automatic if runtime.precision == "auto" else runtime.precision,
        features.cache_bytes,
        tuple(cuts),
        weight_store,
        runtime.devices,
        runtime.micro_batch,
        ranks,
    )


def unit_folder(
    recipe: Recipe,
    context: RunContext,
    seed: int,
    cohort: str = "",
    fraction: float = 1.0,
    backbone: LocalBackbone | None = None,
) -> Path:
    """Return where a unit's results are: a name made of all that determines them.

    Heads trained side by side belong to a cohort: sums over several heads are not those over one, to the last bit.
    `backbone` is the recipe's, where the caller has looked it up.
    """
    found = backbone or context.weight_store.find(recipe.backbone)
    identity = context.of(recipe).identity()
    described = {"recipe": recipe, "backbone": found.identity(recipe.weights), "seed": seed, **identity}
    group = {"cohort": cohort} if cohort else {"fraction": fraction}
    return context.work / "units" / digest(described | group)


def drop_states(recipe: Recipe, context: RunContext, seed: int, cohort: str = "") -> None:
    """Delete the states from which a unit could go on; its results stay."""
    for state in unit_folder(recipe, context, seed, cohort).glob("state*.pt"):
        state.unlink(missing_ok=True)


def save_state(path: Path, state: dict[str, Any], epochs: Sequence[Epoch]) -> None:
    """Write tensors and plain values with the epochs so far, whole or not at all; raise UserError on a full disk."""
    buffer = io.BytesIO()
    # To a file, torch would hide that the disk is full.
    torch.save({"state": state, "epochs": [asdict(epoch) for epoch in epochs]}, buffer)
    with atomic(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_state(path: Path, device: torch.device) -> tuple[dict[str, Any], list[Epoch]]:
    """Read what `save_state` wrote, onto a device."""
    found = torch.load(path, map_location=device, weights_only=True)
    return found["state"], [Epoch(**epoch) for epoch in found["epochs"]]


class CostedNetwork:
    """One network in a context: what its parts are fed, and what that costs."""

    def __init__(
        self, network: Network, recipe: Recipe, context: RunContext, on_images: OnImages, seen: int | None = None
    ) -> None:
        """Take `seen` as the number of images of train and valid that a feature pass is charged for; default: all."""
        self.network, self.recipe, self.context, self.on_images = network, recipe, context, on_images
        self.seen = len(context.dev) if seen is None else seen
        self.passes: dict[str, int] = {}  # feature passes: what was run -> FLOPs

    def inputs(self, cut: int | str) -> Inputs:
        """Return what a body that begins at a cut is trained on, in all views; a feature pass is charged."""
        images, views = self.context.dev, self.context.views
        modules, at = stages(self.network), place(self.network, cut)
        if at:
            named = at if cut in SHARES else cut  # one pass has one name
            name = f"{self.recipe.backbone}/{self.recipe.weights}/{self.recipe.image_size}/{named}"
            stem = nn.Sequential(*modules[:at]).to(self.context.device)
            self.passes[name] = flops.forward_flops(stem, self._pixel()) * self.seen * len(views)
        return resident(self._read(cut, images, views), len(images), self.context.device)

    def test_inputs(self, test: ImageSet) -> Inputs:
        """Return what the body is scored on; it is no cost of training."""
        return self._read(self.recipe.cut, test, self.context.scored)

    def _read(self, cut: int | str, images: ImageSet, views: tuple[str, ...]) -> Inputs:
        """Return pixels where the stem is empty, otherwise the stem's cached activations."""
        modules, at = stages(self.network), place(self.network, cut)
        if at == 0:
            return Pixels(images.images, views)
        recipe, context = self.recipe, self.context
        label = f"{folder_of(recipe.backbone)}-{recipe.weights}-{recipe.image_size}"
        return context.ranks.leader_first(
            lambda: cached(
                modules,
                at,
                images,
                views,
                context.work / "features",
                context.device,
                self.on_images,
                [place(self.network, other) for other in context.cuts],
                limit=context.cache_bytes,
                label=label,
            )
        )

    def price(self, body: nn.Module, fit_flops: int) -> Cost:
        """Return what training this network's body so far, and using it, costs."""
        return Cost(
            passes=dict(self.passes),
            fit_flops=fit_flops,
            predict_flops=flops.forward_flops(self.network, self._pixel()) * len(self.context.scored),
            parameters=flops.count_parameters(self.network),
            trainable_parameters=flops.count_parameters(body),
        )

    def spec(self) -> dict[str, Any]:
        """Return what the network is rebuilt from where it is served."""
        return {**self.network.spec, "views": list(self.context.scored)}

    def _pixel(self) -> Any:
        return first_view(Pixels(self.context.dev.images, ("identity",)), np.arange(1)).to(self.context.device)
