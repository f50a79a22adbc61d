"""Pooling and heads in numpy, for engines whose encoder is not TensorFlow's.

The formulas of the heads are those of :mod:`bert_ft.model.heads`, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bert_ft.numerics import softmax
from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.text.packing import PackedBatch


class TokenArrays:
    """See :class:`bert_ft.pooling_strategy.Tokens`."""

    def __init__(self, batch: PackedBatch) -> None:
        self.mask = batch.mask[:, None]
        self._starts = np.cumsum(batch.lengths) - batch.lengths

    def sum(self, values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, self._starts)

    def max(self, values: np.ndarray) -> np.ndarray:
        return np.maximum.reduceat(values, self._starts)

    def take(self, values: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        within = 0 if places is None else np.maximum(places[:, 0].astype(np.int32), 0)
        return values[self._starts + within]

    def join(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts, axis=-1)


def pooled_output(first: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Google's pooler on the last layer's first tokens, [B, hidden]."""
    return np.tanh(first @ weights["bert/pooler/dense/kernel"] + weights["bert/pooler/dense/bias"])


def head_logits(inputs: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """[N, hidden] to [N, labels]"""
    return inputs @ weights["output_weights"].T + weights["output_bias"]


def probabilities(logits: np.ndarray, strategy: PoolingStrategy) -> np.ndarray:
    """Sigmoid for REGRESSION, else softmax over the labels."""
    if strategy is PoolingStrategy.REGRESSION:
        return np.float32(0.5) + np.float32(0.5) * np.tanh(np.float32(0.5) * logits)
    return softmax(logits)
