"""Files that a stranger may have made: read none that is too large to be what it should be."""

from __future__ import annotations

import os
from pathlib import Path

from bert_ft.errors import BertFtError

MAX_BYTES = 256 << 20
"""Far above any vocabulary or configuration."""


def read_small(path: str | os.PathLike[str], maximum: int = MAX_BYTES) -> bytes:
    """The content of a file.

    Raises:
        BertFtError: it is no ordinary file, or larger than ``maximum`` bytes.
        OSError: it cannot be read.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise BertFtError(f"{path}: cannot be read: not a file")
    with path.open("rb") as file:
        content = file.read(maximum + 1)
    if len(content) > maximum:
        raise BertFtError(f"{path}: larger than {maximum >> 20} MB, which no such file is")
    return content
