"""Self-attention over packed sequences: pad, attend, unpad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bert_ft.model.backend import tf
from bert_ft.model.tensors import PackedTensors
from bert_ft.numerics import MASKED, PADDED


class AttentionLayout(NamedTuple):
    """How a packed batch maps to a padded view [B, S], S being the longest sequence.

    Attributes:
        to_padded: int32 [B * S], for each place 1 + its token's index in the packed axis, or 0 for padding.
        to_packed: int32 [T], for each token its place in the padded view.
        shape: (B, S).
        bias: float32 [B, 1, 1, S], 0 for keys that are attended to, else ``MASKED`` or ``PADDED``.
    """

    to_padded: Any
    to_packed: Any
    shape: tuple[Any, Any]
    bias: Any

    @classmethod
    def of(cls, batch: PackedTensors) -> AttentionLayout:
        size, longest = tf.shape(batch.lengths)[0], tf.reduce_max(batch.lengths)
        to_packed = batch.owners * longest + batch.positions
        to_padded = tf.scatter_nd(
            to_packed[:, None], tf.range(1, tf.shape(to_packed)[0] + 1), tf.expand_dims(size * longest, 0)
        )
        biases = tf.concat([[PADDED], (1.0 - batch.mask) * MASKED], axis=0)
        bias = tf.reshape(tf.gather(biases, to_padded), [size, 1, 1, longest])
        return cls(to_padded, to_packed, (size, longest), bias)

    def pad(self, x: Any) -> Any:
        """[T, width] to [B * S, width]; places without a token repeat the first one, which their bias hides."""

        @tf.custom_gradient
        def padded(values: Any) -> Any:
            result = tf.gather(values, tf.maximum(self.to_padded - 1, 0))
            return result, lambda gradient: tf.gather(gradient, self.to_packed)

        return padded(x)

    def unpad(self, x: Any) -> Any:
        """[B * S, width] to [T, width]; in its gradient places without a token are zero."""

        @tf.custom_gradient
        def unpadded(values: Any) -> Any:
            return tf.gather(values, self.to_packed), self._pad_with_zeros

        return unpadded(x)

    def _pad_with_zeros(self, x: Any) -> Any:
        zero = tf.zeros([1, x.shape[1]], x.dtype)
        return tf.gather(tf.concat([zero, x], axis=0), self.to_padded)


def attention_context(qkv: Any, layout: AttentionLayout, heads: int, drop_probabilities: Callable[[Any], Any]) -> Any:
    """Multi-head scaled dot-product attention (arXiv:1706.03762 §3.2).

    The scores are multiplied and shifted in this order, right after their product: so oneDNN makes one operation of it.

    Args:
        qkv: [T, 3 * hidden], query, key and value side by side.
        drop_probabilities: dropout on the attention probabilities, or the identity.

    Returns:
        [T, hidden]
    """
    size, longest = layout.shape
    hidden = qkv.shape[1] // 3
    width = hidden // heads
    padded = tf.reshape(layout.pad(qkv), [size, longest, 3, heads, width])
    query, key, value = tf.unstack(tf.transpose(padded, [2, 0, 3, 1, 4]), num=3)
    scores = tf.matmul(query, key, transpose_b=True) * tf.constant(width**-0.5, qkv.dtype)
    weights = drop_probabilities(tf.nn.softmax(scores + tf.cast(layout.bias, qkv.dtype)))
    context = tf.matmul(weights, value)
    return layout.unpad(tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [size * longest, hidden]))
