"""Requests that were received and are not answered: one count for all doors."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from bert_serving.server.tasks.request import RequestError


class Waiting:
    """Counts requests, by the door they came through.

    Args:
        maximum: from so many on new ones are refused (-max_queue).
    """

    def __init__(self, maximum: int) -> None:
        self._most = maximum
        self._by_frontend: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._by_frontend.total()

    def of(self, frontend: str) -> int:
        return self._by_frontend[frontend]

    def check(self) -> None:
        """
        Raises:
            RequestError: overloaded.
        """
        if len(self) >= self._most:
            raise RequestError("overloaded", f"{len(self)} requests wait already; ask again later")

    def enter(self, frontend: str) -> None:
        """A request waits from now on, until :meth:`leave`.

        Raises:
            RequestError: overloaded.
        """
        self.check()
        self._by_frontend[frontend] += 1

    def leave(self, frontend: str) -> None:
        self._by_frontend[frontend] -= 1

    @contextlib.contextmanager
    def one(self, frontend: str) -> Iterator[None]:
        """A request that waits until the end of the block; see :meth:`enter`."""
        self.enter(frontend)
        try:
            yield
        finally:
            self.leave(frontend)
