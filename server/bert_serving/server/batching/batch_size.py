"""How many word pieces a batch may hold, from how fast the workers are."""

from __future__ import annotations

LONG_BATCH = 0.5
"""Seconds a batch may take while nobody waits for a single answer: longer ones are hardly more efficient."""
SHORT_BATCH = 0.1
"""Seconds a bulk batch may take while interactive requests come in: they wait for the one that runs."""
MIN, MAX = 64, 8192
_WEIGHT = 0.1
_LEAST_SECONDS = 1e-6


class BatchSize:
    """Pieces a second of one worker, measured at its warm-up and learnt from its batches.

    ``maximum`` is ``-max_batch_tokens``, or None to go by time alone.
    """

    def __init__(self, maximum: int | None) -> None:
        self._maximum = maximum
        self._rate: float | None = None

    @property
    def long(self) -> int:
        """Pieces of a batch while only bulk waits."""
        return self._maximum or self._pieces(LONG_BATCH)

    @property
    def short(self) -> int:
        """Pieces of a bulk batch while interactive requests come in."""
        return min(self.long, self._pieces(SHORT_BATCH))

    def start(self, rate: float | None) -> None:
        """Take the pieces a second of a worker's warm-up."""
        if self._rate is None:
            self._rate = rate

    def learn(self, pieces: int, seconds: float) -> None:
        """Take a batch into account; small ones say little, since every batch has a cost of its own."""
        if self._rate is not None and pieces >= self.short // 2:
            self._rate += _WEIGHT * (pieces / max(seconds, _LEAST_SECONDS) - self._rate)

    def _pieces(self, seconds: float) -> int:
        return MAX if self._rate is None else max(MIN, min(MAX, int(self._rate * seconds)))
