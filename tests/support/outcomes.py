"""Outcomes of trainings that nobody had to wait for."""

from dataclasses import replace

import numpy as np

from pipeline.common.outcome import Cost, Outcome
from pipeline.data.folds import train_valid


def two_seeds(dev, test):
    """Return outcomes of two seeds on all training images, by seed; the second is the surer."""
    cost = {"fit_flops": 100, "predict_flops": 5, "parameters": 3, "trainable_parameters": 2}
    return {
        seed: Outcome(
            [],
            Cost({"pass": 10 * seed}, **cost),
            valid=_predicted(dev, train_valid(dev, 0.2, seed)[1], sureness),
            test=_predicted(test, np.arange(len(test)), sureness),
            images=30,
        )
        for seed, sureness in ((1, 0.6), (2, 0.8))
    }


def on_half_of_the_images(outcome):
    """Return an outcome as a training on half of the images has it, of which test alone was scored."""
    return replace(outcome, valid={}, images=15, cost=replace(outcome.cost, fit_flops=60))


def _predicted(images, rows, sureness):
    rng = np.random.default_rng(len(rows))
    right = np.clip(sureness + 0.1 * rng.normal(size=len(rows)), 0.05, 0.95)
    probabilities = np.where(images.labels[rows, None] == [0, 1], right[:, None], 1 - right[:, None])
    return {"rows": rows.tolist(), "probabilities": probabilities.tolist()}
