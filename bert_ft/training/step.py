"""One step of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bert_ft.model.backend import tf
from bert_ft.model.dropout import Dropout
from bert_ft.model.tensors import PackedTensors, packed_signature
from bert_ft.model.trainable import BertModel
from bert_ft.text.packing import InputFeatures, pack
from bert_ft.training.optimizer import AdamWeightDecay


class Trainer:
    """Fits a model's variables to labelled batches.

    Args:
        seed: with the step's number it decides every dropout mask.
        with_dropout: False trains without any dropout.
        rate_factors: what a variable's learning rate is multiplied with, by name.
        is_trained_first: which variables a step with ``partly=True`` trains, by name; the others stand still.

    Attributes:
        gradient_norm: global norm of the last step's gradient before clipping.
    """

    def __init__(
        self,
        model: BertModel,
        seed: int,
        with_dropout: bool = True,
        rate_factors: Mapping[str, float] | None = None,
        is_trained_first: Callable[[str], bool] = lambda name: True,
    ) -> None:
        self.model = model
        self.optimizer = AdamWeightDecay(model.variables, rate_factors)
        self.gradient_norm = 0.0
        self._seed = seed
        self._with_dropout = with_dropout
        first = {name: variable for name, variable in model.variables.items() if is_trained_first(name)}
        self._whole_step = self._step_function(model.variables)
        self._part_step = self._step_function(first)

    def step(
        self,
        number: int,
        rate: float,
        features: Sequence[InputFeatures],
        labels: np.ndarray,
        partly: bool = False,
    ) -> float:
        """Train on one batch; returns its mean loss before the update.

        Args:
            number: the step's number from 0.
            labels: int32, whatever the head's ``loss`` takes.
        """
        run = self._part_step if partly else self._whole_step
        loss, norm = run(tf.constant(number, tf.int64), rate, labels, *pack(features))
        self.gradient_norm = float(norm)
        return float(loss)

    def _step_function(self, variables: Mapping[str, tf.Variable]) -> Any:
        def step(number: Any, rate: Any, labels: Any, *arrays: Any) -> Any:
            dropout = Dropout(self._seed, number) if self._with_dropout else None
            batch = PackedTensors(*arrays)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(list(variables.values()))
                logits = self.model.logits(batch, dropout)
                loss = self.model.head.loss(self.model.variables, logits, labels, batch)
            gradients = tape.gradient(loss, dict(variables))
            norm = self.optimizer.apply({name: g for name, g in gradients.items() if g is not None}, rate)
            return loss, norm

        scalars = [tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.float32)]
        signature = [*scalars, tf.TensorSpec([None], tf.int32), *packed_signature()]
        return tf.function(step, input_signature=signature, autograph=False)
