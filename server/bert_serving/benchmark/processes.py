"""A tree of processes and its memory. Needs Linux."""

from __future__ import annotations

import contextlib
from pathlib import Path


def children(pid: int) -> list[int]:
    """Of all its threads, each of which has a list of its own; none of a process that has ended."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found |= set(map(int, (thread / "children").read_text().split()))
    return sorted(found)


def alive(pid: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def memory_mb(root: int) -> float | None:
    """Sum of the proportional set sizes of a tree's processes; None where /proc does not tell."""
    tree = [root]
    for pid in tree:
        tree += children(pid)
    try:
        return sum(map(_proportional_set_size, tree)) / 1024
    except (OSError, StopIteration):
        return None


def _proportional_set_size(pid: int) -> int:
    """kB"""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
