"""Weights of a TensorFlow checkpoint, read without TensorFlow, whose import costs seconds and half a gigabyte."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

import google_crc32c
import numpy as np

from bert_ft.checkpoint.directory import check_checkpoint_files, data_files
from bert_ft.checkpoint.index import masked, read_index
from bert_ft.checkpoint.variables import Shapes
from bert_ft.errors import BertFtError

_TYPES: dict[int, np.dtype] = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 14: np.dtype("<u2"), 19: np.dtype("<f2")}
"""By number of TensorFlow's DataType; the halves of bfloat16 are read as whole numbers."""
_BFLOAT16 = 14
_OTHER_TYPES = {3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 9: "int64", 10: "bool"}


class CheckpointReader:
    """A checkpoint opened for reading; weights are read one variable at a time.

    Variables that are stored in slices, as TensorFlow writes those of a training over several machines, are read
    through TensorFlow, which is imported then and only then.

    Args:
        prefix: path without ending, such as ``DIR/bert_model.ckpt`` or ``DIR/model.ckpt-1234``.

    Attributes:
        shapes: of all variables by name, sorted.

    Raises:
        BertFtError: a file is absent, or is not a TensorFlow checkpoint.

    Example:
        >>> reader = CheckpointReader(model_dir / "bert_model.ckpt")
        >>> reader.shapes["bert/pooler/dense/kernel"]
        (128, 128)
        >>> reader.read("bert/pooler/dense/kernel").dtype
        dtype('float32')
    """

    def __init__(self, prefix: str | Path) -> None:
        self.prefix = Path(prefix)
        check_checkpoint_files(self.prefix)
        self._index = read_index(self.prefix.with_name(f"{self.prefix.name}.index"))
        self._files = data_files(self.prefix)
        self.shapes: Shapes = {name: entry.shape for name, entry in sorted(self._index.items())}
        self._held = sum(path.stat().st_size for path in self._files)

    def check(self, expected: Shapes) -> None:
        """See that every expected variable is there in its shape, and that the data files can hold them all.

        Raises:
            BertFtError: naming the first variable that is missing, of another shape, or of no floating-point type; or
                that they take more bytes than the files have.
        """
        for name, shape in expected.items():
            if name not in self.shapes:
                raise BertFtError(f"{self.prefix}: variable {name} is missing{self._near(name)}")
            if self.shapes[name] != shape:
                raise BertFtError(
                    f"{self.prefix}: variable {name} has shape {list(self.shapes[name])}, "
                    f"bert_config.json asks for {list(shape)}; use the configuration that came with the checkpoint"
                )
            self._type(name)
        self._check_size("the model's variables take", expected)

    def load(self, expected: Shapes) -> dict[str, np.ndarray]:
        """Check, then read the expected variables as float32; all others are left alone."""
        self.check(expected)
        return {name: self.read_float32(name) for name in expected}

    def read_float32(self, name: str) -> np.ndarray:
        """One variable as the model computes with it; see :meth:`read`."""
        return self.read(name).astype(np.float32, copy=False)

    def read(self, name: str) -> np.ndarray:
        """One variable as it is stored, bfloat16 as float32.

        Raises:
            BertFtError: the data file is truncated or damaged, or the variable is of no floating-point type.
        """
        entry, dtype = self._index[name], self._type(name)
        self._check_size(f"variable {name} takes", [name])
        if entry.sliced:
            from bert_ft.checkpoint.writer import read_sliced

            return read_sliced(self.prefix, name)
        if entry.size != math.prod(entry.shape) * dtype.itemsize or entry.shard >= len(self._files):
            raise self._damaged(name, "the index is not this file's")
        data = np.fromfile(self._files[entry.shard], np.uint8, entry.size, offset=entry.offset)
        if len(data) < entry.size:
            raise self._damaged(name, "it is cut off")
        data.setflags(write=False)  # as google_crc32c wants it
        if masked(google_crc32c.value(data)) != entry.checksum:
            raise self._damaged(name, "its checksum is not the index's")
        data.setflags(write=True)
        values = data.view(dtype).reshape(entry.shape)
        return (values.astype(np.uint32) << 16).view(np.float32) if entry.dtype == _BFLOAT16 else values

    def _type(self, name: str) -> np.dtype:
        number = self._index[name].dtype
        if number not in _TYPES:
            found = _OTHER_TYPES.get(number, f"number {number}")
            raise BertFtError(f"{self.prefix}: variable {name} is of type {found}, not float32")
        return _TYPES[number]

    def _check_size(self, what: str, names: Iterable[str]) -> None:
        """Memory is taken for what the index says before the data is looked at."""
        wanted = sum(math.prod(self.shapes[name]) * self._type(name).itemsize for name in names)
        if wanted > self._held:
            raise BertFtError(
                f"{self.prefix}: {what} {wanted:,} bytes, the data files have {self._held:,}: they are truncated or "
                "damaged, or the index is not theirs; copy the checkpoint again"
            )

    def _near(self, name: str) -> str:
        tail = name.split("/", 1)[-1]
        renamed = [other for other in self.shapes if other.endswith(tail)]
        if renamed:
            return f"; it has {renamed[0]}: the scope was renamed"
        layers = [int(m[1]) for other in self.shapes if (m := re.match(r"bert/encoder/layer_(\d+)/", other))]
        if layers and "/layer_" in name:
            return f"; it has {max(layers) + 1} encoder layers: use the configuration that came with the checkpoint"
        return f"; it has {len(self.shapes)} variables, such as {next(iter(self.shapes), 'none')}"

    def _damaged(self, name: str, reason: str) -> BertFtError:
        return BertFtError(
            f"{self.prefix}: variable {name} cannot be read, the data file is truncated or damaged ({reason}); copy "
            "the checkpoint again"
        )
