"""Scoring a classifier part by part: of the logits nothing is kept but the answer and the loss of each text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bert_ft.numerics import softmax
from bert_ft.tasks.classification.metrics import class_scores, classification_scores, most_confused


class ClassificationTally:
    """Scores of texts whose logits come in parts, in the texts' order.

    Args:
        label_ids: the right class of every text, int32 [N].
    """

    def __init__(self, label_ids: np.ndarray, labels: Sequence[str]) -> None:
        self._expected = label_ids
        self._labels = labels
        self._predicted: list[np.ndarray] = []
        self._losses: list[np.ndarray] = []
        self._count = 0

    def add(self, logits: np.ndarray) -> None:
        """Take in the next texts, float32 [n, num_labels]."""
        expected = self._expected[self._count : self._count + len(logits)]
        self._count += len(logits)
        self._predicted.append(logits.argmax(axis=-1))
        self._losses.append(cross_entropies(logits, expected))

    def scores(self) -> dict[str, float]:
        """loss (mean cross-entropy), accuracy, macro_f1 and weighted_f1."""
        loss = float(np.concatenate(self._losses).mean())
        return {"loss": loss, **classification_scores(self._expected, self._found, len(self._labels))}

    def details(self) -> dict[str, Any]:
        """per_class and most_confused, JSON values for metrics.json."""
        return {
            "per_class": class_scores(self._expected, self._found, self._labels),
            "most_confused": most_confused(self._expected, self._found, self._labels),
        }

    @property
    def _found(self) -> np.ndarray:
        return np.concatenate(self._predicted)


def cross_entropies(logits: np.ndarray, label_ids: np.ndarray) -> np.ndarray:
    """The loss of each text, float64 [n]."""
    probabilities = softmax(logits.astype(np.float64))[np.arange(len(label_ids)), label_ids]
    return -np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
