"""Vectors of texts in process: a model directory, a pooling strategy, packed batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.checkpoint.directory import open_model_directory
from bert_ft.checkpoint.variables import layer_shapes, pooler_shapes
from bert_ft.checkpoint.writer import CheckpointReader
from bert_ft.errors import BertFtError
from bert_ft.model.backend import tf
from bert_ft.model.captured import CapturedEncoder
from bert_ft.model.pooling import pool_tokens, pooled_output
from bert_ft.model.tensors import PackedTensors, packed_signature
from bert_ft.pooling_strategy import PoolingStrategy
from bert_ft.text.packing import PackedBatch


class Embedder:
    """Runs the layers that a pooling strategy needs over packed batches.

    Args:
        strategy: one that gives a vector a text.
        layers: encoder layers side by side, negative ones from the top; CLS_POOLED takes the last whatever they are.
        precision: a key of :data:`bert_ft.model.captured.DTYPES`.

    Raises:
        BertFtError: the strategy gives no vector a text, a layer is out of range, or the model directory is incomplete.
    """

    def __init__(
        self, model_dir: str | Path, strategy: PoolingStrategy, layers: Sequence[int], precision: str = "fp32"
    ) -> None:
        if strategy is PoolingStrategy.NONE or strategy.needs_head:
            what = "the scores of a head" if strategy.needs_head else "a vector for each token"
            raise BertFtError(
                f"pooling strategy {strategy.name} gives {what}, not a vector for each text; choose another"
            )
        directory = open_model_directory(model_dir)
        self._config = directory.config
        self._strategy = strategy
        self._layers = strategy.layers(layers, self._config.num_hidden_layers)
        depth = max(self._layers) + 1
        above = pooler_shapes(self._config) if strategy.needs_pooler else {}
        reader = CheckpointReader(directory.checkpoint)
        reader.check(layer_shapes(self._config, depth) | above)
        self._pooler = {name: tf.constant(reader.read_float32(name)) for name in above}
        self._encoder = CapturedEncoder(reader.read_float32, self._config, depth, precision)
        function = tf.function(lambda *arrays: self._pooled(PackedTensors(*arrays)), autograph=False)
        self._function = function.get_concrete_function(*packed_signature())

    def vectors(self, batch: PackedBatch) -> np.ndarray:
        """float32 [B, dim], one row a text."""
        return self._function(*PackedTensors.of(batch)).numpy()

    def _pooled(self, batch: PackedTensors) -> Any:
        hidden = self._encoder(batch, self._layers)
        if self._strategy.needs_pooler:
            return pooled_output(hidden[self._layers[0]], batch, self._pooler)
        return pool_tokens(tf.concat([hidden[layer] for layer in self._layers], axis=-1), batch, self._strategy)
