"""File names that a library reads otherwise than the operating system."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable


def name_fault(names: Iterable[object]) -> str | None:
    """One line about the first name that is not UTF-8 on the disk, which is how TensorFlow takes every name.

    Args:
        names: str or paths; others are passed over.
    """
    for name in names:
        if isinstance(name, (str, os.PathLike)) and not _is_utf8(os.fspath(name)):
            encoding = sys.getfilesystemencoding()
            elsewhere = f"here they are {encoding}: set PYTHONUTF8=1 or LC_ALL=C.UTF-8 if this one is UTF-8 on the disk"
            mending = "rename it" if encoding == "utf-8" else f"{elsewhere}, else choose one in ASCII"
            return f"{name}: a library takes file names in UTF-8 only; {mending}"
    return None


def readable(name: str) -> str:
    """A name as text that any file can hold: what the locale could not read is taken for UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name


def _is_utf8(name: str) -> bool:
    try:
        return os.fsencode(name) == name.encode("utf-8")
    except UnicodeEncodeError:
        return False
