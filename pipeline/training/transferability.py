"""How far features separate the classes, before anything is trained on them: what transfer can hope for."""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from pipeline.config.recipe import Recipe
from pipeline.network.build import build
from pipeline.training.run_context import CostedNetwork, RunContext
from pipeline.training.samples import first_view

MOST_IMAGES = 10_000  # by which features are judged: enough for a fraction of a point
PENALTIES = np.logspace(-6, 3, 19)  # of the ridge classifier, in units of the mean variance along a direction
SIDE = 32  # of the thumbnails that stand for raw pixels
_BATCH = 256  # images


class Spectrum(NamedTuple):
    """Features (N, D) as far as linear models see them: X X' = U diag(values) U'."""

    values: np.ndarray  # (r,), all above 0: r directions, at most N and D
    vectors: np.ndarray  # U, (N, r), columns orthonormal


def separation(recipe: Recipe, context: RunContext, seed: int) -> dict[str, float] | None:
    """Return how far a pretrained backbone's features, as they are, separate the classes; None of random weights."""
    if recipe.weights == "random":
        return None
    images = context.dev
    rows = np.unique(np.linspace(0, len(images) - 1, MOST_IMAGES).astype(np.int64))
    network = build(recipe, images, seed, context.weight_store.find(recipe.backbone))
    features = first_view(CostedNetwork(network, recipe, context, lambda count: None).inputs("head"), rows)
    pixels = thumbnails(np.asarray(images.images[rows]))
    last = features[:, -network.groups[-1] :]  # of several stages, the last alone: that is what these scores are for
    return measure(last.cpu().numpy(), images.labels[rows], pixels)


def measure(features: np.ndarray, labels: np.ndarray, pixels: np.ndarray) -> dict[str, float]:
    """Return how far features (N, D) separate the labels, int (N,), and as a reference how far raw pixels (N, D') do.

    `h_score` (and `h_score_if_random`, what labels at random would give), `log_me` and `ridge_accuracy` of the
    features, the same of the pixels under `pixels_...`, and `majority`, the share of the commonest class. Neither the
    order of the images matters nor a rotation of the features. An H-score is measured on the images it was fitted to,
    and grows with the number of features: to compare features of different widths, take the other two. Needs about
    five times the memory of the features in double precision: of very many images take a sample.
    """
    reference = {f"pixels_{name}": value for name, value in _scores(pixels, labels).items()}
    return {**_scores(features, labels), **reference, "majority": float(np.bincount(labels).max() / len(labels))}


