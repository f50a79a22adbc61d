"""Giving memory that is free back to the system."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

EVERY_SECONDS = 5.0
"""Pages that the next batch needs again cost it some milliseconds."""


class MemoryTrim:
    """Gives back what malloc keeps between blocks in use, at most every five seconds.

    Batches of ever new sizes leave ever more of it. glibc gives back only the upper end of a heap by itself;
    ``malloc_trim(3)`` gives back every free page. Where there is none (macOS, musl) nothing is done.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._clock = clock
        self._next = clock()

    def __call__(self) -> bool:
        """Whether it was done now."""
        if self._trim is None or self._clock() < self._next:
            return False
        self._trim(ctypes.c_size_t(0))
        self._next = self._clock() + EVERY_SECONDS
        return True
