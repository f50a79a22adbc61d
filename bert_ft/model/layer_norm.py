"""LayerNorm (arXiv:1607.06450) with Google's epsilon, in two forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from bert_ft.model.backend import tf
from bert_ft.numerics import LAYER_NORM_EPSILON

FUSED_EPSILON = 1e-3
"""The epsilon of oneDNN's LayerNorm as TensorFlow calls it, whatever the graph says."""
FUSED_SCALE = 2.0**15
"""With inputs so many times as large, :data:`FUSED_EPSILON` is 9.3e-13 of the plain form: 0.001 / 2**30. A power of
two, so that multiplying by it rounds nothing."""


def layer_norm(x: Any, gamma: Any, beta: Any) -> Any:
    """LayerNorm over the last axis, computed in float32 whatever the dtype of ``x``."""
    dtype = x.dtype
    x = tf.cast(x, tf.float32)
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    return tf.cast(centred * tf.math.rsqrt(variance + LAYER_NORM_EPSILON) * gamma + beta, dtype)


def fused_layer_norm(x: Any, gamma: np.ndarray, beta: np.ndarray) -> Any:
    """LayerNorm of ``x``, [T, width] and :data:`FUSED_SCALE` times as large as in the model, as oneDNN fuses it.

    TensorFlow recognises these operations in this order, with gamma and beta as constants of the graph and the axis
    as a positive number in a list. Where it does not, they give the same with more passes over memory.
    """
    scale, shift = (tf.constant(array, x.dtype) for array in (gamma, beta))
    mean = tf.reduce_mean(x, axis=[1], keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axis=[1], keepdims=True)
    scale = tf.math.rsqrt(variance + tf.constant(FUSED_EPSILON, x.dtype)) * scale
    return x * scale + (shift - mean * scale)
