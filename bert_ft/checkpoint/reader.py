"""Weights of a TensorFlow checkpoint without TensorFlow, whose import costs seconds and half a gigabyte."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bert_ft.checkpoint.crc32c import crc32c, masked
from bert_ft.checkpoint.directory import check_checkpoint_files, data_files
from bert_ft.checkpoint.index import IndexEntry, read_index
from bert_ft.checkpoint.variables import Shapes
from bert_ft.errors import BertFtError

_TYPES: dict[int, np.dtype] = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 19: np.dtype("<f2")}
_BFLOAT16 = 14


class PlainCheckpoint:
    """The float variables of a checkpoint.

    Args:
        prefix: path without ending, such as ``DIR/bert_model.ckpt``.

    Raises:
        BertFtError: a file is absent, or is not a TensorFlow checkpoint.
    """

    def __init__(self, prefix: str | Path) -> None:
        self.prefix = Path(prefix)
        check_checkpoint_files(self.prefix)
        self._index = read_index(self.prefix.with_name(f"{self.prefix.name}.index"))
        self.files = data_files(self.prefix)
        self.shapes: Shapes = {name: entry.shape for name, entry in sorted(self._index.items())}

    def load(self, expected: Shapes) -> dict[str, np.ndarray]:
        """The expected variables as float32; all others are left alone.

        Raises:
            BertFtError: naming the first that is missing, of another shape, of no floating-point type, or damaged.
        """
        for name, shape in expected.items():
            self._check(name, shape)
        return {name: self._read(name, self._index[name]) for name in expected}

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        entry = self._index.get(name)
        if entry is None:
            raise BertFtError(
                f"{self.prefix}: variable {name} is missing; it has {len(self.shapes)} variables, such as "
                f"{next(iter(self.shapes), 'none')}"
            )
        if entry.shape != shape:
            raise BertFtError(
                f"{self.prefix}: variable {name} has shape {list(entry.shape)}, bert_config.json asks for "
                f"{list(shape)}; use the configuration that came with the checkpoint"
            )
        if entry.sliced:
            raise BertFtError(f"{self.prefix}: variable {name} is stored in slices; use -engine tensorflow")
        if entry.dtype not in _TYPES and entry.dtype != _BFLOAT16:
            raise BertFtError(f"{self.prefix}: variable {name} is not of a floating-point type")

    def _read(self, name: str, entry: IndexEntry) -> np.ndarray:
        dtype = _TYPES.get(entry.dtype, np.dtype("<u2"))
        if entry.size != math.prod(entry.shape) * dtype.itemsize or entry.shard >= len(self.files):
            raise self._damaged(name, "the index is not this file's")
        data = np.fromfile(self.files[entry.shard], np.uint8, entry.size, offset=entry.offset)
        if len(data) < entry.size:
            raise self._damaged(name, "it is cut off")
        if masked(crc32c(data)) != entry.checksum:
            raise self._damaged(name, "its checksum is not the index's")
        values = data.view(dtype).reshape(entry.shape)
        if entry.dtype == _BFLOAT16:
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32, copy=False)

    def _damaged(self, name: str, reason: str) -> BertFtError:
        return BertFtError(
            f"{self.prefix}: variable {name} cannot be read, the data file is truncated or damaged ({reason}); copy "
            "the checkpoint again"
        )


def has_slices(prefix: Path) -> bool:
    """Whether a checkpoint stores a variable in slices, which :class:`PlainCheckpoint` does not read.

    False also where the index cannot be read: whoever opens it says why.
    """
    try:
        return any(entry.sliced for entry in read_index(prefix.with_name(f"{prefix.name}.index")).values())
    except (BertFtError, OSError):
        return False
