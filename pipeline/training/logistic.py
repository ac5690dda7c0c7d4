"""A head in one go: logistic regression on frozen features, along a whole path of penalties."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.training.loop import DivergedError
from pipeline.training.samples import Inputs, Samples, SampleWeights, one_view

PENALTIES = np.logspace(5, -6, 45)  # of the mean loss, strongest first (Kornblith et al. 2019, arXiv 1805.08974)
PATIENCE = 6  # penalties without a better validation loss that end the path: weak ones take longest
MOST_BYTES = 2 * 2**30  # of features at once: of very many images, fewer views are taken
ITERATIONS = 500
ABSENT = -20.0  # logit of a class without a training image


@dataclass(frozen=True)
class LogisticFit:
    """What a fit found, and what it took."""

    l2: float
    loss: float  # mean over the training images, without the penalty
    iterations: int  # of L-BFGS, over the whole path
    images: int  # training images times views


def fit_logistic(head: nn.Sequential, samples: Samples, valid: np.ndarray, scored: int, recipe: Recipe) -> LogisticFit:
    """Set the weights of a head, (standardisation, dropout, linear), to the optimum of a logistic regression.

    Without `recipe.l2`, penalties are tried from the strongest on, each from the solution before, and the one is kept
    whose loss on the rows `valid` is lowest, in the mean of the first `scored` views. Raise DivergedError where the
    features are not finite.
    """
    inputs, labels = samples.inputs, samples.labels
    weights = SampleWeights(samples, recipe.class_weight_power)
    rows = samples.rows
    views = max(1, min(inputs.views, MOST_BYTES // (4 * len(rows) * head[0].mean.numel())))
    x = np.concatenate([_standardised(head, inputs, rows, view) for view in range(views)])
    looked_at = [_standardised(head, inputs, valid, view) for view in range(scored)]
    if not np.isfinite(x).all():
        raise DivergedError("the features are not finite")
    target, counts = np.tile(labels[rows], views), np.tile(weights.of(rows), views)
    valid_labels, valid_counts = labels[valid], weights.of(valid)
    regression = LogisticRegression(warm_start=True, max_iter=ITERATIONS, tol=1e-4)
    best, iterations, since = (np.inf, np.inf), 0, 0
    for penalty in PENALTIES if recipe.l2 is None else (recipe.l2,):
        regression.set_params(C=1 / (penalty * len(x)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit(x, target, counts)
        iterations += int(regression.n_iter_.max())
        weight, bias = _softmax_form(regression, head[-1].out_features)
        loss = _loss(looked_at, valid_labels, valid_counts, weight, bias)
        since += 1
        if loss < best[0]:
            best, since = (loss, penalty), 0
            _set(head[-1], weight, bias)
        if since >= PATIENCE:
            break
    loss = _loss([x], target, counts, *_parameters(head[-1]))
    return LogisticFit(float(best[1]), loss, iterations, len(x))


def _standardised(head: nn.Sequential, inputs: Inputs, rows: np.ndarray, view: int) -> np.ndarray:
    standardize = head[0]
    with torch.no_grad():
        x = one_view(inputs, rows, view).to(standardize.mean.device)
        return standardize(x).cpu().numpy()


def _softmax_form(regression: Any, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (classes, D) and biases of logits under a softmax; of two classes, scikit-learn keeps one row."""
    coefficients, intercepts = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:
        coefficients, intercepts = np.concatenate([-coefficients, coefficients]) / 2, np.repeat(intercepts / 2, 2)
        intercepts = intercepts * [-1, 1]
    weight, bias = np.zeros((classes, coefficients.shape[1])), np.full(classes, ABSENT)
    weight[regression.classes_], bias[regression.classes_] = coefficients, intercepts
    return weight, bias


def _loss(
    views: list[np.ndarray], labels: np.ndarray, counts: np.ndarray, weight: np.ndarray, bias: np.ndarray
) -> float:
    """Return the weighted mean log loss of predictions averaged over views."""
    every = np.stack([log_softmax(x.astype(np.float64) @ weight.T + bias, axis=1) for x in views])
    mean = np.logaddexp.reduce(every, axis=0) - np.log(len(views))
    return float(-(mean[np.arange(len(labels)), labels] * counts).sum() / counts.sum())


def _set(linear: nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weight))
        linear.bias.copy_(torch.from_numpy(bias))


def _parameters(linear: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    weight, bias = (tensor.detach().cpu().double().numpy() for tensor in (linear.weight, linear.bias))
    return weight, bias
