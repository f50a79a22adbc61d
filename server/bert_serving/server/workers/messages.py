"""One batch on its way to a worker: which arrays go over the channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from bert_serving.server.batching.batcher import Batch

from bert_ft.text.packing import PackedBatch, pack


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
