"""Settings and recipes of units that are small enough to train."""

from pipeline.config.features import Features
from pipeline.config.params import Runtime
from pipeline.config.recipe import Recipe

FEATURES, RUNTIME = Features(views=("identity", "hflip"), tta=True), Runtime(threads=1, device="cpu")


def recipe(cut="head", **wanted):
    plain = {"backbone": "compact", "weights": "random", "image_size": 32, "epochs": 2, "batch_size": 8}
    return Recipe(**{**plain, "hidden": 8, "learning_rate": 0.003, "cut": cut, **wanted})
