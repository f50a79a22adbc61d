"""The order in which training sees its examples."""

from __future__ import annotations

import functools

import numpy as np


class ShuffledOrder:
    """An endless stream of shuffled passes over the examples, cut into batches of one size.

    A batch may span two passes, as in Google's input function (repeat, then batch). What a step sees depends on the
    seed and the step's number alone.
    """

    def __init__(self, examples: int, batch_size: int, seed: int) -> None:
        self._examples = examples
        self._batch_size = batch_size
        self._seed = seed
        self._pass_order = functools.lru_cache(maxsize=2)(self._shuffle)

    def batch(self, step: int) -> np.ndarray:
        """Indices of the examples of a step, int64 [batch_size]."""
        places = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
        passes, offsets = places // self._examples, places % self._examples
        return np.concatenate([self._pass_order(int(p))[offsets[passes == p]] for p in np.unique(passes)])

    def _shuffle(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._seed, number]).permutation(self._examples)
