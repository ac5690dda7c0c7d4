"""Scores of predicted probabilities, by the field's standard names."""

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, roc_auc_score

METRICS = ("accuracy", "balanced_accuracy", "roc_auc", "log_loss")
LOWER_IS_BETTER = frozenset({"log_loss"})


def score(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Score probabilities (N, C), rows summing to 1, against labels (N,) in [0, C).

    roc_auc is one-vs-rest, averaged over classes; of two classes it is the usual one. It is 0.5 where the
    labels hold fewer than all classes, since no curve exists then. log_loss is in nats.
    """
    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(1)
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "balanced_accuracy": float(balanced_accuracy_score(labels, predicted)),
        "roc_auc": _roc_auc(labels, probabilities),
        "log_loss": float(log_loss(labels, _normalised(probabilities), labels=classes)),
    }


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    doubles = probabilities.astype(np.float64)
    return doubles / doubles.sum(1, keepdims=True)


def _roc_auc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    if len(np.unique(labels)) < probabilities.shape[1]:
        return 0.5
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(labels, probabilities[:, 1]))
    # One by one, since scikit-learn wants rows that sum to 1 and making them so breaks ties within a column.
    return float(np.mean([roc_auc_score(labels == c, probabilities[:, c]) for c in range(probabilities.shape[1])]))
