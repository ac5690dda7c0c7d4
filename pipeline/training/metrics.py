"""Scores of predicted probabilities, by the field's standard names."""

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, roc_auc_score


def score(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Score probabilities (N, C), rows summing to 1, against labels (N,) in [0, C).

    roc_auc is one-vs-rest, averaged over classes; of two classes it is the usual one. It is 0.5 where the
    labels hold fewer than all classes, since no curve exists then. log_loss is in nats; balanced_log_loss is the mean
    over the classes present of their own mean log loss.
    """
    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(1)
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "balanced_accuracy": float(balanced_accuracy_score(labels, predicted)),
        "roc_auc": _roc_auc(labels, probabilities),
        "log_loss": float(log_loss(labels, _normalised(probabilities), labels=classes)),
        "balanced_log_loss": _balanced_log_loss(labels, probabilities),
    }


def score_many(labels: np.ndarray, probabilities: np.ndarray) -> list[dict[str, float]]:
    """Score H predictions (H, N, C) as `score` would each: at once, since its checks of the input take milliseconds."""
    classes = probabilities.shape[2]
    named = labels == np.arange(classes)[:, None]  # (C, N)
    present = named[named.any(1)]
    right = probabilities.argmax(2) == labels
    recalls = (right @ present.T.astype(np.float64)) / present.sum(1)
    losses = _losses(labels, probabilities)
    found = {
        "accuracy": right.mean(1),
        "balanced_accuracy": recalls.mean(1),
        "roc_auc": np.full(len(probabilities), 0.5) if len(present) < classes else _areas(named, probabilities),
        "log_loss": losses.mean(1),
        "balanced_log_loss": np.mean([losses[:, own].mean(1) for own in present], axis=0),
    }
    return [dict(zip(found, map(float, values))) for values in zip(*found.values())]


def _areas(named: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the mean area under the curves of one class against the rest, by ranks (Mann and Whitney 1947)."""
    areas = []
    for c in [1] if len(named) == 2 else range(len(named)):
        ranks = rankdata(probabilities[:, :, c], axis=1)
        positive = int(named[c].sum())
        above = ranks[:, named[c]].sum(1) - positive * (positive + 1) / 2
        areas.append(above / (positive * (named.shape[1] - positive)))
    return np.mean(areas, axis=0)


def _losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return each image's log loss in nats, (..., N) of probabilities (..., N, C)."""
    shares = _normalised(probabilities)[..., np.arange(len(labels)), labels]
    return -np.log(np.clip(shares, np.finfo(np.float64).eps, 1)) + 0.0


def _balanced_log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    losses = _losses(labels, probabilities)
    return float(np.mean([losses[labels == c].mean() for c in np.unique(labels)]))


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    doubles = probabilities.astype(np.float64)
    return doubles / doubles.sum(-1, keepdims=True)


def _roc_auc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    if len(np.unique(labels)) < probabilities.shape[1]:
        return 0.5
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(labels, probabilities[:, 1]))
    # One by one, since scikit-learn wants rows that sum to 1 and making them so breaks ties within a column.
    return float(np.mean([roc_auc_score(labels == c, probabilities[:, c]) for c in range(probabilities.shape[1])]))
