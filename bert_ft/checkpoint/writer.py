"""Name-based TensorFlow checkpoints, written as Google's are; and the one thing that only TensorFlow can read."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bert_ft.errors import BertFtError
from bert_ft.model.backend import tf

# what TensorFlow raises depends on where in the file the damage is
_READ_ERRORS = (tf.errors.OpError, ValueError, RuntimeError, IndexError)


def read_sliced(prefix: Path, name: str) -> np.ndarray:
    """A variable that is stored in slices, put together.

    Raises:
        BertFtError: the data file is truncated or damaged.
    """
    try:
        return np.asarray(tf.compat.v1.train.NewCheckpointReader(os.fsencode(prefix)).get_tensor(name))
    except _READ_ERRORS as error:
        raise BertFtError(
            f"{prefix}: variable {name} cannot be read, the data file is truncated or damaged ({_first_line(error)}); "
            "copy the checkpoint again"
        ) from None


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
