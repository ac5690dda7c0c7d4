"""One unit of work: train one recipe with one seed. Stages tune and train consist of such units."""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.common.files import once, read_json, write_json
from pipeline.common.outcome import Epoch, Outcome
from pipeline.config.recipe import Recipe
from pipeline.data.folds import train_valid
from pipeline.data.image_set import ImageSet, nested_subset
from pipeline.network import flops
from pipeline.network.build import build, save_model
from pipeline.network.cut import split
from pipeline.network.pretrained import LocalBackbone
from pipeline.training.augment import augmentation
from pipeline.training.logistic import LogisticFit, fit_logistic
from pipeline.training.loop import DivergedError, Fit, predict
from pipeline.training.metrics import score
from pipeline.training.run_context import (
    CostedNetwork,
    OnEpoch,
    OnImages,
    RunContext,
    load_state,
    save_state,
    unit_folder,
)
from pipeline.training.samples import Inputs, first_view, images_an_epoch

STATE, TIMING = "state.pt", "timing.json"
CHECKPOINT_SECONDS = 300.0  # a kill costs about as much


def unit(
    recipe: Recipe,
    context: RunContext,
    seed: int,
    until: int | None = None,
    test: ImageSet | None = None,
    on_epoch: OnEpoch = lambda epoch: None,
    on_images: OnImages = lambda count: None,
    fraction: float = 1.0,
    validated: bool = False,
) -> Outcome:
    """Train a recipe up to epoch `until` (default: all) and score it; a unit that is done is read back instead.

    A unit stopped at an earlier epoch is continued from there. With `test`, its images are scored too, and the
    trained network is kept in `unit_folder`. A `fraction` below 1 trains on that share of the training images, for a
    point of a learning curve: then validation is looked at after the last epoch alone, and no network is kept.

    With `validated` and no test, the predictions on validation are kept all the same, at any fraction. Whoever asks
    for the same unit without them is given this one's outcome.

    Processes that share a training all call this; the first alone writes.
    """
    until, context = until or recipe.epochs, context.of(recipe)
    ranks = context.ranks
    backbone = context.weight_store.find(recipe.backbone)
    folder = unit_folder(recipe, context, seed, fraction=fraction, backbone=backbone)
    work = _Unit(recipe, backbone, context, seed, folder, fraction)

    def train() -> dict[str, Any]:
        assert ranks.size == context.devices  # or the key would not say by how many it was trained
        outcome = work.run(until, test, on_epoch, on_images, validated)
        taken = work.taken()
        taken["cpu_seconds"] = float(ranks.total(torch.tensor(taken["cpu_seconds"], dtype=torch.float64)))
        if ranks.leads:
            write_json(folder / TIMING, taken)  # apart from the outcome, which is the same in every run
        return asdict(outcome)

    scored, path = folder / _outcome_name(until, None, validated=True), folder / _outcome_name(until, test, validated)
    if test is None and not validated and ranks.agreed(scored.exists()):
        return replace(Outcome.from_dict(read_json(scored)), valid={})
    found = read_json(path) if ranks.agreed(path.exists()) else train()
    if ranks.leads:
        found = once(path, lambda: found)
        if until == recipe.epochs:  # nothing goes on from there
            (folder / STATE).unlink(missing_ok=True)
    return Outcome.from_dict(found)


def is_done(
    recipe: Recipe,
    context: RunContext,
    seed: int,
    until: int,
    test: ImageSet | None = None,
    fraction: float = 1.0,
    validated: bool = False,
) -> bool:
    """Say whether a unit is finished, so that it would only be read back."""
    folder = unit_folder(recipe, context, seed, fraction=fraction)
    return (folder / _outcome_name(until, test, validated)).exists()


def _outcome_name(until: int, test: ImageSet | None, validated: bool = False) -> str:
    scored = f"-{test.digest}" if test else "-valid" if validated else ""
    return f"epoch-{until}{scored}.json"


def timing(recipe: Recipe, context: RunContext, seed: int, fraction: float = 1.0) -> dict[str, float]:
    """Return `seconds` and `cpu_seconds` that a finished unit took, scoring included, and what a kill lost left out."""
    return read_json(unit_folder(recipe, context, seed, fraction=fraction) / TIMING)


