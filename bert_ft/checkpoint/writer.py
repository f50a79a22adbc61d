"""Name-based TensorFlow checkpoints: read any, write Google's."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.checkpoint.directory import check_checkpoint_files, data_files
from bert_ft.checkpoint.index import check_index
from bert_ft.checkpoint.variables import Shapes
from bert_ft.errors import BertFtError
from bert_ft.model.backend import tf

# what TensorFlow raises depends on where in the file the damage is
_READ_ERRORS = (tf.errors.OpError, ValueError, RuntimeError, IndexError)


class CheckpointReader:
    """A checkpoint opened for reading; weights are read one variable at a time.

    Args:
        prefix: path without ending, such as ``DIR/bert_model.ckpt`` or ``DIR/model.ckpt-1234``.

    Raises:
        BertFtError: a file is absent, or is not a TensorFlow checkpoint.
    """

    def __init__(self, prefix: str | Path) -> None:
        self.prefix = Path(prefix)
        check_checkpoint_files(self.prefix)
        check_index(self.prefix.with_name(f"{self.prefix.name}.index"))
        try:
            self._reader = tf.compat.v1.train.NewCheckpointReader(os.fsencode(self.prefix))
            shapes = self._reader.get_variable_to_shape_map()
            self._types = self._reader.get_variable_to_dtype_map()
        except _READ_ERRORS as error:
            raise BertFtError(
                f"{self.prefix}.index: not a readable TensorFlow checkpoint ({_first_line(error)}); copy it again"
            ) from None
        self.shapes: Shapes = {name: tuple(shapes[name]) for name in sorted(shapes)}
        self._held = sum(path.stat().st_size for path in data_files(self.prefix))

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
            if not self._types[name].is_floating:
                raise BertFtError(f"{self.prefix}: variable {name} is of type {self._types[name].name}, not float32")
        self._check_size("the model's variables take", expected)

    def read(self, name: str) -> np.ndarray:
        """One variable as it is stored.

        Raises:
            BertFtError: the data file is truncated or damaged.
        """
        self._check_size(f"variable {name} takes", [name])
        try:
            return np.asarray(self._reader.get_tensor(name))
        except _READ_ERRORS as error:
            raise BertFtError(
                f"{self.prefix}: variable {name} cannot be read, the data file is truncated or damaged "
                f"({_first_line(error)}); copy the checkpoint again"
            ) from None

    def load(self, expected: Shapes) -> dict[str, np.ndarray]:
        """Check, then read the expected variables as float32; all others are left alone."""
        self.check(expected)
        return {name: self.read_float32(name) for name in expected}

    def read_float32(self, name: str) -> np.ndarray:
        """One variable as the model computes with it; see :meth:`read`."""
        return self.read(name).astype(np.float32, copy=False)

    def _check_size(self, what: str, names: Iterable[str]) -> None:
        """TensorFlow takes the memory that the index asks for before it looks at the data."""
        wanted = sum(math.prod(self.shapes[name]) * self._types[name].size for name in names)
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


def write_checkpoint(prefix: str | Path, weights: Mapping[str, Any]) -> None:
    """Write PREFIX.index, PREFIX.data-00000-of-00001 and PREFIX.meta under the given variable names.

    Args:
        weights: float32 arrays, tensors or variables by name.

    Raises:
        OSError: the disk is full or the place cannot be written.
    """
    write_variables(prefix, weights)
    with _faults_as_os_error():
        meta = _meta(tuple((name, tuple(weights[name].shape)) for name in sorted(weights)))
        Path(f"{prefix}.meta").write_bytes(meta)


def write_variables(prefix: str | Path, weights: Mapping[str, Any]) -> None:
    """As :func:`write_checkpoint`, without PREFIX.meta."""
    names = sorted(weights)
    values = [tf.convert_to_tensor(weights[name]) for name in names]
    with _faults_as_os_error():
        tf.raw_ops.SaveV2(
            prefix=os.fsencode(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
        )


@contextlib.contextmanager
def _faults_as_os_error() -> Iterator[None]:
    """TensorFlow has the system's reason in its message alone, and its class differs with the file system."""
    try:
        yield
    except tf.errors.OpError as error:
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if os.strerror(code) in str(error):
                raise OSError(code, os.strerror(code)) from error
        raise OSError(errno.EIO, _first_line(error)) from error


@lru_cache(maxsize=4)
def _meta(shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> bytes:
    """A graph of reference variables with a Saver: what ``import_meta_graph`` of TensorFlow 1.15 can restore.

    It takes a second or two for a large model, and a training saves the same shapes again and again.
    """
    with tf.Graph().as_default():
        variables = [
            tf.compat.v1.get_variable(name, shape, tf.float32, tf.compat.v1.zeros_initializer(), use_resource=False)
            for name, shape in shapes
        ]
        saver = tf.compat.v1.train.Saver(variables, max_to_keep=1)
        return saver.export_meta_graph(strip_default_attrs=True, clear_devices=True).SerializeToString(
            deterministic=True
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
