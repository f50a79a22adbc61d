"""Dropout that a run can repeat."""

from __future__ import annotations

from typing import Any

from bert_ft.model.backend import tf

_PLACES_PER_STEP = 4096


class Dropout:
    """Dropout whose masks depend on the seed, the training step and the place in the network alone.

    Args:
        seed: the run's seed.
        step: scalar int64 tensor, the training step.
    """

    def __init__(self, seed: int, step: Any) -> None:
        self._seed = seed
        self._step = step
        self._place = 0

    def __call__(self, x: Any, rate: float) -> Any:
        """Zero each value with probability ``rate`` and divide the rest by ``1 - rate``."""
        if rate == 0.0:
            return x
        place = self._step * _PLACES_PER_STEP + self._place
        self._place += 1
        seed = tf.stack([tf.constant(self._seed, tf.int64), place])
        return tf.nn.experimental.stateless_dropout(x, rate, seed=seed, rng_alg="philox")
