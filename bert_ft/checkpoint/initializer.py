"""Weights for variables that no checkpoint gives."""

from __future__ import annotations

import numpy as np

from bert_ft.checkpoint.variables import Shapes


def initialize(shapes: Shapes, stddev: float, seed: int) -> dict[str, np.ndarray]:
    """Draw float32 weights as Google's BERT does.

    Kernels, embeddings and head weights come from a normal distribution of mean 0 cut off at two standard
    deviations (values beyond are drawn again); biases and LayerNorm betas are 0, LayerNorm gammas 1.
    """
    generator = np.random.default_rng(seed)
    return {name: _initial_value(name, shape, stddev, generator) for name, shape in shapes.items()}


def _initial_value(name: str, shape: tuple[int, ...], stddev: float, generator: np.random.Generator) -> np.ndarray:
    if name.endswith("gamma"):
        return np.ones(shape, np.float32)
    if name.endswith(("beta", "bias")):
        return np.zeros(shape, np.float32)
    values = generator.standard_normal(shape, np.float32)
    beyond = np.abs(values) > 2
    while beyond.any():
        values[beyond] = generator.standard_normal(int(beyond.sum()), np.float32)
        beyond = np.abs(values) > 2
    return values * np.float32(stddev)
