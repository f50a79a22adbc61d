"""The encoder as it is served: constant weights in one precision, written so that oneDNN fuses all it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.variables import layer_scope
from bert_ft.model.backend import tf
from bert_ft.model.encoder import EmbeddingWeights, LayerWeights, encode
from bert_ft.model.layer_norm import FUSED_SCALE, fused_layer_norm
from bert_ft.model.tensors import PackedTensors

Read = Callable[[str], np.ndarray]

DTYPES = {"fp32": tf.float32, "bf16": tf.bfloat16}


class CapturedEncoder:
    """The first ``depth`` layers.

    Between the layers vectors are :data:`~bert_ft.model.layer_norm.FUSED_SCALE` times as large as in the model: what
    LayerNorm gives out is multiplied by it, kernels that read it are divided by it. Kernels and tables are
    captured tensors; the small gamma and beta are constants of the graph.

    Args:
        read: gives a variable by Google's name, float32. Each is asked for once and not kept: TensorFlow never gives
            memory back, so what is held at once stays taken.
        precision: "fp32", or "bf16": weights, products and attention in bfloat16, LayerNorm's sums in float32.
    """

    def __init__(
        self,
        read: Read,
        config: BertConfig,
        depth: int,
        precision: str = "fp32",
        with_positions: bool = True,
    ) -> None:
        self._config = config
        self._dtype = DTYPES[precision]
        self._embeddings = self._embedding_weights(read, with_positions)
        self._layers = [self._layer_weights(read, index) for index in range(depth)]

    def __call__(self, batch: PackedTensors, layers: list[int]) -> dict[int, Any]:
        """Run no further than the highest of the layers asked for.

        Returns:
            float32 [T, hidden] of each of ``layers``.
        """
        hidden = encode(
            self._embeddings, self._layers[: max(layers) + 1], self._config, batch, norm=fused_layer_norm
        )  # fmt: skip
        return {layer: tf.cast(hidden[layer], tf.float32) / FUSED_SCALE for layer in layers}

    def _embedding_weights(self, read: Read, with_positions: bool) -> EmbeddingWeights:
        scope = "bert/embeddings"
        return EmbeddingWeights(
            self._tensor(read(f"{scope}/word_embeddings"), FUSED_SCALE),
            self._tensor(read(f"{scope}/position_embeddings"), FUSED_SCALE) if with_positions else None,
            self._tensor(read(f"{scope}/token_type_embeddings"), FUSED_SCALE),
            *_norm(read, scope),
        )

    def _layer_weights(self, read: Read, index: int) -> LayerWeights:
        scope = layer_scope(index)
        joined = {
            part: np.concatenate(
                [read(f"{scope}/attention/self/{name}/{part}") for name in ("query", "key", "value")], axis=-1
            )
            for part in ("kernel", "bias")
        }

        def dense(name: str, scale: float) -> tuple[Any, Any]:
            kernel, bias = (read(f"{scope}/{name}/dense/{part}") for part in ("kernel", "bias"))
            return self._tensor(kernel, scale), self._tensor(bias, max(scale, 1.0))

        return LayerWeights(
            self._tensor(joined["kernel"], 1 / FUSED_SCALE),
            self._tensor(joined["bias"], 1.0),
            *dense("attention/output", FUSED_SCALE),
            *_norm(read, f"{scope}/attention/output"),
            *dense("intermediate", 1 / FUSED_SCALE),
            *dense("output", FUSED_SCALE),
            *_norm(read, f"{scope}/output"),
        )

    def _tensor(self, array: np.ndarray, scale: float) -> Any:
        return tf.cast(tf.convert_to_tensor(array) * np.float32(scale), self._dtype)


def _norm(read: Read, scope: str) -> tuple[np.ndarray, np.ndarray]:
    gamma, beta = (read(f"{scope}/LayerNorm/{part}") for part in ("gamma", "beta"))
    return gamma * np.float32(FUSED_SCALE), beta * np.float32(FUSED_SCALE)
