"""Google's AdamWeightDecayOptimizer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from bert_ft.checkpoint.variables import Shapes
from bert_ft.model.backend import tf

BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-6
WEIGHT_DECAY = 0.01
CLIP_NORM = 1.0

_SLOTS = ("adam_m", "adam_v")
_NO_DECAY = re.compile("LayerNorm|layer_norm|bias")
_WORD_EMBEDDINGS = "bert/embeddings/word_embeddings"


class AdamWeightDecay:
    """Adam (arXiv:1412.6980) without bias correction, with decoupled weight decay, after clipping by the global norm.

    With the powers of both betas given as 0, TensorFlow's fused Adam kernel computes just that: its correction
    factor sqrt(1 - beta_2^t) / (1 - beta_1^t) becomes 1. The decay is applied to the weight before the update, which
    is the same sum as Google's ``update += 0.01 * weight``.

    Args:
        variables: trained variables by name.
        rate_factors: what a variable's learning rate is multiplied with, by name; 1 for those not named.
    """

    def __init__(self, variables: Mapping[str, tf.Variable], rate_factors: Mapping[str, float] | None = None) -> None:
        self._variables = dict(variables)
        self._rate_factors = dict(rate_factors or {})
        self.slots = {
            f"{name}/{slot}": tf.Variable(tf.zeros_like(variable), trainable=False, name=slot)
            for name, variable in variables.items()
            for slot in _SLOTS
        }

    def assign(self, slots: Mapping[str, np.ndarray]) -> None:
        """Set the moments that are given, by the names of ``slots``."""
        for name, value in slots.items():
            self.slots[name].assign(value)

    def apply(self, gradients: Mapping[str, Any], rate: Any) -> Any:
        """Update the variables that have a gradient.

        Returns:
            the global norm of the gradients before clipping, float32 scalar.
        """
        gradients = {name: _as_google(name, gradient) for name, gradient in gradients.items()}
        norm = tf.linalg.global_norm(list(gradients.values()))
        scale = CLIP_NORM / tf.maximum(norm, CLIP_NORM)
        for name, gradient in gradients.items():
            self._update(name, tf.convert_to_tensor(gradient) * scale, rate * self._rate_factors.get(name, 1.0))
        return norm

    def _update(self, name: str, gradient: Any, rate: Any) -> None:
        variable = self._variables[name]
        if not _NO_DECAY.search(name):
            variable.assign(variable * (1.0 - rate * WEIGHT_DECAY))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self.slots[f"{name}/adam_m"].handle,
            v=self.slots[f"{name}/adam_v"].handle,
            beta1_power=0.0,
            beta2_power=0.0,
            lr=rate,
            beta1=BETA_1,
            beta2=BETA_2,
            epsilon=EPSILON,
            grad=gradient,
        )


def slot_shapes(shapes: Shapes) -> Shapes:
    """Names and shapes of the moments of variables."""
    return {f"{name}/{slot}": shape for name, shape in shapes.items() for slot in _SLOTS}


def _as_google(name: str, gradient: Any) -> Any:
    """Dense, but for the word embeddings.

    Google looks words up with a gather, whose sparse gradient enters the norm with repeated words unsummed, and
    positions and token types with a slice and a matrix product, whose gradients are dense.
    """
    return gradient if name == _WORD_EMBEDDINGS else tf.convert_to_tensor(gradient)
