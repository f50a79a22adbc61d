"""What :func:`openvino_graph.encoder_graph` takes."""

from __future__ import annotations

import numpy as np

from bert_ft.numerics import MASKED, PADDED
from bert_ft.text.packing import PackedBatch


def graph_inputs(batch: PackedBatch) -> list[np.ndarray]:
    """ids, segments, positions, pad, unpad and bias, as :func:`openvino_graph.encoder_graph` says."""
    size, longest = len(batch.lengths), int(batch.lengths.max())
    unpad = (np.repeat(np.arange(size, dtype=np.int32), batch.lengths) * longest + batch.positions).astype(np.int32)
    pad = np.zeros(size * longest, np.int32)
    pad[unpad] = np.arange(len(unpad), dtype=np.int32)
    bias = np.full(size * longest, PADDED, np.float32)
    bias[unpad] = (1.0 - batch.mask) * MASKED
    return [
        batch.ids,
        batch.segments,
        batch.positions,
        pad.reshape(size, longest),
        unpad,
        bias.reshape(size, 1, 1, longest),
    ]
