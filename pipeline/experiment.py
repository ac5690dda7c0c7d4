"""One unit of work: train one recipe with one seed. Tuning and training both are tables of such units."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import nn

from pipeline import cost
from pipeline.augment import jitter
from pipeline.catalog import BACKBONES
from pipeline.data import ImageSet, train_valid
from pipeline.errors import UserError
from pipeline.features import Pixels, cached
from pipeline.metrics import score
from pipeline.models import build, save_model
from pipeline.network import describe, place, split, stages
from pipeline.params import Features, Runtime
from pipeline.recipe import Recipe
from pipeline.records import Cost, Epoch, Outcome, atomic, digest, once, source_digest
from pipeline.seeding import derive
from pipeline.serving import Network
from pipeline.training import DivergedError, Fit, Inputs, Samples, Transform, predict

STATE = "state.pt"
OnEpoch = Callable[[Epoch], object]
OnImages = Callable[[int], object]


@dataclass(frozen=True)
class Setting:
    """What all units of a stage share."""

    dev: ImageSet  # train and valid
    valid_fraction: float
    views: tuple[str, ...]  # seen in training
    scored: tuple[str, ...]  # averaged in the final predictions: the first of `views`, or all
    work: Path  # where features and finished units are kept
    device: torch.device
    threads: int
    cuts: tuple[int | str, ...] = ()  # where else features will be asked for: one pass serves all

    def identity(self) -> dict[str, Any]:
        """Return all of this that changes a result."""
        return {
            "data": self.dev.digest,
            "valid_fraction": self.valid_fraction,
            "views": [self.views, self.scored],
            "device": self.device.type,
            "threads": self.threads,
            "versions": [torch.__version__, timm.__version__],
            "code": source_digest(),
        }


def settle(
    dev: ImageSet,
    valid_fraction: float,
    features: Features,
    work: Path,
    runtime: Runtime,
    cuts: Sequence[int | str] = (),
) -> Setting:
    """Return a Setting on this machine: so many threads, on the device asked for; raise UserError without one."""
    torch.set_num_threads(runtime.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise UserError("runtime.device: cuda was asked for and there is none; use cpu or auto")
    gpu = runtime.device != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    scored = features.views if features.average else features.views[:1]
    return Setting(dev, valid_fraction, features.views, scored, work, device, runtime.threads, tuple(cuts))


def unit(
    recipe: Recipe,
    setting: Setting,
    seed: int,
    until: int | None = None,
    test: ImageSet | None = None,
    on_epoch: OnEpoch = lambda epoch: None,
    on_images: OnImages = lambda count: None,
) -> Outcome:
    """Train a recipe up to epoch `until` (default: all) and score it; a unit that is done is read back instead.

    A unit stopped at an earlier epoch is continued from there. With `test`, its images are scored too, and the
    trained network is kept in `unit_folder`.
    """
    until = until or recipe.epochs
    folder = unit_folder(recipe, setting, seed)
    name = f"epoch-{until}-{test.digest}.json" if test else f"epoch-{until}.json"
    work = _Unit(recipe, setting, seed, folder, on_images)
    return Outcome.from_dict(once(folder / name, lambda: asdict(work.run(until, test, on_epoch))))


def unit_folder(recipe: Recipe, setting: Setting, seed: int) -> Path:
    """Return where a unit's results are: a name made of all that determines them."""
    return setting.work / "units" / digest({"recipe": recipe, "seed": seed, **setting.identity()})


def drop_state(recipe: Recipe, setting: Setting, seed: int) -> None:
    """Delete the state from which a unit could go on; its results stay."""
    (unit_folder(recipe, setting, seed) / STATE).unlink(missing_ok=True)


