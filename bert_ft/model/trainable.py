"""A BERT with trainable variables and, if wanted, a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bert_ft.checkpoint.config import BertConfig
from bert_ft.model.backend import tf
from bert_ft.model.dropout import Dropout
from bert_ft.model.encoder import embedding_weights, encode, layer_weights
from bert_ft.model.heads import Head
from bert_ft.model.tensors import PackedTensors, packed_signature
from bert_ft.text.packing import PackedBatch


class BertModel:
    """The encoder's and the head's variables under Google's names.

    Args:
        weights: float32 arrays by name, all that ``encoder_shapes`` and the head's ``shapes`` list.
    """

    def __init__(self, config: BertConfig, head: Head, weights: Mapping[str, np.ndarray]) -> None:
        self.config = config
        self.head = head
        self.variables = {name: tf.Variable(value, name=name) for name, value in weights.items()}
        self._predict = tf.function(self._predict_packed, input_signature=list(packed_signature()), autograph=False)

    def logits(self, batch: PackedTensors, dropout: Dropout | None = None) -> Any:
        """The head's scores; with ``dropout`` the model is in training."""
        layers = [layer_weights(self.variables, i) for i in range(self.config.num_hidden_layers)]
        hidden = encode(embedding_weights(self.variables), layers, self.config, batch, dropout)[-1]
        return self.head.logits(self.variables, hidden, batch, dropout)

    @property
    def num_labels(self) -> int:
        return int(self.variables["output_bias"].shape[0])

    def head_logits(self, batch: PackedBatch) -> np.ndarray:
        """The head's scores without dropout; see :class:`bert_ft.inference.logits.ScoringModel`."""
        return self._predict(*PackedTensors.of(batch)).numpy()

    def assign(self, weights: Mapping[str, np.ndarray]) -> None:
        for name, variable in self.variables.items():
            variable.assign(weights[name])

    def _predict_packed(self, *arrays: Any) -> Any:
        return self.logits(PackedTensors(*arrays))
