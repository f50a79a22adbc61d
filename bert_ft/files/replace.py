"""Put a finished directory in the place of another in one step, whatever happens on the way."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_STAGING, _COMPLETE = "new", "complete"
_RANDOM = 8  # characters that mkdtemp adds


@contextlib.contextmanager
def replaced_directory(target: Path, last: str) -> Iterator[Path]:
    """Give an empty directory to write files into; when the block ends without error, they become ``target``'s.

    The directory is written beside the target, is given links to the target's other files and folders, and is
    exchanged with it in one system call (Linux renameat2). Thus a reader, or whoever comes after a kill, sees all of
    the old or all of the new, and nothing else of the target is ever out of its place.

    Where that cannot be (a mount point, the current directory, a file system without links or without that call)
    the files are replaced one by one. A kill amid that leaves a mixed set, which the next replacement or
    :func:`clear_leftovers` completes.

    Args:
        last: the file to replace last in that case; its checksums tell a reader of an unfinished replacement.
    """
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(target, last)
    stays = target.exists() and (
        target.is_mount() or Path.cwd().is_relative_to(target) or not os.access(target.parent, os.W_OK)
    )
    staging = _new_staging(target, target if stays else target.parent)
    try:
        with _locked(staging):
            yield staging
            for path in (*staging.iterdir(), staging):
                _flush(path)
            if stays or not _replace_whole(staging, target):
                complete = staging.with_name(f".{target.name}.{_COMPLETE}-{staging.name[-_RANDOM:]}")
                os.rename(staging, complete)
                _replace_files(complete, target, last)
            _flush(target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def remove_directory(target: Path) -> None:
    """Remove a directory so that none ever sees half of it; one that is not there is no error."""
    target = target.resolve()
    if target.is_dir():
        os.rename(target, _new_staging(target, target.parent))
    clear_leftovers(target)


def clear_leftovers(target: Path, last: str = "") -> None:
    """Clear away what killed processes left of replacing ``target``, but not what a live one is at work on.

    A set of files that was complete when its process was killed is moved into its place.
    """
    target = target.resolve()
    pattern = re.compile(rf"\.{re.escape(target.name)}\.({_STAGING}|{_COMPLETE})-[a-z0-9_]{{{_RANDOM}}}")
    for folder in (target.parent, target):
        for path in _entries(folder):
            match = pattern.fullmatch(path.name)
            if match and path.is_dir() and not path.is_symlink():
                with contextlib.suppress(OSError), _locked(path):
                    if match[1] == _COMPLETE:
                        _replace_files(path, target, last)
                    shutil.rmtree(path, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []  # none there, or not ours to read


def _new_staging(target: Path, folder: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{target.name}.{_STAGING}-", dir=folder))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder; the system lets go of it when the process dies. Raises BlockingIOError if another has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass  # a file system without locks: two processes with one target are not told apart there
        yield
    finally:
        os.close(descriptor)


def _replace_files(complete: Path, target: Path, last: str) -> None:
    target.mkdir(exist_ok=True)
    for name in sorted(os.listdir(complete), key=lambda name: name == last):
        os.replace(complete / name, target / name)
    shutil.rmtree(complete)


def _replace_whole(staging: Path, target: Path) -> bool:
    """Returns whether it could be done."""
    staging.chmod(0o777 & ~_umask())
    if not target.exists():
        os.rename(staging, target)
        return True
    own = set(os.listdir(staging))
    with contextlib.suppress(OSError):
        for path in target.iterdir():
            _link(path, staging / path.name)
        if _exchange(staging, target):
            return True
    for path in staging.iterdir():
        if path.name not in own:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return False


def _link(path: Path, new: Path) -> None:
    """Give a file, or all files of a folder, a second name."""
    if new.exists():
        return
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, new, symlinks=True, copy_function=os.link)
    else:
        os.link(path, new, follow_symlinks=False)


def _exchange(first: Path, second: Path) -> bool:
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    paths = os.fsencode(first), os.fsencode(second)
    return renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