class _Unit:
    """The parts of one training."""

    def __init__(
        self, recipe: Recipe, backbone: LocalBackbone, context: RunContext, seed: int, folder: Path, fraction: float
    ) -> None:
        self.recipe, self.backbone, self.context, self.seed = recipe, backbone, context, seed
        self.folder, self.fraction = folder, fraction
        self.probe_flops = 0
        self._began = time.perf_counter(), time.process_time()
        self._before = {"seconds": 0.0, "cpu_seconds": 0.0}  # of the process that left the state

    def taken(self) -> dict[str, float]:
        """Return `seconds` and `cpu_seconds` so far, with those before the state that was gone on from."""
        seconds, cpu_seconds = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        return {"seconds": self._before["seconds"] + seconds, "cpu_seconds": self._before["cpu_seconds"] + cpu_seconds}

    def run(
        self, until: int, test: ImageSet | None, on_epoch: OnEpoch, on_images: OnImages, validated: bool
    ) -> Outcome:
        context, recipe = self.context, self.recipe
        train, valid = train_valid(context.dev, context.valid_fraction, self.seed)
        if self.fraction < 1:
            train = nested_subset(train, context.dev.labels, self.fraction, self.seed)
        network = build(recipe, context.dev, self.seed, self.backbone)
        stem, body = split(network, recipe.cut)
        costed = CostedNetwork(network, recipe, context, on_images, len(train) + len(valid))
        inputs = costed.inputs(recipe.cut)
        samples = context.samples(inputs, train)
        fit = Fit(body, recipe, self.seed, context.device, context.precision, context.ranks, context.micro_batch)
        transform = augmentation(recipe, len(stem) == 0, body[0])
        epochs = self._restore(fit, costed, until)
        assert len(epochs) == context.ranks.agreed(len(epochs)), "another process works on the same unit"
        failed, found, kept = "", None, time.monotonic()
        try:
            fitted = None if epochs else self._start_head(costed, train, valid)
            while len(epochs) < until:
                loss = fitted.loss if self._is_fitted and fitted else fit.epoch(samples, transform)
                number = len(epochs) + 1
                # Of few images, looking at validation every epoch would take as long as training.
                looked = self.fraction == 1 or number == until
                found = self._predict(body, inputs, valid, self._views(number)) if looked else None
                scores = {} if found is None else score(context.dev.labels[valid], found)
                epochs.append(Epoch(number, loss, scores))
                if len(epochs) < until and time.monotonic() - kept > CHECKPOINT_SECONDS:
                    self._save(fit, costed, epochs)
                    kept = time.monotonic()
                on_epoch(epochs[-1])
        except DivergedError as error:
            failed = str(error)
        self._save(fit, costed, epochs)
        example = first_view(inputs, train[:1]).to(context.device)
        by_epochs = [] if self._is_fitted else epochs
        trained = len(by_epochs) * images_an_epoch(len(train), recipe)
        looked_at = sum(self._views(epoch.number) for epoch in by_epochs if epoch.valid) * len(valid)
        price = costed.price(body, self.probe_flops + epochs_flops(body, example, trained, looked_at))
        outcome = Outcome(epochs, price, failed, images=len(train))
        if failed or not (test or validated):
            return outcome
        if test is not None:
            outcome = replace(outcome, test=self._open_test(costed, body, test))
        if self.fraction == 1 and context.ranks.leads:
            save_model(network, costed.spec(), self.folder)
        if self.fraction < 1 and test is not None:
            return outcome
        if found is None or self._views(until) < len(context.scored):  # else they are those after the last epoch
            found = self._predict(body, inputs, valid, len(context.scored))
        return replace(outcome, valid=_predictions(valid, found))

    def _predict(self, body: nn.Module, inputs: Inputs, rows: np.ndarray, views: int = 1) -> np.ndarray:
        context = self.context
        return predict(body, inputs, rows, context.device, views, context.precision, context.ranks)

    def _views(self, number: int) -> int:
        """Return how many views of the validation images an epoch is scored on.

        After the last it is those that the model will be served with: one view alone would favour what smooths
        predictions, such as mixup, which the mean over several does anyway.
        """
        return len(self.context.scored) if number == self.recipe.epochs else 1

    @property
    def _is_fitted(self) -> bool:
        """Say whether the head is all there is to train, and is fitted in one go."""
        return self.recipe.head == "logistic"

    def _start_head(self, costed: CostedNetwork, train: np.ndarray, valid: np.ndarray) -> LogisticFit | None:
        """Standardise the inputs of a head on frozen features and, where the recipe says so, fit it to them.

        Linear probing, then fine-tuning: Kumar et al. 2022, arXiv 2202.10054.
        """
        recipe, network = self.recipe, costed.network
        wanted = recipe.probe or self._is_fitted
        if recipe.cut != "head" and not wanted:
            return None
        features = costed.inputs("head")
        network.head[0].measure(first_view(features, train).to(self.context.device), network.groups)
        if not wanted:
            return None
        fitted = fit_logistic(
            network.head, self.context.samples(features, train), valid, len(self.context.scored), recipe
        )
        example = first_view(features, train[:1]).to(self.context.device)
        self.probe_flops = flops.training_flops(network.head, example) * fitted.images * fitted.iterations
        return fitted

    def _restore(self, fit: Fit, costed: CostedNetwork, until: int) -> list[Epoch]:
        path = self.folder / STATE
        if not path.exists():
            return []
        state, epochs = load_state(path, self.context.device)
        if state["fit"]["done"] > until:
            return []
        fit.restore(state["fit"])
        self.probe_flops, costed.passes = state["probe_flops"], {**costed.passes, **state["passes"]}
        self._before = state["taken"]
        return epochs

    def _save(self, fit: Fit, costed: CostedNetwork, epochs: list[Epoch]) -> None:
        """Keep the state for the next rung, or for the next process; after the last epoch nothing goes on from it."""
        if fit.done == self.recipe.epochs or self._is_fitted or not self.context.ranks.leads:
            return
        state = {"fit": fit.state(), "probe_flops": self.probe_flops, "passes": costed.passes, "taken": self.taken()}
        save_state(self.folder / STATE, state, epochs)

    def _open_test(self, costed: CostedNetwork, body: nn.Module, test: ImageSet) -> dict[str, Any]:
        """Score the test split, once, at the end."""
        rows = np.arange(len(test))
        probabilities = self._predict(body, costed.test_inputs(test), rows, len(self.context.scored))
        return _predictions(rows, probabilities)


def epochs_flops(body: nn.Module, example: torch.Tensor, trained: int, validated: int) -> int:
    """Count the operations of training on so many images, and of looking at so many, over all epochs."""
    return flops.training_flops(body, example) * trained + flops.forward_flops(body, example) * validated


def _predictions(rows: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    return {"rows": rows.tolist(), "probabilities": probabilities.tolist()}
