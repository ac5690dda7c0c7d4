"""One unit of work that is many trials: heads on a frozen backbone, trained in one go on cached features."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipeline.common.files import read_json, write_json
from pipeline.common.hashes import digest
from pipeline.common.outcome import Cost, Epoch, Outcome
from pipeline.config.recipe import Recipe
from pipeline.data.folds import train_valid
from pipeline.network.build import build, new_head
from pipeline.network.pretrained import LocalBackbone
from pipeline.training.batched_heads import SHAPE, HeadStack
from pipeline.training.metrics import score_many
from pipeline.training.run_context import CostedNetwork, OnImages, RunContext, load_state, save_state, unit_folder
from pipeline.training.samples import Inputs, first_view, images_an_epoch
from pipeline.training.unit import epochs_flops

OnHeadEpoch = Callable[[int, Epoch], object]  # position of the head, and its epoch


def heads(
    recipes: Sequence[Recipe],
    context: RunContext,
    seed: int,
    until: int,
    cohort: str,
    on_epoch: OnHeadEpoch = lambda position, epoch: None,
    on_images: OnImages = lambda count: None,
) -> list[Outcome]:
    """Train heads of one shape up to epoch `until`, each going on from its last rung; read back what is done.

    `cohort` names the whole group of trials that these belong to, in which the same heads always meet.
    """
    backbone = context.weight_store.find(recipes[0].backbone)
    folders = [unit_folder(recipe, context, seed, cohort, backbone=backbone) for recipe in recipes]
    paths = [folder / f"epoch-{until}.json" for folder in folders]
    if not all(path.exists() for path in paths):
        stack = _Stack(recipes, backbone, context, seed, folders)
        for path, outcome in zip(paths, stack.run(until, on_epoch, on_images), strict=True):
            write_json(path, asdict(outcome))
    return [Outcome.from_dict(read_json(path)) for path in paths]


@dataclass(frozen=True)
class _Trunk:
    """What all heads of one shape share: features, splits, and what an epoch costs."""

    inputs: Inputs
    groups: list[int]  # widths of the parts of the features
    train: np.ndarray
    valid: np.ndarray
    price: Cost  # before the first epoch
    epoch_flops: int
    look_flops: int  # of a look at one view of the validation images


@dataclass(frozen=True)
class _Asked:
    """A trunk's arguments, equal where what determines it is."""

    identity: str
    recipe: Recipe = field(compare=False)
    backbone: LocalBackbone = field(compare=False)
    context: RunContext = field(compare=False)
    seed: int = field(compare=False)
    on_images: OnImages = field(compare=False)


def _identity(recipe: Recipe, backbone: LocalBackbone, context: RunContext, seed: int) -> str:
    shape, found = {name: getattr(recipe, name) for name in SHAPE}, backbone.identity(recipe.weights)
    return digest({"shape": shape, "backbone": found, "seed": seed, "work": str(context.work), **context.identity()})


@lru_cache(maxsize=4)  # building the network and counting its operations takes as long as training some heads
def _trunk(asked: _Asked) -> _Trunk:
    recipe, context = asked.recipe, asked.context
    train, valid = train_valid(context.dev, context.valid_fraction, asked.seed)
    network = build(recipe, context.dev, asked.seed, asked.backbone)
    costed = CostedNetwork(network, recipe, context, asked.on_images)
    inputs = costed.inputs("head")
    example = first_view(inputs, train[:1]).to(context.device)
    flops = epochs_flops(network.head, example, images_an_epoch(len(train), recipe), len(valid))
    look = epochs_flops(network.head, example, 0, len(valid))
    return _Trunk(inputs, network.groups, train, valid, costed.price(network.head, 0), flops, look)


class _Stack:
    """The parts of one training of many heads."""

    def __init__(
        self, recipes: Sequence[Recipe], backbone: LocalBackbone, context: RunContext, seed: int, folders: list[Path]
    ) -> None:
        self.recipes, self.backbone, self.context, self.seed = recipes, backbone, context, seed
        self.folders = folders

    def run(self, until: int, on_epoch: OnHeadEpoch, on_images: OnImages) -> list[Outcome]:
        context, first = self.context, self.recipes[0]
        identity = _identity(first, self.backbone, context, self.seed)
        trunk = _trunk(_Asked(identity, first, self.backbone, context, self.seed, on_images))
        inputs, train, valid = trunk.inputs, trunk.train, trunk.valid
        new = [new_head(each, context.dev, self.seed, sum(trunk.groups)) for each in self.recipes]
        stack = HeadStack(new, self.recipes, self.seed, context.device)
        epochs = self._restore(stack, until)
        if stack.done == 0:
            stack.standardize.measure(first_view(inputs, train).to(context.device), trunk.groups)
        samples = context.samples(inputs, train)
        labels = context.dev.labels[valid]
        failed = [""] * len(self.recipes)
        while stack.done < until:
            losses = stack.epoch(samples)
            # After the last epoch, as the model will be served; see `unit`.
            views = len(context.scored) if stack.done == first.epochs else 1
            probabilities = stack.predict(inputs, valid, views)
            found = zip(failed, losses, probabilities)
            failed = [was or _trouble(loss, predicted, stack.done) for was, loss, predicted in found]
            sound = [i for i, why in enumerate(failed) if not why]
            for i, scores in zip(sound, score_many(labels, probabilities[sound])):
                epochs[i].append(Epoch(stack.done, losses[i], scores))
                on_epoch(i, epochs[i][-1])
        self._save(stack, epochs)
        further = (len(context.scored) - 1) * trunk.look_flops  # views, after the last epoch
        spent = [len(each) * trunk.epoch_flops + further * (len(each) == first.epochs) for each in epochs]
        prices = [replace(trunk.price, fit_flops=flops) for flops in spent]
        return [Outcome(*each) for each in zip(epochs, prices, failed)]

    def _restore(self, stack: HeadStack, until: int) -> list[list[Epoch]]:
        """Take up the heads where their last rung ended; all anew where any state is missing."""
        found = [_states(folder) for folder in self.folders]
        common = {epoch for states in found[:1] for epoch in states if epoch < until}
        common = {epoch for epoch in common if all(epoch in states for states in found)}
        if not common:
            return [[] for _ in self.recipes]
        states, epochs = zip(*(load_state(each[max(common)], self.context.device) for each in found))
        stack.restore(states)
        return list(epochs)

    def _save(self, stack: HeadStack, epochs: list[list[Epoch]]) -> None:
        """Keep a state per head for the next rung, beside the one before: a killed rung begins there again."""
        if stack.done == self.recipes[0].epochs:
            return
        for i, folder in enumerate(self.folders):
            save_state(folder / f"state-{stack.done}.pt", stack.state(i), epochs[i])


def _states(folder: Path) -> dict[int, Path]:
    return {int(path.stem.removeprefix("state-")): path for path in folder.glob("state-*.pt")}


def _trouble(loss: float, probabilities: np.ndarray, epoch: int) -> str:
    if not np.isfinite(loss):
        return f"the training loss became {loss} in epoch {epoch}"
    return "" if np.isfinite(probabilities).all() else "the network's predictions became nan"
