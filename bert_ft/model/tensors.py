"""The packed batch inside a TensorFlow graph."""

from __future__ import annotations

from typing import Any, NamedTuple

from bert_ft.model.backend import tf
from bert_ft.text.packing import PackedBatch


class PackedTensors(NamedTuple):
    """The arrays of :class:`bert_ft.text.packing.PackedBatch` as tensors, in the same order."""

    ids: Any
    segments: Any
    positions: Any
    lengths: Any
    mask: Any

    @classmethod
    def of(cls, batch: PackedBatch) -> PackedTensors:
        return cls(*(tf.convert_to_tensor(array) for array in batch))

    @property
    def starts(self) -> Any:
        """Index of each sequence's first token in the packed axis, int32 [B]."""
        return tf.cumsum(self.lengths, exclusive=True)

    @property
    def owners(self) -> Any:
        """Index of the sequence each token belongs to, int32 [T]."""
        return tf.repeat(tf.range(tf.shape(self.lengths)[0]), self.lengths)


def packed_signature() -> PackedTensors:
    """Input signature of a function over packed batches of any size."""
    ints = tf.TensorSpec([None], tf.int32)
    return PackedTensors(ints, ints, ints, ints, tf.TensorSpec([None], tf.float32))
