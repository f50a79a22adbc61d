"""One training at a time in an output directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bert_ft.errors import BertFtError

LOCK_FILE = ".training.lock"


@contextlib.contextmanager
def locked_output(output_dir: Path) -> Iterator[None]:
    """Hold an output directory, which is made if need be; the system lets go of it when the process dies.

    The lock is on a file in the directory, which keeps it when the directory is replaced: the new one gets a link to
    the file. The end of the block removes the file; what a killed process leaves of it is nobody's lock.

    Raises:
        BertFtError: another training holds it, or the directory cannot be written.
    """
    made = not output_dir.exists()
    path = output_dir.absolute() / LOCK_FILE
    try:
        descriptor = _lock(path)
    except BlockingIOError:
        raise BertFtError(
            f"{output_dir}: another training is at work there; wait for its end, or give another --output_dir"
        ) from None
    except OSError as error:
        raise BertFtError(f"{output_dir}: cannot be written: {error.strerror}; give another --output_dir") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
            if made:
                path.parent.rmdir()  # if nothing came of the training
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Raises BlockingIOError if another process has the file."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:
            continue  # the end of another training has removed the directory
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError:
            return descriptor  # a file system without locks: two trainings are not told apart there
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)  # of a file that the end of another training has removed


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
