"""Which flips leave the labels true: those that do not hurt a head on frozen features, on validation images."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from pipeline.common.files import read_json
from pipeline.config.features import Features, View
from pipeline.config.recipe import Recipe
from pipeline.config.strategies import Strategy
from pipeline.data.folds import train_valid
from pipeline.network.build import build
from pipeline.training.logistic import fit_logistic
from pipeline.training.loop import predict
from pipeline.training.metrics import score
from pipeline.training.run_context import CostedNetwork, OnImages, RunContext
from pipeline.training.samples import Inputs, first_view

CANDIDATES: Final[tuple[View, ...]] = ("hflip", "vflip", "rot180")  # in the order in which they are tried
SEEDS = (0, 1, 2)  # of the splits on which heads are compared
# Where no strategy has a source.
PACKAGED: Final = {"backbone": "efficientnet_lite0", "image_size": 224, "features": "stages"}


@dataclass(frozen=True)
class TriedView:
    """What adding a view to those before it did: log loss on validation (nats), the mean over the splits."""

    view: str
    before: float
    after: float

    @property
    def kept(self) -> bool:
        """Say whether the view stays: the log loss does not rise."""
        return self.after <= self.before


def recipe_that_judges(strategies: Iterable[Strategy]) -> Recipe:
    """Return a logistic head on the features that the first strategy with pretrained weights has, so they are shared.

    Without one, it is the packaged default backbone's.
    """
    rows = sorted(strategies, key=lambda row: row.cuts() != ("head",))
    sourced = [{**row.recipe, **row.default_values()} for row in rows if "pretrained" in row.values("weights")]
    known = {key: value for key, value in (sourced or [{}])[0].items() if key in PACKAGED}
    return Recipe(**{**PACKAGED, **known, "weights": "pretrained", "cut": "head", "head": "logistic"})


class _SomeViews:
    """Inputs of which only some views are seen."""

    def __init__(self, inputs: Inputs, chosen: Sequence[int]) -> None:
        self.inputs, self.chosen, self.views = inputs, np.array(chosen), len(chosen)

    def take(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        return self.inputs.take(rows, self.chosen[views])


def choose_views(recipe: Recipe, context: RunContext, tta: bool, on_images: OnImages) -> list[TriedView]:
    """Try each candidate beside those that were kept before it, as heads on frozen features see them.

    `recipe` has a logistic head on pretrained features, and `context` all views, `identity` and CANDIDATES. A view
    is both trained on and, with `tta`, averaged over in predictions, as in the run itself. No test image is read.
    """
    network = build(recipe, context.dev, 0, context.weight_store.find(recipe.backbone))
    inputs = CostedNetwork(network, recipe, context, on_images).inputs("head")

    def log_loss(chosen: Sequence[int]) -> float:
        some = _SomeViews(inputs, chosen)
        return float(np.mean([_log_loss(network, some, recipe, context, seed, tta) for seed in SEEDS]))

    kept, found = [0], []
    best = log_loss(kept)
    for number, view in enumerate(CANDIDATES, 1):
        tried = TriedView(view, best, log_loss([*kept, number]))
        if tried.kept:
            kept, best = [*kept, number], tried.after
        found.append(tried)
    return found


def _log_loss(network: Any, inputs: Inputs, recipe: Recipe, context: RunContext, seed: int, tta: bool) -> float:
    """Return the validation log loss of a head that sees these views, on one split."""
    train, valid = train_valid(context.dev, context.valid_fraction, seed)
    scored = inputs.views if tta else 1
    head = network.head
    head[0].measure(first_view(inputs, train).to(context.device), network.groups)
    fit_logistic(head, context.samples(inputs, train), valid, scored, recipe)
    probabilities = predict(head, inputs, valid, context.device, scored)
    return score(context.dev.labels[valid], probabilities)["log_loss"]


def document(views: Sequence[str], tried: Sequence[TriedView]) -> dict[str, Any]:
    """Return what data/views.json holds."""
    return {"views": list(views), "tried": [{**asdict(each), "kept": each.kept} for each in tried]}


def seen(path: Path, tta: bool, cache_gb: float) -> Features:
    """Return the features with the views that data/views.json, which `document` made, names."""
    return Features(views=read_json(path)["views"], tta=tta, cache_gb=cache_gb)
