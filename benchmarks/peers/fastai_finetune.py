"""fastai: `vision_learner` and `fine_tune`, as its tutorial has them.

A last training epoch's network is kept; validation only shows how it goes, as there.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.peers.loading import Fitted, OnEpoch
from benchmarks.peers.tasks import Data
from benchmarks.peers.weights import ARCHITECTURE, options

EPOCHS, RATE = 4, 2e-3  # of `fine_tune`, whose first epoch, with the backbone frozen, comes before them


def fit(data: Data, seed: int, on_epoch: OnEpoch) -> Fitted:
    """Train on these images."""
    from fastai.vision import all as vision  # as its documents do: it gives learners their methods

    class Report(vision.Callback):
        done = 0

        def after_epoch(self) -> None:
            if self.done <= EPOCHS:  # one more comes with the predictions
                self.done += 1
                on_epoch(self.done, EPOCHS + 1)

    vision.default_device(False)
    vision.set_seed(seed)
    loaders = vision.ImageDataLoaders.from_df(_table(data), path="/", valid_col="valid", num_workers=0,
                                              item_tfms=vision.Resize(data.size),
                                              batch_tfms=vision.aug_transforms())  # fmt: skip
    assert tuple(loaders.vocab) == data.classes
    with tempfile.TemporaryDirectory() as folder:
        learner = vision.vision_learner(loaders, ARCHITECTURE, path=folder, cbs=Report(), **options(Path(folder)))
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(EPOCHS, RATE)

    def predict(paths: Sequence[Path]) -> np.ndarray:
        test = loaders.test_dl(pd.DataFrame({"path": [_below_root(path) for path in paths]}), num_workers=0)
        with learner.no_bar():
            return learner.get_preds(dl=test, reorder=True)[0].double().numpy()

    settings = {"fine_tune": f"{EPOCHS} epochs after 1 frozen", "learning_rate": RATE, "batch_size": loaders.bs,
                "augmentation": "aug_transforms()"}  # fmt: skip
    return Fitted(predict, settings, {})


def _table(data: Data) -> pd.DataFrame:
    """Return a row per image: its path below /, its label's name, and whether it is for validation."""
    parts = [(data.train, False), (data.valid, True)]
    rows = [(_below_root(path), data.classes[label], valid) for split, valid in parts
            for path, label in zip(split.paths, split.labels)]  # fmt: skip
    return pd.DataFrame(rows, columns=["path", "label", "valid"])


def _below_root(path: Path) -> str:
    return str(path.resolve())[1:]
