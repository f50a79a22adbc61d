"""One step of training, and scoring without training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bert_ft.logs import Progress
from bert_ft.model.backend import tf
from bert_ft.model.dropout import Dropout
from bert_ft.model.tensors import PackedTensors, packed_signature
from bert_ft.model.trainable import BertModel
from bert_ft.text.packing import InputFeatures, pack
from bert_ft.training.optimizer import AdamWeightDecay

_PART_VALUES = 1 << 20
"""Scores that are held at a time, unless one batch has more; float64 copies of them take 8 MB each."""


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


def predict_logits(
    model: BertModel, features: Sequence[InputFeatures], batch_size: int, progress: Progress | None = None
) -> np.ndarray:
    """A classification head's scores for each text, in the order given.

    Args:
        batch_size: texts a batch; it changes speed and memory, not the scores.
        progress: advanced by each batch's texts; None for none.

    Returns:
        float32 [len(features), num_labels]
    """
    return np.stack(_by_text(model, features, batch_size, progress, lambda logits, lengths: list(logits)))


def logits_in_parts(
    model: BertModel, features: Sequence[InputFeatures], batch_size: int, progress: Progress | None = None
) -> Iterator[np.ndarray]:
    """As :func:`predict_logits`, part by part in the order given, so that 50,000 labels need no more memory than few.

    Yields:
        float32 [n, num_labels]
    """
    values = int(model.variables["output_bias"].shape[0])
    for part in _chunks(np.arange(len(features)), max(batch_size, _PART_VALUES // values)):
        yield predict_logits(model, [features[index] for index in part], batch_size, progress)


def predict_token_logits(
    model: BertModel, features: Sequence[InputFeatures], batch_size: int, progress: Progress | None = None
) -> list[np.ndarray]:
    """A tagging head's scores for each text, float32 [pieces of the text, num_labels]; as :func:`predict_logits`."""

    def split(logits: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        return np.split(logits, np.cumsum(lengths)[:-1])

    return _by_text(model, features, batch_size, progress, split)


def _by_text(
    model: BertModel,
    features: Sequence[InputFeatures],
    batch_size: int,
    progress: Progress | None,
    split: Callable[[np.ndarray, np.ndarray], list[np.ndarray]],
) -> list[np.ndarray]:
    """Run texts of similar length together and put their results back in order."""
    results: list[np.ndarray] = [np.empty(0)] * len(features)
    for indices in _chunks(np.argsort([len(f.ids) for f in features], kind="stable"), batch_size):
        batch = pack([features[index] for index in indices])
        for index, part in zip(indices, split(model.predict(PackedTensors.of(batch)), batch.lengths), strict=True):
            results[index] = part
        if progress is not None:
            progress.update(len(indices))
    return results


def _chunks(order: np.ndarray, size: int) -> Iterable[np.ndarray]:
    return (order[start : start + size] for start in range(0, len(order), size))
