"""Pooling and heads in numpy, for engines whose encoder is not TensorFlow's.

The formulas are those of :mod:`bert_ft.model.pooling` and :mod:`bert_ft.model.heads`, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bert_ft.numerics import MASKED_OUT, MEAN_EPSILON
from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.text.packing import PackedBatch


def pool_tokens(hidden: np.ndarray, batch: PackedBatch, strategy: PoolingStrategy) -> np.ndarray:
    """float32 [T, width] to [T, width] for NONE, [B, 2 * width] for REDUCE_MEAN_MAX, else [B, width]."""
    starts = first_tokens(batch)
    if strategy is PoolingStrategy.NONE:
        return hidden * batch.mask[:, None]
    if strategy is PoolingStrategy.FIRST_TOKEN:
        return hidden[starts]
    if strategy is PoolingStrategy.LAST_TOKEN:
        return hidden[starts + np.maximum(_mask_sums(batch).astype(np.int32) - 1, 0)]
    if strategy is PoolingStrategy.REDUCE_MEAN:
        return _mean(hidden, batch)
    if strategy is PoolingStrategy.REDUCE_MAX:
        return _max(hidden, batch)
    if strategy is PoolingStrategy.REDUCE_MEAN_MAX:
        return np.concatenate([_mean(hidden, batch), _max(hidden, batch)], axis=-1)
    raise ValueError(f"{strategy!r} does not pool tokens")


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
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def first_tokens(batch: PackedBatch) -> np.ndarray:
    """Index of each sequence's first token, [B]."""
    return np.cumsum(batch.lengths) - batch.lengths


def _mask_sums(batch: PackedBatch) -> np.ndarray:
    return np.add.reduceat(batch.mask, first_tokens(batch))


def _mean(hidden: np.ndarray, batch: PackedBatch) -> np.ndarray:
    total = np.add.reduceat(hidden * batch.mask[:, None], first_tokens(batch))
    return total / (_mask_sums(batch)[:, None] + np.float32(MEAN_EPSILON))


def _max(hidden: np.ndarray, batch: PackedBatch) -> np.ndarray:
    return np.maximum.reduceat(hidden - (1 - batch.mask[:, None]) * np.float32(MASKED_OUT), first_tokens(batch))
