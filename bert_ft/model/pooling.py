"""What pooling needs of TensorFlow, and Google's pooler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bert_ft.model.backend import tf
from bert_ft.model.encoder import dense
from bert_ft.model.tensors import PackedTensors


class TokenTensors:
    """See :class:`bert_ft.pooling_strategy.Tokens`."""

    def __init__(self, batch: PackedTensors) -> None:
        self.mask = batch.mask[:, None]
        self._batch = batch

    def sum(self, values: Any) -> Any:
        return tf.math.segment_sum(values, self._batch.owners)

    def max(self, values: Any) -> Any:
        return tf.math.segment_max(values, self._batch.owners)

    def take(self, values: Any, places: Any = None) -> Any:
        starts = self._batch.starts
        if places is not None:
            starts += tf.maximum(tf.cast(places[:, 0], tf.int32), 0)
        return tf.gather(values, starts)

    def join(self, parts: list[Any]) -> Any:
        return tf.concat(parts, axis=-1)


def pooled_output(last_layer: Any, batch: PackedTensors, weights: Mapping[str, Any]) -> Any:
    """Google's pooler: tanh of a dense layer on each sequence's first token, [B, hidden]."""
    first = tf.gather(tf.cast(last_layer, tf.float32), batch.starts)
    return tf.tanh(dense(first, weights["bert/pooler/dense/kernel"], weights["bert/pooler/dense/bias"]))
