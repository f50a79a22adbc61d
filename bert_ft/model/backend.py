"""TensorFlow, imported quietly: ``from bert_ft.model.backend import tf``."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator

from bert_ft.hardware.processor import switch_onednn

__all__ = ["tf", "use_machine"]


@contextlib.contextmanager
def _native_stderr_held_back() -> Iterator[None]:
    """Keep back what native code writes to standard error; show it after all if the block fails.

    TensorFlow's start-up lines are written before any log level holds, and are not about the user's data.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """What an import makes is there to stay: looking for garbage in it takes a fifth of TensorFlow's start."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _without_keras() -> Iterator[None]:
    """TensorFlow imports Keras where it can, which takes as long as the rest of it, and nothing here uses it."""
    hidden = "keras" not in sys.modules
    if hidden:
        sys.modules["keras"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["keras"]


os.environ.update(switch_onednn())
with _without_collection(), _without_keras():
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        import tensorflow as tf
    else:
        with _native_stderr_held_back():
            import tensorflow as tf


def use_machine(threads: int, callers: int, gpu: bool) -> None:
    """Give TensorFlow ``threads`` inside an operation, and one operation at a time for each caller.

    In a process where an operation has run already, all stays as it is.

    Args:
        callers: Python threads that may run a graph at the same time.
        gpu: whether it may use one.
    """
    with contextlib.suppress(RuntimeError):
        if not gpu:
            tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(callers)
