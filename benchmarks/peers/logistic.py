"""scikit-learn: logistic regression on the frozen backbone's last features, C by a grid search on validation."""

import numpy as np
import timm
import torch

from benchmarks.peers.loading import AT_ONCE, Fitted, OnEpoch, batches, unlabelled
from benchmarks.peers.tasks import Data, Split
from benchmarks.peers.weights import ARCHITECTURE, NAME
from pipeline.config.backbone_table import BACKBONES
from pipeline.network.pretrained import load_pretrained

STRENGTHS = np.logspace(-4, 4, 10)  # the default grid of LogisticRegressionCV


def fit(data: Data, seed: int, on_epoch: OnEpoch) -> Fitted:
    """Train on these images."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    backbone = timm.create_model(ARCHITECTURE, num_classes=0)
    load_pretrained(backbone, BACKBONES[NAME])
    train, valid = (features(backbone.eval(), split, data.size) for split in (data.train, data.valid))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=seed))
    folds = PredefinedSplit(np.repeat([-1, 0], [len(train), len(valid)]))
    grid = {"logisticregression__C": STRENGTHS}
    search = GridSearchCV(model, grid, scoring="neg_log_loss", cv=folds, refit=False)
    search.fit(np.concatenate([train, valid]), np.concatenate([data.train.labels, data.valid.labels]))
    model.set_params(**search.best_params_).fit(train, data.train.labels)
    on_epoch(1, 1)
    return Fitted(
        lambda paths: model.predict_proba(features(backbone, unlabelled(paths), data.size)),
        {"features": "1280 of the last stage, standardised, one view", "grid": "10 values of C from 1e-4 to 1e4"},
        {"C": float(search.best_params_["logisticregression__C"])},
    )


def features(backbone: torch.nn.Module, split: Split, size: int) -> np.ndarray:
    """Return pooled features (N, D)."""
    from timm.data import create_transform

    row = BACKBONES[NAME]
    transform = create_transform(size, crop_pct=1.0, interpolation="bicubic", mean=row.mean, std=row.std)
    with torch.inference_mode():
        return torch.cat([backbone(images) for images, _ in batches(split, transform, AT_ONCE)]).numpy()
