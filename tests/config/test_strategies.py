"""The battery that every row of `strategies` in params.yaml passes, with every choice in its space."""

import functools
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from pipeline.config.backbone_table import BACKBONES
from pipeline.config.features import Features
from pipeline.config.params import Runtime
from pipeline.config.recipe import Recipe
from pipeline.config.search_space import Dimension
from pipeline.config.strategies import Strategy
from pipeline.data.image_set import ImageSet, load
from pipeline.inference.network import Network
from pipeline.network.build import build
from pipeline.network.cut import place, split, stages
from pipeline.network.pretrained import load_pretrained
from pipeline.training.feature_cache import cached
from pipeline.training.feature_pass import Pixels
from pipeline.training.loop import Fit, predict
from pipeline.training.run_context import make_run_context, unit_folder
from pipeline.training.samples import Inputs, Samples
from pipeline.training.unit import unit
from tests.support.imports import ROOT
from tests.support.networks import Live

SMALL = {"image_size": 32, "epochs": 2, "batch_size": 8, "hidden": 16}
VIEWS = ("identity", "hflip")
FEATURES = Features(views=VIEWS, tta=True)
RUNTIME = Runtime(threads=1, device="cpu")
CPU = torch.device("cpu")
ROWS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["strategies"]


def middle(axis: Dimension) -> float:
    low, high = axis.ends()
    return (low * high) ** 0.5 if axis.log else (low + high) / 2


def variants(name: str) -> Iterator[Any]:
    """Yield small recipes that hold every choice of a row's space at least once; ranges stand at their middle."""
    row = Strategy(**ROWS[name])
    axes = {key: axis.choices or (middle(axis),) for key, axis in row.space.items() if key not in SMALL}
    named = [key for key, values in axes.items() if len(values) > 1]
    for turn in range(max(map(len, axes.values()), default=1)):
        chosen = {key: values[turn % len(values)] for key, values in axes.items()}
        wanted = {**row.recipe, **chosen, **SMALL}
        yield pytest.param(Recipe(**wanted), id=" ".join([name, *(f"{key}={wanted[key]}" for key in named)]))


EVERY = [variant for name in ROWS for variant in variants(name)]
ONE_EACH = [max(variants(name), key=lambda variant: variant.values[0].probe) for name in ROWS]
WITH_STEM = [variant for variant in ONE_EACH if variant.values[0].cut not in ("input", 0)]

# On random features the same code runs as on frozen ones.
IN_SHORT = [pytest.param(*v.values, id=v.id, marks=[pytest.mark.slow] if v.id.startswith("random-features") else [])
         for v in ONE_EACH]  # fmt: skip

every_variant = pytest.mark.parametrize("recipe", EVERY)
every_row = pytest.mark.parametrize("recipe", ONE_EACH)
every_trained_row = pytest.mark.parametrize("recipe", IN_SHORT)
every_stem = pytest.mark.parametrize("recipe", WITH_STEM)


@pytest.fixture(scope="module")
def trained(image_set, prepared, tmp_path_factory):
    """A function from recipe and seed to a whole unit's outcome and network; `attempt` 2 starts from nothing again."""
    test = load(prepared.test)

    @functools.cache
    def train(recipe, seed=1, attempt=1):
        context = make_run_context(image_set, 0.2, FEATURES, tmp_path_factory.mktemp("work"), RUNTIME)
        outcome = unit(recipe, context, seed, test=test)
        return outcome, load_file(unit_folder(recipe, context, seed) / "model.safetensors")

    return train


def pixels(images: ImageSet) -> Pixels:
    return Pixels(images.images, VIEWS)


def batch(images: ImageSet, count: int = 6) -> torch.Tensor:
    return pixels(images).take(np.arange(count), np.zeros(count, dtype=np.int64))


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(tensor, right[name]) for name, tensor in left.items())


def names_of(part: nn.Module, network: Network) -> list[str]:
    """Return what the tensors of a part are called in the whole network."""
    own = {id(tensor) for tensor in part.state_dict(keep_vars=True).values()}
    return [name for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) in own]


def inputs_of(network: Network, cut: int | str, images: ImageSet, cache: Path) -> Inputs:
    at = place(network, cut)
    return cached(stages(network), at, images, VIEWS, cache, CPU) if at else pixels(images)


def start(recipe: Recipe, images: ImageSet, cache: Path) -> tuple[nn.Sequential, Samples]:
    """Return a new body and 16 images as it sees them."""
    network = build(recipe, images, 1)
    inputs = inputs_of(network, recipe.cut, images, cache)
    return split(network, recipe.cut)[1], Samples(inputs, images.labels, np.arange(16))


@every_variant
def test_body_after_stem_is_the_network(recipe, image_set):
    network = build(recipe, image_set, 1).eval()
    stem, body = split(network, recipe.cut)
    with torch.inference_mode():
        assert torch.equal(body(stem(batch(image_set))), network(batch(image_set)))


@every_variant
def test_training_leaves_the_stem_alone_to_the_bit_and_changes_the_body(recipe, image_set, trained):
    network = build(recipe, image_set, 1)
    stem, body = split(network, recipe.cut)
    before, after = network.state_dict(), trained(recipe)[1]
    assert before.keys() == after.keys()
    assert [name for name in names_of(stem, network) if not torch.equal(before[name], after[name])] == []
    learned = {name for name, _ in network.named_parameters()} & set(names_of(body, network))
    assert [name for name in learned if torch.equal(before[name], after[name])] == []


