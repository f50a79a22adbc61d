"""Small and large numbers in the formulas, as Google and bert-as-service have them, for every backend; softmax."""

from __future__ import annotations

import numpy as np

LAYER_NORM_EPSILON = 1e-12
MASKED = -10000.0
"""Added to the scores of masked keys instead of minus infinity (Google)."""
PADDED = -1e9
"""Added to the scores of places without a token, so that nothing of a sequence depends on its batch: far below
``MASKED``, for a text whose own tokens are all masked."""
MEAN_EPSILON = 1e-10
"""Added to the number of tokens that a mean is taken over (bert-as-service)."""
MASKED_OUT = 1e30
"""Taken from tokens that a maximum leaves out (bert-as-service)."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, in the type of the logits.

    Example:
        >>> softmax(np.array([[0.0, 0.0, 0.0, 0.0]]))
        array([[0.25, 0.25, 0.25, 0.25]])
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
