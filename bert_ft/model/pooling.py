"""From token vectors to the answer: bert-as-service's pooling strategies on packed tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bert_ft.model.backend import tf
from bert_ft.model.encoder import dense
from bert_ft.model.tensors import PackedTensors
from bert_ft.numerics import MASKED_OUT, MEAN_EPSILON
from bert_ft.pooling_strategy import PoolingStrategy


def pool_tokens(hidden: Any, batch: PackedTensors, strategy: PoolingStrategy) -> Any:
    """Pool token vectors, in float32.

    Args:
        hidden: [T, width], the chosen layers side by side.
        strategy: one of those that look at tokens only (not CLS_POOLED, CLASSIFICATION, REGRESSION).

    Returns:
        float32 [T, width] for NONE, [B, 2 * width] for REDUCE_MEAN_MAX, else [B, width].

    The formulas are bert-as-service 1.10.0's. LAST_TOKEN takes position sum(mask) - 1, which under
    ``-mask_cls_sep`` is not the last token but that many places before it: kept, since stored vectors depend on it.
    """
    hidden = tf.cast(hidden, tf.float32)
    if strategy is PoolingStrategy.NONE:
        return hidden * batch.mask[:, None]
    if strategy is PoolingStrategy.REDUCE_MEAN:
        return _mean(hidden, batch)
    if strategy is PoolingStrategy.REDUCE_MAX:
        return _max(hidden, batch)
    if strategy is PoolingStrategy.REDUCE_MEAN_MAX:
        return tf.concat([_mean(hidden, batch), _max(hidden, batch)], axis=-1)
    if strategy is PoolingStrategy.FIRST_TOKEN:
        return tf.gather(hidden, batch.starts)
    if strategy is PoolingStrategy.LAST_TOKEN:
        last = tf.cast(_mask_sums(batch), tf.int32) - 1
        return tf.gather(hidden, batch.starts + tf.maximum(last, 0))
    raise ValueError(f"{strategy!r} does not pool tokens")


def pooled_output(last_layer: Any, batch: PackedTensors, weights: Mapping[str, Any]) -> Any:
    """Google's pooler: tanh of a dense layer on each sequence's first token, [B, hidden]."""
    first = tf.gather(tf.cast(last_layer, tf.float32), batch.starts)
    return tf.tanh(dense(first, weights["bert/pooler/dense/kernel"], weights["bert/pooler/dense/bias"]))


def _mask_sums(batch: PackedTensors) -> Any:
    return tf.math.segment_sum(batch.mask, batch.owners)


def _mean(hidden: Any, batch: PackedTensors) -> Any:
    total = tf.math.segment_sum(hidden * batch.mask[:, None], batch.owners)
    return total / (_mask_sums(batch)[:, None] + MEAN_EPSILON)


def _max(hidden: Any, batch: PackedTensors) -> Any:
    return tf.math.segment_max(hidden - (1.0 - batch.mask[:, None]) * MASKED_OUT, batch.owners)
