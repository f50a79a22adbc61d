"""A head's scores of many texts: those of similar length go through the model together, and come back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from bert_ft.logs import Progress
from bert_ft.text.packing import InputFeatures, PackedBatch, pack

_PART_VALUES = 1 << 20
"""Scores that are held at a time, unless one batch has more; float64 copies of them take 8 MB each."""


class ScoringModel(Protocol):
    """A model in training, or one that is served."""

    @property
    def num_labels(self) -> int:
        """Of its head."""

    def head_logits(self, batch: PackedBatch) -> np.ndarray:
        """The head's scores: float32 [B, num_labels], or [T, num_labels] of a head that looks at each token."""


def predict_logits(
    model: ScoringModel, features: Sequence[InputFeatures], batch_size: int, progress: Progress | None = None
) -> np.ndarray:
    """A classification head's scores for each text, in the order given.

    Args:
        batch_size: texts a batch; it changes speed and memory, not the scores.
        progress: advanced by each batch's texts; None for none.

    Returns:
        float32 [len(features), num_labels]
    """
    rows = by_length(features, batch_size, lambda batch: list(model.head_logits(batch)), progress=progress)
    return np.stack(rows)


def logits_in_parts(
    model: ScoringModel, features: Sequence[InputFeatures], batch_size: int, progress: Progress | None = None
) -> Iterator[np.ndarray]:
    """As :func:`predict_logits`, part by part in the order given, so that 50,000 labels need no more memory than few.

    Yields:
        float32 [n, num_labels]
    """
    for part in _chunks(np.arange(len(features)), max(batch_size, _PART_VALUES // model.num_labels)):
        yield predict_logits(model, [features[index] for index in part], batch_size, progress)


def predict_token_logits(
    model: ScoringModel, features: Sequence[InputFeatures], batch_size: int, progress: Progress | None = None
) -> list[np.ndarray]:
    """A tagging head's scores for each text, float32 [pieces of the text, num_labels]; as :func:`predict_logits`."""

    def split(batch: PackedBatch) -> list[np.ndarray]:
        return np.split(model.head_logits(batch), np.cumsum(batch.lengths)[:-1])

    return by_length(features, batch_size, split, progress=progress)


def by_length(
    features: Sequence[InputFeatures],
    batch_size: int,
    run: Callable[[PackedBatch], Sequence[np.ndarray]],
    mask_special: bool = False,
    progress: Progress | None = None,
) -> list[np.ndarray]:
    """What ``run`` gives for each text, in the order given.

    Args:
        run: takes a batch, gives something for each of its texts.
        mask_special: see :func:`bert_ft.text.packing.pack`.
    """
    results: list[np.ndarray] = [np.empty(0)] * len(features)
    for indices in _chunks(np.argsort([len(f.ids) for f in features], kind="stable"), batch_size):
        batch = pack([features[index] for index in indices], mask_special)
        for index, part in zip(indices, run(batch), strict=True):
            results[index] = part
        if progress is not None:
            progress.update(len(indices))
    return results


def _chunks(order: np.ndarray, size: int) -> Iterable[np.ndarray]:
    return (order[start : start + size] for start in range(0, len(order), size))


class Share:
    """A progress that advances one of texts while what was made of them is worked off: windows, or texts with words."""

    def __init__(self, progress: Progress, texts: int, inputs: int) -> None:
        self._progress, self._texts, self._inputs = progress, texts, inputs
        self._done = self._shown = 0
        if not inputs:
            progress.update(texts)

    def update(self, inputs: int) -> None:
        self._done += inputs
        reached = self._texts * self._done // self._inputs
        self._progress.update(reached - self._shown)
        self._shown = reached