def thumbnails(images: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return images, uint8 (N, H, W, C), as float32 (N, D') rows of block means: at most side x side of them each."""
    rows, columns = (np.linspace(0, size, min(side, size) + 1).astype(np.int64) for size in images.shape[1:3])
    small = np.empty((len(images), len(rows) - 1, len(columns) - 1, images.shape[3]), np.float32)
    for start in range(0, len(images), _BATCH):  # the images may be a file larger than memory
        sums = np.add.reduceat(images[start : start + _BATCH], rows[:-1], axis=1, dtype=np.float32)
        small[start : start + _BATCH] = np.add.reduceat(sums, columns[:-1], axis=2)
    small /= np.diff(rows)[:, None, None] * np.diff(columns)[:, None]
    return small.reshape(len(images), math.prod(small.shape[1:]))


def _scores(features: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    doubles = features.astype(np.float64)
    centred = doubles - doubles.mean(0)
    spread = spectrum(centred)
    score, if_random = h_score(centred, labels, spread)
    return {
        "h_score": score,
        "h_score_if_random": if_random,
        "log_me": log_me(labels, spectrum(doubles)),
        "ridge_accuracy": ridge_accuracy(labels, spread),
    }


def spectrum(features: np.ndarray) -> Spectrum:
    """Decompose float64 features (N, D) by the smaller one of their two Gram matrices."""
    count, width = features.shape
    wide = width > count
    values, vectors = np.linalg.eigh(features @ features.T if wide else features.T @ features)
    kept = values > max(values[-1], 0) * max(count, width) * np.finfo(np.float64).eps
    values, vectors = values[kept], vectors[:, kept]
    return Spectrum(values, vectors if wide else features @ vectors / np.sqrt(values))


def h_score(centred: np.ndarray, labels: np.ndarray, spread: Spectrum) -> tuple[float, float]:
    """Return the shrunk H-score of centred features (N, D), and its mean over all orders of the labels.

    The H-score (Bao et al. 2019) is trace(cov(f)^-1 cov(E[f|y])), from 0 to the number of classes less 1; the shrunk
    covariance (Ledoit and Wolf 2004) is for more features than images (Ibrahim et al. 2022). In terms of the spectrum
    it is how much of the class indicators a ridge regression explains, with the shrinkage for a penalty.
    """
    shrinkage = _shrinkage(centred, spread.values)
    if shrinkage == 1:
        return 0.0, 0.0
    kept = spread.values / (spread.values + shrinkage / (1 - shrinkage) * spread.values.sum() / centred.shape[1])
    indicators = _indicators(labels)
    explained = ((spread.vectors.T @ indicators) ** 2).sum(1)
    return float(explained @ kept), float(kept.sum() * (indicators.shape[1] - 1) / (len(labels) - 1))


def log_me(labels: np.ndarray, spread: Spectrum) -> float:
    """Return LogME (You et al. 2021): the log evidence of linear models of the class indicators, per image and class.

    The features are not centred, as published. The noise has its best value in closed form, given the ratio t of
    the two precisions; the published fixed point for t can stop at a local maximum, so it is looked for everywhere.
    """
    targets = (labels[:, None] == np.unique(labels)).astype(np.float64)
    along = (spread.vectors.T @ targets) ** 2  # (r, classes)
    rest = np.clip(targets.sum(0) - along.sum(0), 0, None)
    values = spread.values / spread.values.max(initial=0.0)
    return float(np.mean([_evidence(values, a, b, len(labels)) for a, b in zip(along.T, rest)]))


def ridge_accuracy(labels: np.ndarray, spread: Spectrum) -> float:
    """Return the leave-one-out accuracy of a ridge classifier on centred features, in closed form.

    The penalty with the smallest leave-one-out squared error is taken. The shares of the classes alone are those of
    all images: without an image its own class is a little rarer, so that guesses from features that say nothing
    would be worse than chance.
    """
    count, shares = len(labels), np.bincount(labels) / len(labels)
    targets = np.eye(len(shares))[labels] - shares
    along = spread.vectors.T @ targets
    best, accuracy = np.inf, 0.0
    for penalty in PENALTIES * (spread.values.mean() if len(spread.values) else 1.0):
        kept = spread.values / (spread.values + penalty)
        free = np.clip(1 - 1 / count - spread.vectors**2 @ kept, 1e-9, 1)[:, None]
        guesses = targets - (targets - spread.vectors @ (kept[:, None] * along)) / free
        error = float(((guesses - targets) ** 2).sum())
        if error < best:
            named = (guesses + targets / max(count - 1, 1) + shares).argmax(1)
            best, accuracy = error, float((named == labels).mean())
    return accuracy


def _evidence(values: np.ndarray, along: np.ndarray, rest: float, count: int) -> float:
    """Return the largest log evidence of y ~ N(0, (X X' / t + 1) / beta), per image.

    Values are those of X X' in units of the largest; `along` holds the squares of y in their directions, `rest` what
    is left of it.
    """

    def of(log_ratio: np.ndarray) -> np.ndarray:
        gains = 1 + values / np.exp(log_ratio)[..., None]
        noise = ((along / gains).sum(-1) + rest) / count
        return -0.5 * (np.log(gains).sum(-1) / count + np.log(noise) + 1 + np.log(2 * np.pi))

    grid = np.linspace(np.log(1e-12), np.log(1e6), 120)
    at = int(of(grid).argmax())
    low, high = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    found = minimize_scalar(lambda x: -of(np.asarray(x)), bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(max(-found.fun, of(grid)[at]))


def _shrinkage(centred: np.ndarray, values: np.ndarray) -> float:
    """Return Ledoit and Wolf's shrinkage of the covariance of centred features (N, D), from 0 to 1."""
    count, width = centred.shape
    squares = float((values**2).sum()) / count**2
    distance = squares - (float(values.sum()) / count) ** 2 / width
    noise = (float(((centred**2).sum(1) ** 2).sum()) / count - squares) / count
    return float(min(max(noise, 0.0) / distance, 1.0)) if distance > 0 else 1.0


def _indicators(labels: np.ndarray) -> np.ndarray:
    """Return the classes present as columns (N, classes) of length 1, each at right angles to the others."""
    named = (labels[:, None] == np.unique(labels)).astype(np.float64)
    return named / np.sqrt(named.sum(0))