@every_stem
def test_the_stem_runs_in_eval_mode_and_keeps_its_statistics(recipe, image_set, tmp_path):
    network = build(recipe, image_set, 1).train()
    stem, _ = split(network, recipe.cut)
    before = state(stem)
    kept = inputs_of(network, recipe.cut, image_set, tmp_path).take(np.arange(6), np.zeros(6, dtype=np.int64))
    assert same(before, state(stem))
    with torch.inference_mode():
        torch.testing.assert_close(kept, stem.eval()(batch(image_set)), rtol=2e-3, atol=2e-3)


@every_stem
def test_training_on_cached_features_is_training_on_live_ones(recipe, image_set, tmp_path):
    losses, probabilities = [], []
    for live in (False, True):
        body, samples = start(recipe, image_set, tmp_path)
        stem, _ = split(build(recipe, image_set, 1), recipe.cut)
        inputs = Live(stem, pixels(image_set)) if live else samples.inputs
        losses.append(Fit(body, recipe, 1, CPU).epoch(replace(samples, inputs=inputs)))
        probabilities.append(predict(body, inputs, samples.rows, CPU))
    # Batches of other sizes differ in the last bits, half precision rounds that up, and Adam's first steps amplify it.
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    np.testing.assert_allclose(*probabilities, atol=1e-2)


@every_row
def test_the_same_seed_gives_the_same_outcome(recipe, trained):
    (first, network), (second, again) = trained(recipe), trained(recipe, attempt=2)
    assert first == second
    assert same(network, again)


@every_trained_row
def test_another_seed_gives_another_outcome(recipe, trained):
    (first, _), (second, _) = trained(recipe, 1), trained(recipe, 2)
    assert first.valid["rows"] != second.valid["rows"]
    assert first.epochs != second.epochs
    assert first.test["probabilities"] != second.test["probabilities"]


@every_trained_row
def test_it_learns_sixteen_images_by_heart(recipe, image_set, tmp_path):
    epochs = 150 if recipe.cut == "head" else 12  # a head alone learns slowly, and costs little
    eager = {"epochs": epochs, "learning_rate": 0.001, "dropout": 0, "weight_decay": 0, "color_jitter": 0}
    copied = {name: np.tile(getattr(image_set, name)[:16], 3) for name in ("labels", "strata")}
    images = np.concatenate([image_set.images[:16]] * 3)
    thrice = replace(image_set, images=images, ids=np.arange(48).astype(str), digest="sixteen", **copied)
    outcome = unit(recipe.model_copy(update=eager), make_run_context(thrice, 1 / 3, FEATURES, tmp_path, RUNTIME), 1)
    assert outcome.epochs[-1].valid["accuracy"] == 1  # a third of the copies are its validation split


@every_trained_row
def test_a_learning_rate_of_nothing_changes_nothing(recipe, image_set, tmp_path):
    recipe = recipe.model_copy(update={"learning_rate": 1e-30, "weight_decay": 0.0})
    body, samples = start(recipe, image_set, tmp_path)
    before = {name: tensor.detach().clone() for name, tensor in body.named_parameters()}
    Fit(body, recipe, 1, CPU).epoch(samples)
    torch.testing.assert_close(dict(body.named_parameters()), before, rtol=0, atol=1e-25)


@every_row
def test_predictions_do_not_depend_on_the_batch(recipe, image_set, tmp_path):
    body, samples = start(recipe, image_set, tmp_path)
    Fit(body, recipe, 1, CPU).epoch(samples)  # which leaves the body in train mode
    together = predict(body, samples.inputs, samples.rows, CPU)
    alone = [predict(body, samples.inputs, samples.rows[i : i + 1], CPU)[0] for i in range(16)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together.sum(1), 1)


@every_row
def test_a_training_saved_and_taken_up_again_is_the_uninterrupted_one(recipe, image_set, tmp_path):
    recipe = recipe.model_copy(update={"epochs": 3})
    body, samples = start(recipe, image_set, tmp_path)
    whole = Fit(body, recipe, 1, CPU)
    losses = [whole.epoch(samples), whole.epoch(samples), whole.epoch(samples)]

    begun = Fit(start(recipe, image_set, tmp_path)[0], recipe, 1, CPU)
    file = io.BytesIO()
    resumed_losses = [begun.epoch(samples)]
    torch.save(begun.state(), file)
    file.seek(0)
    ended = Fit(start(recipe, image_set, tmp_path)[0], recipe, 1, CPU)
    ended.restore(torch.load(file, weights_only=True))
    resumed_losses += [ended.epoch(samples), ended.epoch(samples)]

    assert resumed_losses == losses
    assert same(ended.body.state_dict(), whole.body.state_dict())


@every_row
def test_only_pretrained_networks_start_from_the_package_s_weights(recipe, image_set):
    backbone = build(recipe, image_set, 1).backbone
    catalog = BACKBONES["efficientnet_lite0" if recipe.weights == "pretrained" else recipe.backbone]
    if catalog.package is None:
        pytest.skip("no weights to compare with")
    before = state(backbone)
    load_pretrained(backbone, catalog)
    assert same(before, backbone.state_dict()) == (recipe.weights == "pretrained")
