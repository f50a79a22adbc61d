"""One batch on its way to a worker and back: which arrays go over the channel, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bert_serving.server.batching.batcher import Batch

from bert_ft.text.packing import PackedBatch, pack

Spans = tuple[np.ndarray, np.ndarray]
"""int32 [S, 4]: place of the sequence in the batch, first unit, end unit, type id; and float64 [S], the scores."""


def entity_types(labels: Sequence[str]) -> list[str]:
    """The types of BIO labels in the order of their ids."""
    return [label[2:] for label in labels if label.startswith("B-")]


def batch_message(batch: Batch, mask_special: bool) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Header and arrays for a worker: the packed batch, then the rows of first pieces [K] and their counts [B].

    The header's ``outputs`` are those that some sequence of the batch wants.
    """
    packed = pack([sequence.features for sequence in batch.sequences], mask_special)
    starts = (np.cumsum(packed.lengths) - packed.lengths).tolist()
    placed = list(zip(starts, batch.sequences, strict=True))
    firsts = np.array([start + piece for start, one in placed for piece in one.first_pieces], np.int32)
    counts = np.array([len(sequence.first_pieces) for sequence in batch.sequences], np.int32)
    outputs = sorted({sequence.output for sequence in batch.sequences})
    return {"outputs": outputs}, [*packed, firsts, counts]


def read_batch_message(
    header: dict[str, Any], arrays: list[np.ndarray]
) -> tuple[frozenset[str], PackedBatch, np.ndarray, np.ndarray]:
    """Outputs, batch, first pieces and counts, as :func:`batch_message` sent them."""
    *packed, firsts, counts = arrays
    return frozenset(header["outputs"]), PackedBatch(*packed), firsts, counts


class BatchResult:
    """What a worker found out about the sequences of one batch, asked for by their places in it.

    Args:
        lengths: pieces of each sequence.
        arrays: "encode": the vectors; "head" of a classification head: probabilities [B, C]; "spans" and "scores" of a
            tagging head: see :data:`Spans`, in the order of the sequences.
        token_level: whether vectors come by token, [T, D], and not by sequence, [B, D].

    Raises:
        ValueError: the vectors are not as many as they should be.
    """

    def __init__(self, lengths: Sequence[int], arrays: dict[str, np.ndarray], token_level: bool) -> None:
        self._arrays = arrays
        self._parts: list[np.ndarray] | None = None
        vectors = arrays.get("encode")
        if vectors is not None:
            if len(vectors) != (sum(lengths) if token_level else len(lengths)):
                raise ValueError(f"the engine gave {len(vectors)} rows for {len(lengths)} texts")
            if token_level:
                self._parts = np.split(vectors, np.cumsum(lengths)[:-1])

    def vectors(self, places: list[int]) -> np.ndarray | list[np.ndarray]:
        """[D] each, or [L, D] each at token level."""
        if self._parts is not None:
            return [self._parts[place] for place in places]
        return self._arrays["encode"][places]

    def probabilities(self, places: list[int]) -> np.ndarray:
        """[C] each."""
        return self._arrays["head"][places]

    def spans(self, places: list[int]) -> list[Spans]:
        """The spans of each."""
        spans, scores = self._arrays["spans"], self._arrays["scores"]
        starts = np.searchsorted(spans[:, 0], places, side="left").tolist()
        ends = np.searchsorted(spans[:, 0], places, side="right").tolist()
        return [(spans[start:end], scores[start:end]) for start, end in zip(starts, ends, strict=True)]
