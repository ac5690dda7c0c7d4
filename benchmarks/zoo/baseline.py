"""What is right without seeing, and by seeing little: a majority guess, and a linear model of small grey pixels."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.data.readers import read

SIDE, FOLDS, STRENGTH = 32, 5, 0.01  # pixels of a side; parts that are held out in turn; inverse of the L2 penalty


def baseline(folder: Path) -> dict[str, Any]:
    """Return accuracies over five folds, stratified by class, groups never parted, and how many groups there are."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = read(folder)
    pixels = np.stack([_small(folder / path) for path in table["path"]])
    groups = table.get("group")
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000))
    folds = kind(FOLDS, shuffle=True, random_state=0)
    scores = cross_val_score(model, pixels, table["label"], groups=groups, cv=folds)
    return {
        "groups": 0 if groups is None else int(groups.nunique()),
        "majority": round(float(table["label"].value_counts(normalize=True).max()), 4),
        "linear on pixels": round(float(scores.mean()), 4),
    }


def _small(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        grey = image.convert("L").resize(
            (SIDE, SIDE), Image.Resampling.BOX if min(image.size) > SIDE else Image.Resampling.BICUBIC
        )
    return np.asarray(grey).ravel() / 255.0
