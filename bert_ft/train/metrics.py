"""Scores of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support


def classification_metrics(expected: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy, F1 and the confusion matrix, all JSON values.

    Args:
        expected, predicted: class ids, int [N].
        labels: class names in id order.

    Returns:
        accuracy, macro_f1, weighted_f1 (means over the classes; weighted by their number of examples), per_class
        (precision, recall, f1, support by name) and confusion_matrix (rows expected, columns predicted, in the order of
        ``labels``). A class without examples and predictions has F1 0 and counts in the macro mean.
    """
    ids = list(range(len(labels)))
    precision, recall, f1, support = precision_recall_fscore_support(expected, predicted, labels=ids, zero_division=0)
    return {
        "accuracy": float(np.mean(np.asarray(expected) == np.asarray(predicted))),
        "macro_f1": float(np.mean(f1)),
        "weighted_f1": float(f1_score(expected, predicted, labels=ids, average="weighted", zero_division=0)),
        "per_class": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
        "confusion_matrix": confusion_matrix(expected, predicted, labels=ids).tolist(),
    }
