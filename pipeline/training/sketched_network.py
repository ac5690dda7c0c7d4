"""A recipe's network before anything is trained: what an image costs in it is counted, or timed on this machine.

A network is built with random weights, since weights change no cost, and works on a few images of noise.
"""

import time
import warnings
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.config.cluster import Gpu
from pipeline.config.recipe import Recipe
from pipeline.data.image_set import ImageSet
from pipeline.network import flops
from pipeline.network.build import build
from pipeline.network.cut import place, split, stages
from pipeline.network.devices import keep_memory
from pipeline.network.pretrained import WeightStore
from pipeline.training.augment import augmentation
from pipeline.training.feature_cache import Cached
from pipeline.training.feature_pass import Pixels, fill, shapes, storage
from pipeline.training.image_costs import ImageCosts, larger, scaled
from pipeline.training.loop import Fit, predict
from pipeline.training.samples import Inputs, Samples, first_view

IMAGES, PASSED, FEATURES = 64, 16, 1024  # of noise: for networks, for a feature pass, for heads
LEAST = 0.2  # CPU-seconds that a timing goes on for
CPU = torch.device("cpu")


def noise(count: int, side: int, channels: int, classes: int) -> ImageSet:
    """Return images of noise, of every class as many."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    labels = np.arange(count) % classes
    ids = np.array([f"{number:032x}" for number in range(count)])
    return ImageSet(pixels, labels, labels.astype(str), ids, tuple(f"c{i}" for i in range(classes)), "noise")


class SketchedNetwork:
    """A recipe's network, cut as in training, with what its parts are fed."""

    def __init__(self, recipe: Recipe, side: int, channels: int, classes: int, weights: WeightStore) -> None:
        self.recipe = recipe
        self._images = noise(IMAGES, side, channels, classes)
        backbone, unloaded = weights.find(recipe.backbone), recipe.model_copy(update={"weights": "random"})
        network = build(unloaded, self._images, 0, backbone)
        self._stages, self.at, self.head_at = stages(network), place(network, recipe.cut), place(network, "head")
        self._head, (_, self._body) = network.head, split(network, recipe.cut)

    @property
    def cuts(self) -> tuple[int, ...]:
        """Return after how many stages features are asked for, the deepest first: none where all is trained."""
        fitted = self.recipe.probe or self.recipe.head == "logistic"
        return tuple(sorted({self.at, *((self.head_at,) if fitted else ())} - {0}, reverse=True))

    @cached_property
    def bytes_stored(self) -> dict[int, int]:
        """Return the bytes that the feature cache holds of one view of an image, by the number of stages."""
        made = shapes(self._stages[: max(self.cuts, default=0)], Pixels(self._images.images, ("identity",)), CPU)
        return {at: int(np.prod(made[at][1:])) * storage(made[at]).itemsize for at in self.cuts}

    def flops(self) -> ImageCosts:
        """Count floating-point operations."""
        body, head = self._example(self.at), self._example(self.head_at)
        return ImageCosts(
            {at: flops.forward_flops(self._stem(at), self._pixel) for at in self.cuts},
            flops.training_flops(self._body, body),
            flops.forward_flops(self._body, body),
            flops.training_flops(self._head, head),
        )

    def bytes_moved(self) -> ImageCosts:
        """Count the bytes that operations read and write, in single precision, as if nothing stayed in a cache.

        Weights are shared by the images of a batch.
        """
        body = self._example(self.at).repeat(self.recipe.batch_size, *[1] * (self._example(self.at).ndim - 1))
        return ImageCosts(
            {at: _moved(partial(self._stem(at), self._pixel), training=False) for at in self.cuts},
            _moved(lambda: self._body(body).sum().backward()) / self.recipe.batch_size,
            _moved(lambda: self._body(body), training=False) / self.recipe.batch_size,
            2.0 * self._example(self.head_at).nbytes,
        )

    def seconds(self) -> ImageCosts:
        """Time them in CPU-seconds of this process, on as many threads as torch has; best done with nothing beside."""
        inputs, rows = self._inputs(self.at)
        samples = Samples(inputs, np.arange(len(rows)) % len(self._images.classes), rows)
        transform = augmentation(self.recipe, self.at == 0, self._body[0])
        fit = Fit(self._body, self.recipe.model_copy(update={"epochs": 10**6, "min_steps": 0}), 0, CPU)
        return ImageCosts(
            {at: self._pass_seconds(at) for at in self.cuts},
            _timed(lambda: fit.epoch(samples, transform)) / len(rows),
            _timed(lambda: predict(self._body, inputs, rows, CPU)) / len(rows),
            self._fit_seconds(),
        )

    def host_seconds(self) -> ImageCosts:
        """Time what stays with the processor where a GPU trains: reading, augmentation, logistic regression."""
        (inputs, rows), generator = self._inputs(self.at), torch.Generator()
        transform = augmentation(self.recipe, self.at == 0, self._body[0]) or (lambda batch, generator: batch)
        batch = rows[: self.recipe.batch_size]
        pixels, first = Pixels(self._images.images, ("identity",)), np.arange(PASSED)
        read = _timed(lambda: first_view(pixels, first)) / len(first)
        return ImageCosts(
            dict.fromkeys(self.cuts, read),
            _timed(lambda: transform(first_view(inputs, batch), generator)) / len(batch),
            _timed(lambda: first_view(inputs, batch)) / len(batch),
            self._fit_seconds(),
        )

    def _pass_seconds(self, at: int) -> float:
        made = shapes(self._stages[:at], Pixels(self._images.images[:PASSED], ("identity",)), CPU)[at]
        maps, stem = {at: np.empty(made, storage(made))}, nn.ModuleList(self._stages[:at])
        pixels = Pixels(self._images.images[:PASSED], ("identity",))
        return _timed(lambda: fill(maps, stem, pixels, CPU, lambda done: None)) / PASSED

    def _fit_seconds(self) -> float:
        if not (self.recipe.probe or self.recipe.head == "logistic"):
            return 0.0
        rng, width, most = np.random.default_rng(0), self._example(self.head_at).shape[1], 10
        x, classes = rng.standard_normal((FEATURES, width), np.float32), len(self._images.classes)
        regression = LogisticRegression(max_iter=most, tol=0.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return _timed(lambda: regression.fit(x, np.arange(FEATURES) % classes)) / FEATURES / most

    def _stem(self, at: int) -> nn.Sequential:
        return nn.Sequential(*self._stages[:at]).eval()

    @cached_property
    def _pixel(self) -> torch.Tensor:
        return first_view(Pixels(self._images.images, ("identity",)), np.arange(1))

    def _example(self, at: int) -> torch.Tensor:
        with torch.no_grad():
            return self._stem(at)(self._pixel) if at else self._pixel

    def _inputs(self, at: int) -> tuple[Inputs, np.ndarray]:
        """Return what a body that begins there is fed from, and its rows."""
        if at == 0:
            return Pixels(self._images.images, ("identity",)), np.arange(IMAGES)
        count, one = FEATURES if at == self.head_at else IMAGES, self._example(at).numpy()
        values = np.random.default_rng(0).standard_normal((count, *one.shape[1:]), np.float32)
        return Cached([(one + one.std() * values).astype(storage(one.shape))]), np.arange(count)


class Sketches:
    """The networks of recipes for images of one kind, one for all recipes that cost the same, and what they cost."""

    def __init__(self, side: int, channels: int, classes: int, weights: WeightStore, threads: int) -> None:
        """Take the side and the channels of the packed images, and the threads that timings are of."""
        keep_memory()  # as a training does
        torch.set_num_threads(threads)
        self._made = side, channels, classes, weights
        self._known: dict[tuple[Any, ...], SketchedNetwork] = {}
        self._costs: dict[tuple[Any, ...], ImageCosts] = {}

    def of(self, recipe: Recipe) -> SketchedNetwork:
        """Return a recipe's network."""
        key = _kind(recipe)
        if key not in self._known:
            self._known[key] = SketchedNetwork(recipe, *self._made)
        return self._known[key]

    def flops(self, recipe: Recipe) -> ImageCosts:
        """Return what an image costs in floating-point operations."""
        return self._once("flops", recipe, SketchedNetwork.flops)

    def bytes_moved(self, recipe: Recipe) -> ImageCosts:
        """Return what an image costs in bytes that operations read and write."""
        return self._once("bytes", recipe, SketchedNetwork.bytes_moved)

    def seconds(self, recipe: Recipe) -> ImageCosts:
        """Return what an image costs in CPU-seconds of this machine."""
        return self._once("seconds", recipe, SketchedNetwork.seconds)

    def seconds_on(self, gpu: Gpu, recipe: Recipe) -> ImageCosts:
        """Return the least that an image costs in seconds of a GPU that a core of this machine feeds.

        It is whichever is slowest: its operations or its memory, computed from the data sheet for bfloat16, or what
        the core does, as timed here. What is reached is less, of small networks far less.
        """
        computed = scaled(self.flops(recipe), 1 / gpu.flops)
        computed = larger(computed, scaled(self.bytes_moved(recipe), 0.5 / gpu.bytes_per_second))
        return larger(computed, self.host_seconds(recipe))

    def host_seconds(self, recipe: Recipe) -> ImageCosts:
        """Return what the core that feeds a GPU does for an image, in seconds."""
        return self._once("host", recipe, SketchedNetwork.host_seconds)

    def _once(self, what: str, recipe: Recipe, count: Callable[[SketchedNetwork], ImageCosts]) -> ImageCosts:
        key = (what, *_kind(recipe))
        if key not in self._costs:
            self._costs[key] = count(self.of(recipe))
        return self._costs[key]


def _kind(recipe: Recipe) -> tuple[Any, ...]:
    """Return all of a recipe that decides what an image costs."""
    hidden = recipe.hidden if recipe.head == "mlp" else 0
    changes = recipe.shift, recipe.crop_scale < 1, recipe.rotation > 0, recipe.color_jitter > 0, recipe.erasing > 0
    return (recipe.backbone, recipe.cut, recipe.head, hidden, recipe.features, recipe.image_size, recipe.batch_size,
            recipe.probe, recipe.ema > 0, *changes)  # fmt: skip


def _timed(call: Callable[[], object]) -> float:
    """Return the CPU-seconds of a call: the least of several, since whatever else runs can only add to them."""
    call()
    taken: list[float] = []
    while len(taken) < 2 or sum(taken) < LEAST:
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return min(taken)


class _Bytes(TorchDispatchMode):
    """Within this context, add up the bytes of what operations read and write; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operation."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.count += sum(each.nbytes for each in (*_tensors(args), *_tensors((out,))))
        return out


def _tensors(found: Iterable[Any]) -> Iterable[torch.Tensor]:
    for each in found:
        if isinstance(each, torch.Tensor):
            yield each
        elif isinstance(each, list | tuple):
            yield from _tensors(each)


def _moved(call: Callable[[], object], training: bool = True) -> float:
    with torch.set_grad_enabled(training), _Bytes() as seen:
        call()
    return float(seen.count)