class _Unit:
    """The parts of one training, built once."""

    def __init__(self, recipe: Recipe, setting: Setting, seed: int, folder: Path, on_images: OnImages) -> None:
        self.recipe, self.setting, self.seed = recipe, setting, seed
        self.folder, self.on_images = folder, on_images
        self.passes: dict[str, int] = {}  # feature passes: what was run -> FLOPs
        self.probe_flops = 0

    def run(self, until: int, test: ImageSet | None, on_epoch: OnEpoch) -> Outcome:
        setting, recipe = self.setting, self.recipe
        train, valid = train_valid(setting.dev, setting.valid_fraction, self.seed)
        network = build(recipe, setting.dev, self.seed)
        stem, body = split(network, recipe.cut)
        inputs = self._inputs(network, recipe.cut, setting.dev, setting.views)
        samples = Samples(inputs, setting.dev.labels, train)
        fit = Fit(body, recipe, self.seed, setting.device)
        epochs = self._restore(fit, until)
        failed = ""
        try:
            if not epochs:
                self._start_head(network, train, is_head=len(body) == 1)
            while fit.done < until:
                loss = fit.epoch(samples, _transform(recipe, len(stem) == 0))
                scores = score(setting.dev.labels[valid], predict(body, inputs, valid, setting.device))
                epochs.append(Epoch(fit.done, loss, scores))
                on_epoch(epochs[-1])
        except DivergedError as error:
            failed = str(error)
        self._save(fit, epochs)
        example = inputs.take(train[:1], np.zeros(1, dtype=np.int64)).to(setting.device)
        per_image = cost.training_flops(body, example), cost.forward_flops(body, example)
        fit_flops = self.probe_flops + len(epochs) * (per_image[0] * len(train) + per_image[1] * len(valid))
        price = self._cost(network, body, fit_flops)
        if test is None or failed:
            return Outcome(epochs, price, failed)
        probabilities = predict(body, inputs, valid, setting.device, len(setting.scored))
        tested = self._open_test(network, body, test)
        return Outcome(epochs, price, failed, _predictions(valid, probabilities), tested)

    def _inputs(self, network: Network, cut: int | str, images: ImageSet, views: tuple[str, ...]) -> Inputs:
        """Return pixels where the stem is empty, otherwise the stem's cached activations."""
        modules, at = stages(network), place(network, cut)
        pixels = Pixels(images.images, views)
        if at == 0:
            return pixels
        one = pixels.take(np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)).to(self.setting.device)
        name = f"{self.recipe.backbone}/{self.recipe.weights}/{self.recipe.image_size}/{cut}"
        stem = nn.Sequential(*modules[:at]).to(self.setting.device)
        self.passes[name] = cost.forward_flops(stem, one) * len(images) * len(views)
        where, also = self.setting.work / "features", [place(network, other) for other in self.setting.cuts]
        return cached(modules, at, images, views, where, self.setting.device, self.on_images, also)

    def _start_head(self, network: Network, train: np.ndarray, is_head: bool) -> None:
        """Standardise the head's inputs and, where the recipe says so, fit it on cached features first.

        Linear probing, then fine-tuning: Kumar et al. 2022, arXiv 2202.10054.
        """
        recipe = self.recipe
        if not (is_head or recipe.probe_epochs):
            return
        features = self._inputs(network, "head", self.setting.dev, self.setting.views)
        head = network.head
        head[0].measure(features.take(train, np.zeros(len(train), dtype=np.int64)).to(self.setting.device))
        if is_head:
            return
        probe = recipe.model_copy(
            update={"epochs": recipe.probe_epochs, "learning_rate": recipe.probe_learning_rate, "depth_decay": 1.0}
        )
        fit = Fit(nn.Sequential(head), probe, derive("probe", self.seed), self.setting.device)
        samples = Samples(features, self.setting.dev.labels, train)
        for _ in range(probe.epochs):
            fit.epoch(samples)
        example = features.take(train[:1], np.zeros(1, dtype=np.int64)).to(self.setting.device)
        self.probe_flops = cost.training_flops(head, example) * len(train) * probe.epochs

    def _restore(self, fit: Fit, until: int) -> list[Epoch]:
        path = self.folder / STATE
        if not path.exists():
            return []
        state = torch.load(path, map_location=self.setting.device, weights_only=True)
        if state["fit"]["done"] > until:
            return []
        fit.restore(state["fit"])
        self.probe_flops, self.passes = state["probe_flops"], {**self.passes, **state["passes"]}
        return [Epoch(**epoch) for epoch in state["epochs"]]

    def _save(self, fit: Fit, epochs: list[Epoch]) -> None:
        """Keep the state for the next rung; after the last epoch nothing goes on from it."""
        path = self.folder / STATE
        if fit.done == self.recipe.epochs:
            path.unlink(missing_ok=True)
            return
        with atomic(path) as temporary:
            records = [asdict(epoch) for epoch in epochs]
            extra = {"probe_flops": self.probe_flops, "passes": self.passes}
            torch.save({"fit": fit.state(), "epochs": records, **extra}, temporary)

    def _cost(self, network: Network, body: nn.Module, fit_flops: int) -> Cost:
        pixel = Pixels(self.setting.dev.images, ("identity",)).take(np.zeros(1, int), np.zeros(1, int))
        return Cost(
            passes=dict(self.passes),
            fit_flops=fit_flops,
            predict_flops=cost.forward_flops(network, pixel.to(self.setting.device)) * len(self.setting.scored),
            parameters=cost.count_parameters(network),
            trainable_parameters=cost.count_parameters(body),
        )

    def _open_test(self, network: Network, body: nn.Module, test: ImageSet) -> dict[str, Any]:
        """Score the test split, once, at the end; keep the network."""
        rows = np.arange(len(test))
        inputs = self._test_inputs(network, test)
        probabilities = predict(body, inputs, rows, self.setting.device, len(self.setting.scored))
        save_model(network, self._spec(), self.folder)
        return _predictions(rows, probabilities)

    def _spec(self) -> dict[str, Any]:
        images = self.setting.dev
        backbone = BACKBONES[self.recipe.backbone]
        return describe(self.recipe, backbone, images.classes, images.size, images.channels, self.setting.scored)

    def _test_inputs(self, network: Network, test: ImageSet) -> Inputs:
        charged = dict(self.passes)  # scoring the test split is no cost of training
        inputs = self._inputs(network, self.recipe.cut, test, self.setting.scored)
        self.passes = charged
        return inputs


def _transform(recipe: Recipe, pixels: bool) -> Transform | None:
    if not (pixels and recipe.jitter):
        return None
    return lambda batch, generator: jitter(batch, recipe.jitter, generator)


def _predictions(rows: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    return {"rows": rows.tolist(), "probabilities": probabilities.tolist()}
