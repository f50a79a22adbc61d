"""Telling one set of data from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any


def checksum(rows: Iterable[Any]) -> str:
    """How many rows there are, and a digest of them.

    Args:
        rows: of plain Python values, which ``repr`` shows in full.
    """
    digest, count = hashlib.sha256(), 0
    for row in rows:
        digest.update(repr(row).encode("utf-8", "backslashreplace") + b"\n")
        count += 1
    return f"of {count} rows and sha256 {digest.hexdigest()[:16]}"
