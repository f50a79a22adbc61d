"""Scores of a classifier. Nothing here grows with the square of the labels: there may be 100,000 of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_CONFUSED = 100


def classification_scores(expected: np.ndarray, predicted: np.ndarray, num_labels: int) -> dict[str, float]:
    """Accuracy and F1.

    Args:
        expected, predicted: class ids, int [N].

    Returns:
        accuracy, macro_f1 and weighted_f1: means over the classes, the second weighted by their number of examples. A
        class without examples and predictions has F1 0 and counts in the macro mean.
    """
    right, found, support = _counts(expected, predicted, num_labels)
    f1 = _ratio(2 * right, found + support)
    return {
        "accuracy": float(np.mean(expected == predicted)),
        "macro_f1": float(np.mean(f1)),
        "weighted_f1": float(np.average(f1, weights=support)),
    }


def class_scores(expected: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Precision, recall, f1 and support (the number of examples) of each class by its name, all JSON values.

    Args:
        expected, predicted: class ids, int [N].
        labels: class names in id order.
    """
    right, found, support = _counts(expected, predicted, len(labels))
    columns = [_ratio(right, found), _ratio(right, support), _ratio(2 * right, found + support), support]
    names = ("precision", "recall", "f1", "support")
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {label: dict(zip(names, row, strict=True)) for label, row in zip(labels, rows, strict=True)}


def most_confused(
    expected: np.ndarray, predicted: np.ndarray, labels: Sequence[str], maximum: int = MAX_CONFUSED
) -> list[dict[str, Any]]:
    """The largest cells off the diagonal of the confusion matrix, which itself is never made.

    Args:
        expected, predicted: class ids, int [N].
        labels: class names in id order.

    Returns:
        {"expected": label, "predicted": label, "count": examples}, the largest first, equal ones as the labels are.
    """
    wrong = expected != predicted
    cells, counts = np.unique(expected[wrong].astype(np.int64) * len(labels) + predicted[wrong], return_counts=True)
    chosen = np.argsort(-counts, kind="stable")[:maximum]
    return [
        {"expected": labels[cell // len(labels)], "predicted": labels[cell % len(labels)], "count": count}
        for cell, count in zip(cells[chosen].tolist(), counts[chosen].tolist(), strict=True)
    ]


def _counts(expected: np.ndarray, predicted: np.ndarray, num_labels: int) -> tuple[np.ndarray, ...]:
    """Of each class: how often it was rightly predicted, predicted, and expected."""
    sides = (expected[expected == predicted], predicted, expected)
    return tuple(np.bincount(side, minlength=num_labels) for side in sides)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """0 where nothing is divided."""
    return part / np.maximum(whole, 1)
